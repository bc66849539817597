"""When a VoiceAssist is looked at again, and whether everything is observed anew or its relays alone are asked. Pure; seconds."""

from __future__ import annotations

from .observed import Endpoint, EndpointFact, Observed
from .rollout import current_pods

RESYNC_SECONDS = 60.0
"""How often everything is observed although nothing happened."""
POLL_SECONDS = 5.0
"""Between two questions to the relays."""
ROLLING_SECONDS = 0.25
"""The same while a configuration is on its way to them."""
RETRY_SECONDS = 5.0
"""After a failure that names no time of its own."""
DELETION_SECONDS = 2.0
"""Between two steps of a deletion that waits."""
PROBE_SECONDS, PROBE_FAILED_SECONDS = 30.0, 5.0
"""Between two dials of the public address."""


def observe_anew(*, stale: bool, since_observed: float | None, resync: float) -> bool:
    """Returns whether everything is observed in this pass.

    `stale`: something happened that the object depends on. `since_observed`: seconds since all was observed; None where that does
    not count any more, or never was.
    """
    return stale or since_observed is None or since_observed >= resync


def until_next_pass(seen: Observed, resync: float, *, rolling: bool, apply_failed: bool) -> float:
    """Returns the seconds after a pass that ended well. `rolling`: a configuration is on its way to the relays."""
    if apply_failed:
        return RETRY_SECONDS
    answering = any(pod.status is not None for pod in current_pods(seen))
    return ROLLING_SECONDS if rolling and answering else min(POLL_SECONDS, resync)


def dial_is_due(last: EndpointFact | None, since_dialled: float) -> bool:
    """Returns whether the public address is dialled now; `last` is what the last dial found, `since_dialled` seconds ago."""
    well = last is not None and last.result is Endpoint.OK
    return since_dialled >= (PROBE_SECONDS if well else PROBE_FAILED_SECONDS)
