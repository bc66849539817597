"""What the relays report of a peer (the model, Sync, each other), as one verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from voiceassist_crds.names import PRIVATE_PORT
from voiceassist_crds.reasons import Reason
from voiceassist_crds.status import PeerReason

from .condition import Verdict
from .observed import Observed, PodFact
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


def connected_verdict(seen: Observed) -> Verdict:
    """Returns whether the relays reach each other, as far as one had to ask another.

    Addresses of pods that are no longer there, or are ending, do not count: nobody is to answer at those.
    """
    there = {pod.ip: pod.name for pod in current_pods(seen) if pod.ip}
    cut = {
        pod.name: [there[address] for address in map(_host, pod.status.unreached_relays) if address in there]
        for pod in current_pods(seen)
        if pod.status is not None
    }
    cut = {name: others for name, others in cut.items() if others}
    if not cut:
        return Verdict(True, Reason.RELAYS_CONNECTED)
    name, others = next(iter(cut.items()))
    text = (
        f"{len(cut)} of {len(there)} relays get no answer from others on port {PRIVATE_PORT} ({name}: {others[0]}): "
        "agents' pause and resume fail for calls there. "
        f"Let relay pods reach each other on TCP port {PRIVATE_PORT} in every NetworkPolicy and mesh policy that selects them: "
        f"kubectl -n {seen.owner.namespace} get networkpolicy"
    )
    return Verdict(False, Reason.RELAYS_CUT_OFF, text)


def vanished_pods(seen: Observed) -> list[PodFact]:
    """Returns pods that count as ready and have vanished: they answered before, and answer neither the operator nor other relays now.

    Every relay that answers must say so, and more than half of those that are ready never have: who sees that is cut off.
    """
    current = current_pods(seen)
    told = [{_host(address) for address in pod.status.silent_relays} for pod in current if pod.status is not None and not pod.late]
    silent = set.intersection(*told) if told else set()
    gone = [pod for pod in current if pod.ready and (pod.late or pod.status is None) and not pod.unreadable and pod.ip in silent]
    return gone if 2 * len(gone) <= sum(pod.ready for pod in current) else []


def with_nowhere_to_move(seen: Observed) -> list[tuple[str, int]]:
    """Returns pods that end and have calls for which no other relay has a place, with their number."""
    return [(pod.name, pod.status.active_calls) for pod in seen.pods if pod.status is not None and pod.status.nowhere_to_move]


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")
