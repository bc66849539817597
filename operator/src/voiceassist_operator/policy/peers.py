"""What the relays report of a peer, the model or Sync, as one verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from voiceassist_crds.reasons import Reason
from voiceassist_crds.status import PeerReason

from .condition import Verdict
from .observed import Observed
from .rollout import current_pods


def peer_verdict(
    seen: Observed, peer: Literal["model", "sync"], good: Reason, unreachable: Reason, reasons: Mapping[PeerReason, Reason]
) -> Verdict:
    """Returns what the relays that are there to stay say together: the first that is not well decides.

    `unreachable` is the reason for every PeerReason that is not in `reasons`.
    """
    reported = [(pod.name, getattr(pod.status, peer)) for pod in current_pods(seen) if pod.status is not None]
    bad = [(name, status) for name, status in reported if not status.ok and status.reason is not PeerReason.UNKNOWN]
    if bad:
        name, status = bad[0]
        reason = reasons.get(status.reason or PeerReason.UNREACHABLE, unreachable)
        return Verdict(False, reason, f"{len(bad)} of {len(reported)} relays report it ({name}): {status.message}")
    if not any(status.ok for _, status in reported):
        return Verdict(None, Reason.UNKNOWN, "no relay has reported yet")
    return Verdict(True, good)
