"""Conditions about Twilio, each a chain of checks: what the last look found, and what was known before where there is none yet. Pure."""

from __future__ import annotations

from voiceassist_crds.reasons import ConditionType, Reason
from voiceassist_crds.status import PeerReason

from ..twilio.model.functions import FunctionsMode
from .condition import Blocker, Check, Condition, Verdict, first, known_condition
from .observed import Observed
from .peers import peer_verdict


def sync_service_sid(seen: Observed) -> str:
    """Returns the Sync service that the relays are to use; empty while there is none.

    What is known stays while Twilio does not answer. One that was adopted is not used any more once the object names none.
    """
    given = seen.owner.spec.twilio.sync.service_sid
    record = seen.twilio.record.sync
    return given or (record.sid if record.made else "")


def functions_url(seen: Observed) -> str:
    """Returns the address that the plugin is to use."""
    owner = seen.owner
    relays = f"https://{owner.spec.host}{owner.spec.path_prefix}"
    if FunctionsMode(owner.spec.twilio.functions.mode) is FunctionsMode.RELAY:
        return relays
    return seen.twilio.record.functions_url or relays


def sync_service_known(seen: Observed) -> Blocker | None:
    """There is a Sync service that the relays can use."""
    if sync_service_sid(seen):
        return None
    problem = seen.twilio.sync.problem if seen.twilio.sync is not None else None
    if problem is not None:
        return Blocker(problem.reason, problem.message)
    return Blocker(Reason.TWILIO_PENDING, "the Sync service is not made yet")


# SyncConfigured

_SYNC_REASONS = {PeerReason.REFUSED: Reason.SYNC_REFUSED, PeerReason.MISCONFIGURED: Reason.SYNC_NOT_FOUND}


def _no_sync_service(seen: Observed) -> Verdict | None:
    blocker = sync_service_known(seen)
    return None if blocker is None else Verdict(False, blocker.reason, blocker.message)


def _sync_is_not_as_described(seen: Observed) -> Verdict | None:
    problem = seen.twilio.sync.problem if seen.twilio.sync is not None else None
    return None if problem is None or problem.passing else Verdict(False, problem.reason, problem.message)


def _relays_reach_sync(seen: Observed) -> Verdict:
    """What the relays report; where all is well, that Twilio did not answer the operator lately is said beside it."""
    reported = peer_verdict(seen, "sync", Reason.SYNC_OK, Reason.SYNC_UNREACHABLE, _SYNC_REASONS)
    problem = seen.twilio.sync.problem if seen.twilio.sync is not None else None
    if reported.status is True and problem is not None:
        return reported._replace(message=f"not looked at lately: {problem.message}")
    return reported


SYNC: tuple[Check[Observed], ...] = (_no_sync_service, _sync_is_not_as_described, _relays_reach_sync)

# FunctionsConfigured


def _relays_serve_the_functions(seen: Observed) -> Verdict | None:
    if FunctionsMode(seen.owner.spec.twilio.functions.mode) is not FunctionsMode.RELAY:
        return None
    found = seen.twilio.functions
    return Verdict(True, Reason.CONFIGURED, (found.message if found else "") or "served by the relays")


def _functions_have_a_problem(seen: Observed) -> Verdict | None:
    """A problem that passes is not shown while the functions were well before."""
    problem, known = seen.twilio.functions_problem, known_condition(seen.status, ConditionType.FUNCTIONS_CONFIGURED)
    if problem is None or (problem.passing and known is not None and known.status is True):
        return None
    return Verdict(False, problem.reason, problem.message, seen.twilio.generation)


def _functions_were_not_looked_at(seen: Observed) -> Verdict | None:
    if seen.twilio.functions is not None and seen.twilio.functions_problem is None:
        return None
    known = known_condition(seen.status, ConditionType.FUNCTIONS_CONFIGURED)
    return known or Verdict(None, Reason.TWILIO_PENDING, "the functions at Twilio were not looked at yet")


def _functions_as_found(seen: Observed) -> Verdict | None:
    found = seen.twilio.functions
    return None if found is None else Verdict(found.configured, found.reason, found.message, seen.twilio.generation)


FUNCTIONS: tuple[Check[Observed], ...] = (
    _relays_serve_the_functions,
    _functions_have_a_problem,
    _functions_were_not_looked_at,
    _functions_as_found,
)

# FlexConfigured


def _flex_is_configured_by_hand(seen: Observed) -> Verdict | None:
    if seen.owner.spec.twilio.flex.configure:
        return None
    text, found = "flex.configure is false: give the plugin status.endpoints.functionsUrl by hand", seen.twilio.flex
    if found is not None and found.problem is not None:
        text += f"; our former entry is not removed yet: {found.problem.message}"
    return Verdict(False, Reason.NOT_CONFIGURED, text)


def _flex_was_not_looked_at(seen: Observed) -> Verdict | None:
    if seen.twilio.flex is not None:
        return None
    known = known_condition(seen.status, ConditionType.FLEX_CONFIGURED)
    if known is None or known.reason is Reason.NOT_CONFIGURED:
        return Verdict(None, Reason.TWILIO_PENDING, "the Flex configuration was not looked at yet")
    return known


def _flex_has_a_problem(seen: Observed) -> Verdict | None:
    problem = seen.twilio.flex.problem if seen.twilio.flex is not None else None
    return None if problem is None else Verdict(False, problem.reason, problem.message, seen.twilio.generation)


def _flex_is_configured(seen: Observed) -> Verdict:
    return Verdict(True, Reason.CONFIGURED, "", seen.twilio.generation)


FLEX: tuple[Check[Observed], ...] = (_flex_is_configured_by_hand, _flex_was_not_looked_at, _flex_has_a_problem, _flex_is_configured)


def twilio_conditions(seen: Observed) -> dict[ConditionType, Condition]:
    """Returns SyncConfigured, FunctionsConfigured and FlexConfigured."""
    chains = {
        ConditionType.SYNC_CONFIGURED: SYNC,
        ConditionType.FUNCTIONS_CONFIGURED: FUNCTIONS,
        ConditionType.FLEX_CONFIGURED: FLEX,
    }
    return {kind: Condition(kind, *first(checks, seen)) for kind, checks in chains.items()}
