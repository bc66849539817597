"""Conditions about Twilio: what the last look found, and what was known before where there is none yet. Pure."""

from __future__ import annotations

from dataclasses import replace

from voiceassist_crds.reasons import ConditionType, Reason

from ..twilio.model.functions import FunctionsMode
from .condition import Blocker, Condition, known_condition
from .observed import Observed


def sync_service_sid(seen: Observed) -> str:
    """The Sync service that the relays are to use; empty while there is none.

    What is known stays while Twilio does not answer. One that was adopted is not used any more once the object names none.
    """
    given = seen.owner.spec.twilio.sync.service_sid
    memory = seen.twilio.memory.sync
    return given or (memory.sid if memory.made else "")


def functions_url(seen: Observed) -> str:
    """The address that the plugin is to use."""
    owner = seen.owner
    relays = f"https://{owner.spec.host}{owner.spec.path_prefix}"
    if FunctionsMode(owner.spec.twilio.functions.mode) is FunctionsMode.RELAY:
        return relays
    return seen.twilio.memory.functions_url or relays


def sync_blocker(seen: Observed) -> Blocker | None:
    """Why relays cannot be deployed for want of a Sync service."""
    if sync_service_sid(seen):
        return None
    problem = seen.twilio.sync.problem if seen.twilio.sync is not None else None
    if problem is not None:
        return Blocker(problem.reason, problem.message)
    return Blocker(Reason.TWILIO_PENDING, "the Sync service is not made yet")


def sync_condition(seen: Observed, told_by_relays: Condition) -> Condition:
    """SyncConfigured: what the last look found wrong comes before what the relays report, unless it passes."""
    kind = ConditionType.SYNC_CONFIGURED
    found = seen.twilio.sync
    if not sync_service_sid(seen):
        blocker = sync_blocker(seen)
        assert blocker is not None  # noqa: S101 - there is no service
        return Condition(kind, False, blocker.reason, blocker.message)
    if found is None or found.problem is None:
        return told_by_relays
    if not found.problem.passing:
        return Condition(kind, False, found.problem.reason, found.problem.message)
    if told_by_relays.status is True:
        return replace(told_by_relays, message=f"not looked at lately: {found.problem.message}")
    return told_by_relays


def functions_condition(seen: Observed) -> Condition:
    """FunctionsConfigured."""
    kind = ConditionType.FUNCTIONS_CONFIGURED
    found, problem = seen.twilio.functions, seen.twilio.functions_problem
    if FunctionsMode(seen.owner.spec.twilio.functions.mode) is FunctionsMode.RELAY:
        return Condition(kind, True, Reason.CONFIGURED, (found.message if found else "") or "served by the relays")
    known = known_condition(seen.status, kind)
    if problem is not None and not (problem.passing and known is not None and known.status is True):
        return Condition(kind, False, problem.reason, problem.message, seen.twilio.generation)
    if found is None or problem is not None:
        return known or Condition(kind, None, Reason.TWILIO_PENDING, "the functions at Twilio were not looked at yet")
    return Condition(kind, found.configured, found.reason, found.message, seen.twilio.generation)


def flex_condition(seen: Observed) -> Condition:
    """FlexConfigured."""
    kind, found = ConditionType.FLEX_CONFIGURED, seen.twilio.flex
    if not seen.owner.spec.twilio.flex.configure:
        text = "flex.configure is false: give the plugin status.endpoints.functionsUrl by hand"
        if found is not None and found.problem is not None:
            text += f"; our former entry is not removed yet: {found.problem.message}"
        return Condition(kind, False, Reason.NOT_CONFIGURED, text)
    if found is None:
        known = known_condition(seen.status, kind)
        if known is None or known.reason is Reason.NOT_CONFIGURED:
            return Condition(kind, None, Reason.TWILIO_PENDING, "the Flex configuration was not looked at yet")
        return known
    if found.problem is not None:
        return Condition(kind, False, found.problem.reason, found.problem.message, seen.twilio.generation)
    return Condition(kind, True, Reason.CONFIGURED, "", seen.twilio.generation)
