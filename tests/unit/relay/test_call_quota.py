"""Whether one more call may be started: its own calls, others', and what was just asked for."""

from __future__ import annotations

from voiceassist_relay.call_quota import ARRIVES_SECONDS, CallQuota, Place


def test_call_quota_counts_here_elsewhere_and_what_was_just_asked_for() -> None:
    quota = CallQuota()
    assert quota.reserve("a", 3, here=2, now=0.0) is Place.TAKEN
    assert quota.reserve("a", 3, here=2, now=0.0) is Place.HELD
    assert quota.reserve("b", 3, here=2, now=1.0) is Place.FULL
    assert quota.reserve("b", 3, here=2, now=ARRIVES_SECONDS) is Place.TAKEN, "it came to another relay, which counts it, or nowhere"
    quota.told(3)
    assert quota.reserve("c", 6, here=3, now=ARRIVES_SECONDS) is Place.FULL


def test_call_quota_of_many_at_once_as_many_as_there_are_places_begin() -> None:
    quota = CallQuota()
    places = [quota.reserve(f"call {number}", 40, here=39, now=0.0) for number in range(20)]
    assert places == [Place.TAKEN, *[Place.FULL] * 19]
    quota.forget("call 0")
    assert quota.reserve("call 1", 40, here=39, now=0.0) is Place.TAKEN


def test_call_quota_what_came_here_or_to_another_relay_is_counted_once() -> None:
    quota = CallQuota()
    for call in ("a", "b", "c"):
        quota.reserve(call, 9, here=0, now=0.0)
    quota.arrived(lambda call: call == "b")
    assert quota.calls(here=1, now=1.0) == 3
    quota.told(1)
    assert quota.calls(here=1, now=1.0) == 3
    quota.told(1)
    assert quota.calls(here=1, now=1.0) == 3


def test_call_quota_what_the_operator_said_last_stands() -> None:
    quota = CallQuota()
    quota.told(5)
    quota.told(None)
    assert quota.calls(here=0, now=1e6) == 5
    quota.told(0)
    assert quota.calls(here=0, now=1e6) == 0
