from __future__ import annotations

from voiceassist_crds.status import PeerReason
from voiceassist_relay.peer_health import PeerHealth


def test_peer_health_rules() -> None:
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


def test_peer_health_successes_forget_failures() -> None:
    health = PeerHealth(0)
    for at in range(1, 20, 2):
        health.worked(at)
        health.failed(PeerReason.SERVER_ERROR, "x", at + 1)
        assert health.status.ok


def test_peer_health_after_a_change_nothing_is_known_until_an_answer_is_there() -> None:
    health = PeerHealth(0)
    health.worked(1)
    health.changed(2)
    assert (health.status.ok, health.status.reason, health.status.since) == (False, PeerReason.UNKNOWN, 2)
    health.failed(PeerReason.UNREACHABLE, "x", 3)
    assert (health.status.ok, health.status.reason, health.status.since) == (False, PeerReason.UNREACHABLE, 3), (
        "no third time is waited for"
    )
    health.changed(4)
    health.worked(5)
    assert (health.status.ok, health.status.since) == (True, 5)


def test_peer_health_who_asked_before_the_change_is_not_heard_after_it() -> None:
    health = PeerHealth(0)
    before = health.reporter()
    before.worked(1)
    assert health.status.ok
    health.changed(2)
    before.worked(3)
    before.failed(PeerReason.REFUSED, "x", 4)
    assert (health.status.reason, health.status.since) == (PeerReason.UNKNOWN, 2)
    health.reporter().worked(5)
    assert health.status.ok


def test_peer_health_a_format_that_is_misread_stands_until_audio_is_heard_rightly() -> None:
    health = PeerHealth(0)
    health.worked(1)
    health.reporter().failed(PeerReason.AUDIO_FORMAT, "noise", 2)
    health.worked(3)
    assert health.status.reason is PeerReason.AUDIO_FORMAT
    old = health.reporter()
    health.reporter().heard(4)
    assert health.status.ok
    health.changed(5)
    old.heard(6)
    assert (health.times_heard, health.status.ok) == (1, False), "what was asked before does not count"
