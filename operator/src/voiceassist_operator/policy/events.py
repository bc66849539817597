"""Which conditions are worth an event, and of which type. Pure.

A start tells its story in a few Normal events. What is only not there yet passes by itself and is no event; a Warning is for what somebody
has to mend, or for what did not pass in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from voiceassist_crds.reasons import ConditionType, Reason

PATIENCE_SECONDS = 60.0
"""How long what passes by itself may last."""
TOLD_BEFORE_SECONDS = 2 * PATIENCE_SECONDS
"""By then it is told, however rarely the object is looked at."""
Condition = Mapping[str, Any]

_TOLD_WHEN_TRUE = frozenset(
    {
        ConditionType.READY,
        ConditionType.RELAY_AVAILABLE,
        ConditionType.SYNC_CONFIGURED,
        ConditionType.ENDPOINT_REACHABLE,
        ConditionType.PROMPT_ROLLED_OUT,
    }
)
"""Conditions that are told when they are true; of others only that they are so again."""
_SUMMARIES = frozenset({ConditionType.PROGRESSING})
"""Never told: they sum up what is told."""
_BAD_WHEN_TRUE = frozenset({ConditionType.DEGRADED})
_NO_FAULT = frozenset({Reason.PAUSED, Reason.DELETING, Reason.NOT_CONFIGURED})
"""As somebody asked for it."""
_TOLD_BY_THE_ROLLOUT = frozenset({Reason.CANARY_PROGRESSING, Reason.CANARY_REJECTED})
"""Each step of a canary is an event of its own, with the figures that decided."""
_PASSING = frozenset(
    {
        Reason.NOT_READY,
        Reason.RELAYS_STARTING,
        Reason.NO_RELAYS,
        Reason.ROLLING_OUT,
        Reason.RECONCILING,
        Reason.PODS_NOT_REPORTING,
        Reason.TWILIO_PENDING,
        Reason.FUNCTIONS_DEPLOYING,
        Reason.UNKNOWN,
        Reason.MODEL_UNREACHABLE,
        Reason.SYNC_UNREACHABLE,
        Reason.TWILIO_UNREACHABLE,
    }
)
"""Not there yet: a pod's way out of the cluster may come after the pod."""
_OF_THE_ENDPOINT = frozenset(
    {
        Reason.DNS_FAILED,
        Reason.CERTIFICATE_INVALID,
        Reason.CONNECTION_FAILED,
        Reason.PATH_NOT_ROUTED,
        Reason.UPGRADE_NOT_PASSED,
        Reason.REQUEST_ALTERED,
    }
)
"""A name, a certificate and a route take their time, as relays do: each may pass by itself until it has lasted."""


class Event(NamedTuple):
    """An event about a condition."""

    condition: Condition
    warning: bool


Told = dict[str, tuple[str, str]]
"""Status and reason that were last told, by condition."""


def already_told(conditions: Sequence[Condition], now: str) -> Told:
    """Returns what counts as told when this operator sees an object for the first time, at `now` (RFC 3339): what its status has, but for
    what may pass and does not last so long yet that the operator before will have told it. (One that was away all that time has not.)"""
    told = (one for one in conditions if not passes(one["reason"]) or _lasted(one, now) >= TOLD_BEFORE_SECONDS)
    return {one["type"]: (one["status"], one["reason"]) for one in told}


def due_events(told: Told, conditions: Sequence[Condition], now: str) -> list[Event]:
    """Returns the events that are due at `now` (RFC 3339). `told` is brought up to date."""
    found = [event for one in conditions if (event := _event(told.get(one["type"]), one, now)) is not None]
    for one in conditions:
        if any(event.condition is one for event in found) or not _is_bad(one):
            told[one["type"]] = (one["status"], one["reason"])
    return found


def until_event(told: Told, conditions: Sequence[Condition], now: str) -> float:
    """Returns the seconds until an event comes due by the passing of time alone; infinite where none does."""
    passing = (one for one in conditions if _is_bad(one) and one["type"] not in _SUMMARIES and passes(one["reason"]))
    waiting = (one for one in passing if told.get(one["type"]) != (one["status"], one["reason"]))
    return min((max(0.0, PATIENCE_SECONDS - _lasted(one, now)) for one in waiting), default=float("inf"))


def _event(told: tuple[str, str] | None, one: Condition, now: str) -> Event | None:
    kind, status, reason = one["type"], one["status"], one["reason"]
    if (status, reason) == told or kind in _SUMMARIES or reason in _TOLD_BY_THE_ROLLOUT:
        return None
    if not _is_bad(one):
        worth = kind in _TOLD_WHEN_TRUE if told is None or told[0] == "Unknown" else told[0] != status
        return Event(one, warning=False) if worth else None
    if reason in _NO_FAULT:
        return Event(one, warning=False) if told is not None and told[0] != status else None
    if passes(reason) and _lasted(one, now) < PATIENCE_SECONDS:
        return None
    return Event(one, warning=True)


def _is_bad(one: Condition) -> bool:
    return bool(one["status"] != ("False" if one["type"] in _BAD_WHEN_TRUE else "True"))


def passes(reason: str) -> bool:
    """Returns whether a reason names what may pass by itself."""
    return reason in _PASSING or reason in _OF_THE_ENDPOINT


def _lasted(one: Condition, now: str) -> float:
    """Seconds since the condition has its status."""
    since = datetime.fromisoformat(one["lastTransitionTime"]).astimezone(UTC)
    return (datetime.fromisoformat(now).astimezone(UTC) - since).total_seconds()
