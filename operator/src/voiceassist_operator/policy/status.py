"""The status that is written for a VoiceAssist. Pure; what a later operator has written there and this one does not know is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.names import WS_PATH
from voiceassist_crds.reasons import ConditionType, Reason

from ..twilio.model.functions import record_to_status
from .canary.progress import Progress
from .canary.record import to_status
from .condition import Blocker, Condition, merge
from .conditions import conditions
from .observed import Observed
from .peers import with_nowhere_to_move
from .rollout import current_pods, prompt_history
from .spending import live_calls, spending_status
from .twilio_conditions import functions_url, sync_service_sid

CALLS_EVERY_SECONDS = 30
CANARY_EVERY_SECONDS = 10
_FIGURES = frozenset({"waitsFor", "canary", "stable", "rollout"})
FIELDS: Mapping[str, frozenset[str]] = {
    "observedGeneration": frozenset(),
    "conditions": frozenset(),
    "prompt": frozenset(
        {
            *("currentRevision", "configRevision", "history"),
            *("canaryRevision", "weight", "step", "steps", "waitsFor", "canary", "stable", "rejectedRevision", "rejectedFor", "rollout"),
        }
    ),
    "relay": frozenset({"replicas", "readyReplicas", "activeCalls", "movingCalls", "waitingCalls", "desiredReplicas", "selector"}),
    "spending": frozenset({"day", "spent", "tokens", "untold", "ended", "relays", "month"}),
    "sync": frozenset({"serviceSid", "made"}),
    "functions": frozenset({"serviceSid", "environmentSid", "buildSid", "retireAt"}),
    "flex": frozenset({"written"}),
    "endpoints": frozenset({"streamUrl", "functionsUrl"}),
}
"""The fields of the status that this version knows, and the fields of each: as in the CRD."""
_TYPES = frozenset(kind.value for kind in ConditionType)


def make_status(
    seen: Observed, config: RelayConfig | None, progress: Progress | None, blockers: Sequence[Blocker], now: str
) -> dict[str, Any]:
    """Returns the status; `now` is an RFC 3339 time that only marks what changed."""
    owner, old = seen.owner, seen.status
    pods = current_pods(seen)
    known = old.get("conditions", [])
    status: dict[str, Any] = {
        "observedGeneration": seen.generation,
        "conditions": [*merge(known, conditions(seen, config, progress, blockers), seen.generation, now), *unknown_conditions(known)],
        "relay": {
            "replicas": len(pods),
            "readyReplicas": sum(pod.ready for pod in pods),
            **({} if (calls := live_calls(seen)) is None else {"activeCalls": calls}),
            **({"movingCalls": moving} if (moving := sum(pod.status.moving_calls for pod in seen.pods if pod.status is not None)) else {}),
            **({"waitingCalls": waiting} if (waiting := sum(calls for _, calls in with_nowhere_to_move(seen))) else {}),
            **({} if seen.scaling is None else {"desiredReplicas": seen.scaling.replicas}),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(owner.selector.items())),
        },
        **({"spending": spent} if (spent := spending_status(seen)) is not None else {}),
        "endpoints": {
            "streamUrl": f"wss://{owner.spec.host}{owner.spec.path_prefix}{WS_PATH}/{{callSid}}",
            "functionsUrl": functions_url(seen),
        },
        **_twilio_status(seen),
    }
    if config is not None and progress is not None and not blockers and not owner.spec.paused:
        status["prompt"] = {
            **to_status(progress),
            "configRevision": config.config_revision,
            "history": prompt_history(seen, progress, now),
        }
    elif "prompt" in old:
        status["prompt"] = old["prompt"]
    return with_unknown_fields(old, status)


def _twilio_status(seen: Observed) -> dict[str, Any]:
    """What is recorded of Twilio: the next operator starts from there."""
    record, sid = seen.twilio.record, sync_service_sid(seen)
    status: dict[str, Any] = {}
    if sid:
        status["sync"] = {"serviceSid": sid, "made": record.sync.made and record.sync.sid == sid}
    if functions := record_to_status(record.functions):
        status["functions"] = functions
    if record.flex_written:
        status["flex"] = {"written": True}
    return status


def unknown_conditions(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the conditions of types that this version does not know."""
    return [entry for entry in entries if entry.get("type") not in _TYPES]


def known_conditions(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the conditions of types that this version knows."""
    return [entry for entry in entries if entry.get("type") in _TYPES]


def unknown_fields(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns paths of the fields and conditions of a status that this version does not know, such as `relay.newField`."""
    found = [name for name in status if name not in FIELDS]
    for name, known in FIELDS.items():
        part = status.get(name)
        found += [f"{name}.{key}" for key in part if key not in known] if isinstance(part, Mapping) else []
    found += [f"conditions[{entry.get('type')}]" for entry in unknown_conditions(status.get("conditions") or [])]
    return tuple(found)


def with_unknown_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `new` with the fields of `old` that this version does not know."""
    kept: dict[str, Any] = {name: value for name, value in old.items() if name not in FIELDS}
    for name, known in FIELDS.items():
        before = old.get(name)
        extra = {key: value for key, value in before.items() if key not in known} if isinstance(before, Mapping) else {}
        if name in new or extra:
            kept[name] = {**extra, **new.get(name, {})} if extra else new[name]
    return kept


def unreadable(problems: Sequence[str]) -> Condition:
    """Returns Ready of an object whose spec cannot be read."""
    return Condition(ConditionType.READY, False, Reason.INVALID_SPEC, "; ".join(problems))


def deleting(waits_for: str) -> Condition:
    """Returns Ready of an object that is being deleted."""
    return Condition(ConditionType.READY, False, Reason.DELETING, f"being deleted: {waits_for}")


def status_with(old: dict[str, Any], ready: Condition, generation: int, now: str) -> dict[str, Any]:
    """Returns the status as it is known, with another Ready: for an object of which no more can be said."""
    known = old.get("conditions", [])
    others = [entry for entry in known if entry["type"] != ready.type.value]
    return {**old, "observedGeneration": generation, "conditions": [*merge(known, [ready], generation, now), *others]}


def worth_writing(old: dict[str, Any], new: dict[str, Any], since_figures: float) -> bool:
    """Returns whether the status is to be written: at once when anything but figures changed; a canary's figures every 10 s, the number
    of calls every 30 s.

    `since_figures` is seconds since figures were last written.
    """
    if old == new:
        return False
    if _plain(old) != _plain(new) or since_figures >= CALLS_EVERY_SECONDS:
        return True
    return since_figures >= CANARY_EVERY_SECONDS and old.get("prompt") != new.get("prompt")


def _plain(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without what changes while nothing is decided."""
    plain = {**status, "relay": {**status.get("relay", {}), "activeCalls": 0}}
    if "spending" in status:
        plain["spending"] = status["spending"].get("day")
    if "prompt" in status:
        plain["prompt"] = {key: value for key, value in status["prompt"].items() if key not in _FIGURES}
    if "conditions" in status:
        plain["conditions"] = [entry for entry in status["conditions"] if entry.get("reason") != Reason.CANARY_PROGRESSING.value]
    return plain
