"""A VoiceAssist's entry in the Flex configuration (pure): what belongs there, what is there, and who else claims its queues.

The entries are at `ui_attributes.custom_data.voice_assist.instances['<namespace>/<name>']`: {functionsUrl, queues or default, uid,
since}. The plugin reads the first three. `uid` tells our entry from one that was written by hand or by another cluster, `since`
(the object's creation) which of two objects is the older one. Everything else in the configuration is others' and stays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voiceassist_crds.reasons import Reason

from ..model.flex import DEFAULT, FlexDesired
from ..model.outcome import Problem

CUSTOM, OURS, INSTANCES = "custom_data", "voice_assist", "instances"


@dataclass(frozen=True, slots=True)
class FlexPlan:
    """What belongs into the configuration."""

    entry: Mapping[str, Any] | None
    """Our entry as it should be; None: there should be none."""
    seen: Any = None
    """The entry that is there under our key."""
    write: Mapping[str, Any] | None = field(default=None, repr=False)
    """The new `ui_attributes`; None: nothing is to be written."""
    problem: Problem | None = None

    @property
    def url_in_flex(self) -> str:
        """The functions URL that the plugin finds; empty where it finds none."""
        url = self.seen.get("functionsUrl") if isinstance(self.seen, Mapping) else None
        return url if isinstance(url, str) else ""

    def ours(self, uid: str) -> bool:
        """Returns whether the entry that is there is the object's own."""
        return _is_ours(self.seen, uid)


def plan_flex(desired: FlexDesired, functions_url: str, configuration: Mapping[str, Any]) -> FlexPlan:
    """Returns the plan for an object that is there."""
    instances = _instances(configuration)
    seen = instances.get(desired.key)
    if not desired.configure:
        plan = FlexPlan(None, seen)
        return _without(plan, desired, configuration) if _is_ours(seen, desired.uid) else plan
    if problem := _unusable(configuration):
        return FlexPlan(None, seen, problem=problem)
    taken = _taken(desired, instances)
    free = sorted(desired.claims - taken.keys())
    problem = _conflict(desired, taken) if taken else None
    if not free:
        plan = FlexPlan(None, seen, problem=problem)
        return _without(plan, desired, configuration) if desired.key in instances else plan
    claim: dict[str, Any] = {"default": True} if free == [DEFAULT] else {"queues": free}
    entry = {"functionsUrl": functions_url, **claim, "uid": desired.uid, "since": desired.since}
    write = None if seen == entry else _with(configuration, {**instances, desired.key: entry})
    return FlexPlan(entry, seen, write, problem)


def plan_flex_removal(desired: FlexDesired, configuration: Mapping[str, Any]) -> FlexPlan:
    """Returns the plan for an object that is deleted: only its own entry is removed."""
    seen = _instances(configuration).get(desired.key)
    ours = _is_ours(seen, desired.uid) or (isinstance(seen, Mapping) and "uid" not in seen and desired.configure)
    plan = FlexPlan(None, seen)
    return _without(plan, desired, configuration) if ours else plan


def drift(plan: FlexPlan, key: str) -> str:
    """Returns in a sentence what was not as we had left it; for an entry that was right before."""
    where = f"the Flex configuration's entry {key}"
    if plan.entry is None:
        return f"{where} was there again: removed"
    if plan.seen is None:
        return f"{where} was gone: written again"
    if not isinstance(plan.seen, Mapping):
        return f"{where} was not an object: put right"
    names = sorted(name for name in {*plan.seen, *plan.entry} if plan.seen.get(name) != plan.entry.get(name))
    described = [f"{name} was {str(plan.seen[name])[:120]!r}" if name in plan.seen else f"{name} was missing" for name in names]
    return f"{where} was changed by hand ({', '.join(described)}): put right"


def _is_ours(entry: Any, uid: str) -> bool:
    return isinstance(entry, Mapping) and entry.get("uid") == uid


def _part(holder: Any, name: str) -> Mapping[str, Any]:
    found = holder.get(name) if isinstance(holder, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _instances(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(_part(_part(_part(configuration, "ui_attributes"), CUSTOM), OURS), INSTANCES)


def _unusable(configuration: Mapping[str, Any]) -> Problem | None:
    """Something of others that is where our entry has to be: it is not thrown away."""
    above = configuration.get("ui_attributes")
    custom = above.get(CUSTOM) if isinstance(above, Mapping) else None
    for value, path in ((above, "ui_attributes"), (custom, f"ui_attributes.{CUSTOM}")):
        if value is not None and not isinstance(value, Mapping):
            text = f"{path} of the Flex configuration is not an object, so that no entry fits in; change it by hand"
            return Problem(Reason.TWILIO_REJECTED, text)
    return None


def _with(configuration: Mapping[str, Any], instances: Mapping[str, Any]) -> dict[str, Any]:
    """The whole `ui_attributes` with these entries and everything else as it is."""
    attributes = copy.deepcopy(dict(configuration.get("ui_attributes") or {}))
    custom = dict(_part(attributes, CUSTOM))
    ours = dict(_part(custom, OURS))
    if instances:
        ours[INSTANCES] = copy.deepcopy(dict(instances))
    else:
        ours.pop(INSTANCES, None)
    custom[OURS] = ours
    if not ours:
        del custom[OURS]
    attributes[CUSTOM] = custom
    if not custom:
        del attributes[CUSTOM]
    return attributes


def _without(plan: FlexPlan, desired: FlexDesired, configuration: Mapping[str, Any]) -> FlexPlan:
    rest = {key: entry for key, entry in _instances(configuration).items() if key != desired.key}
    return FlexPlan(None, plan.seen, _with(configuration, rest), plan.problem)


def _taken(desired: FlexDesired, instances: Mapping[str, Any]) -> dict[str, str]:
    """Returns what others claim before us, each with who claims it."""
    taken: dict[str, str] = {}
    for one in desired.earlier:
        taken |= dict.fromkeys(one.queues & desired.claims, one.key)
    for key, entry in instances.items():
        if key == desired.key or key in desired.known or not isinstance(entry, Mapping):
            continue
        queues = entry.get("queues")
        claims = frozenset(queue for queue in queues if isinstance(queue, str)) if isinstance(queues, list) else frozenset[str]()
        if entry.get("default") is True:
            claims |= {DEFAULT}
        if (str(entry.get("since") or ""), key) < (desired.since, desired.key):
            taken |= dict.fromkeys(claims & desired.claims, key)
    return taken


def _conflict(desired: FlexDesired, taken: Mapping[str, str]) -> Problem:
    described = ", ".join(f"{'the default' if queue == DEFAULT else f'queue {queue}'} by {key}" for queue, key in sorted(taken.items()))
    way = "name queues in twilio.flex.queues, or remove the other" if DEFAULT in taken else "change twilio.flex.queues of one of them"
    stands = "its other queues are configured" if desired.claims - taken.keys() else "this one has no entry in the Flex configuration"
    return Problem(Reason.FLEX_CONFLICT, f"claimed already: {described}; {way}; {stands}")
