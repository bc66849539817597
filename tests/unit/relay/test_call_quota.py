"""Whether one more call may be started: its own calls, others', and what was just asked for."""

from __future__ import annotations

from voiceassist_relay.call_quota import ARRIVES_SECONDS, CallQuota


def test_call_quota_counts_here_elsewhere_and_what_was_just_asked_for() -> None:
    quota = CallQuota()
    assert not quota.full(3, here=2, now=0.0)
    quota.told(1)
    assert quota.full(3, here=2, now=0.0)
    assert not quota.full(4, here=2, now=0.0)
    quota.asked("a", 0.0)
    assert quota.full(4, here=2, now=1.0)
    assert not quota.full(4, here=2, now=ARRIVES_SECONDS), "it came to another relay, which counts it, or nowhere"
    assert not quota.full(None, here=1000, now=0.0)


def test_call_quota_what_came_here_is_counted_once() -> None:
    quota = CallQuota()
    quota.asked("a", 0.0)
    quota.asked("b", 0.0)
    quota.arrived(lambda call: call == "a")
    assert quota.calls(here=1, now=1.0) == 2


def test_call_quota_what_the_operator_said_last_stands() -> None:
    quota = CallQuota()
    quota.told(5)
    quota.told(None)
    assert quota.calls(here=0, now=1e6) == 5
    quota.told(0)
    assert quota.calls(here=0, now=1e6) == 0
