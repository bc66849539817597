"""When a VoiceAssist is looked at again, and whether everything is observed anew or its relays alone are asked. Pure; seconds."""

from __future__ import annotations

from .observed import Endpoint, EndpointFact, Observed
from .rollout import current_pods
from .spending import is_limited, live_calls, near_a_limit

RESYNC_SECONDS = 600.0
"""How often everything is observed although nothing happened."""
BLOCKED_SECONDS = 60.0
"""The same at most where the object waits for what no watch tells of: a Secret that is not released, a name that somebody else has."""
POLL_SECONDS, LONGEST_POLL_SECONDS = 5.0, 45.0
"""Between two questions to the relays; the longer time where many objects are at rest. A relay takes an endpoint's report for 60 s old at
most."""
STEADY_POLLS = 3
"""After so many answers in a row without news, relays are at rest."""
POLLS_A_SECOND, BUSY_POLLS_A_SECOND, DIALS_A_SECOND = 25.0, 40.0, 4.0
"""Relays at rest that are asked, those that are not, and public addresses that are dialled, of all objects together."""
SCALING_SECONDS, LONGEST_SCALING_SECONDS = 1.0, 5.0
"""The same where their calls decide how many of them there are; or where they share a limit of which little is left."""
ROLLING_SECONDS = 0.25
"""The same while a configuration is on its way to them; longer where that is so for many objects at once."""
LATE_SECONDS = 1.0
"""The same while one of them has just stopped answering."""
RETRY_SECONDS = 5.0
"""After a failure that names no time of its own."""
DELETION_SECONDS = 2.0
"""Between two steps of a deletion that waits."""
PROBE_SECONDS, PROBE_FAILED_SECONDS = 30.0, 5.0
"""Between two dials of the public address."""
LONGEST_PROBE_SECONDS, LONGEST_FAILED_SECONDS = 300.0, 60.0
"""The same where there are many objects."""


def observe_anew(*, stale: bool, since_observed: float | None, resync: float) -> bool:
    """Returns whether everything is observed in this pass.

    `stale`: something happened that the object depends on. `since_observed`: seconds since all was observed; None where that does
    not count any more, or never was.
    """
    return stale or since_observed is None or since_observed >= resync


def until_resync(seen: Observed | None, resync: float) -> float:
    """Returns the seconds until everything is observed anew although nothing happened."""
    if seen is None:
        return resync
    secrets = (seen.credentials, seen.model_key)
    blocked = bool(seen.taken) or not all(one.found and one.released for one in secrets)
    return min(resync, BLOCKED_SECONDS) if blocked else resync


def shared(least: float, longest: float, count: int, a_second: float) -> float:
    """Returns the seconds between two times for one of `count`, so that all together come to no more than so many a second."""
    return max(least, min(longest, count / a_second))


def until_next_pass(
    seen: Observed, resync: float, *, rolling: bool, apply_failed: bool, steady: int = 0, objects: int = 1, rolled_at_once: int = 1
) -> float:
    """Returns the seconds after a pass that ended well. `rolling`: a configuration is on its way to the relays.

    `steady`: how many times in a row the relays had no news. `objects`: how many there are with this one; `rolled_at_once`: to how many of
    these a configuration is on its way.
    """
    if apply_failed:
        return RETRY_SECONDS
    answering = any(pod.status is not None for pod in current_pods(seen))
    if rolling and answering:
        return shared(ROLLING_SECONDS, POLL_SECONDS, rolled_at_once * len(seen.pods), BUSY_POLLS_A_SECOND)
    if any(pod.late for pod in current_pods(seen)):  # the others are to hear of it soon
        return LATE_SECONDS
    at_rest = steady >= STEADY_POLLS
    least, longest = POLL_SECONDS, LONGEST_POLL_SECONDS if at_rest else POLL_SECONDS
    scales = seen.owner.spec.relay.autoscaling is not None
    if scales or is_limited(seen):
        empty = at_rest and live_calls(seen) == 0
        least = SCALING_SECONDS if scales or near_a_limit(seen) else POLL_SECONDS
        longest = LONGEST_POLL_SECONDS if empty else LONGEST_SCALING_SECONDS
    a_second = POLLS_A_SECOND if longest == LONGEST_POLL_SECONDS else BUSY_POLLS_A_SECOND
    return min(shared(least, longest, objects * max(1, len(seen.pods)), a_second), resync)


def dial_is_due(last: EndpointFact | None, since_dialled: float, objects: int = 1) -> bool:
    """Returns whether the public address is dialled now; `last` is what the last dial found, `since_dialled` seconds ago.

    `objects`: how many there are with this one.
    """
    well = last is not None and last.result is Endpoint.OK
    least, longest = (PROBE_SECONDS, LONGEST_PROBE_SECONDS) if well else (PROBE_FAILED_SECONDS, LONGEST_FAILED_SECONDS)
    return since_dialled >= shared(least, longest, objects, DIALS_A_SECOND)
