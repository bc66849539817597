from __future__ import annotations

from voiceassist_crds.status import PeerReason
from voiceassist_relay.peer_health import PeerHealth


def test_rules() -> None:
    health = PeerHealth(0)
    assert (health.status.ok, health.status.reason) == (False, PeerReason.UNKNOWN)
    health.worked(1)
    assert (health.status.ok, health.status.since) == (True, 1)
    health.failed(PeerReason.UNREACHABLE, "x", 2)
    health.failed(PeerReason.UNREACHABLE, "x", 3)
    assert health.status.ok, "two passing faults are not yet a state"
    health.failed(PeerReason.UNREACHABLE, "x", 4)
    assert (health.status.ok, health.status.reason, health.status.since) == (False, PeerReason.UNREACHABLE, 4)
    health.failed(PeerReason.UNREACHABLE, "x", 5)
    assert health.status.since == 4, "since is the time of the change"
    health.worked(6)
    health.failed(PeerReason.REFUSED, "key", 7)
    assert (health.status.ok, health.status.reason) == (False, PeerReason.REFUSED), "a definite refusal counts at once"


def test_successes_forget_failures() -> None:
    health = PeerHealth(0)
    for at in range(1, 20, 2):
        health.worked(at)
        health.failed(PeerReason.SERVER_ERROR, "x", at + 1)
        assert health.status.ok
