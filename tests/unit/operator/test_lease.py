"""Decisions about the Lease, as tables."""

from __future__ import annotations

import pytest

from voiceassist_operator.kubernetes.lease import (
    DURATION,
    LeaseTimes,
    Seen,
    Step,
    lease_spec,
    may_write,
    next_step,
    note,
)


@pytest.mark.parametrize(
    ("seen", "now", "step"),
    [
        (None, 0.0, Step.CREATE),
        (Seen("me", "1", 0.0), 100.0, Step.RENEW),
        (Seen("", "1", 0.0), 0.0, Step.TAKE),
        (Seen("other", "1", 0.0), DURATION, Step.WAIT),
        (Seen("other", "1", 0.0), DURATION + 0.1, Step.TAKE),
        (Seen("other", "1", 0.0, 60.0), 60.0, Step.WAIT),
        (Seen("other", "1", 0.0, 60.0), 60.1, Step.TAKE),
    ],
)
def test_lease_next_step(seen: Seen | None, now: float, step: Step) -> None:
    assert next_step(seen, "me", now) is step


@pytest.mark.parametrize(("renewed", "now", "may"), [(None, 0.0, False), (5.0, 5.0, True), (5.0, 14.9, True), (5.0, 15.0, False)])
def test_lease_may_write(renewed: float | None, now: float, may: bool) -> None:
    assert may_write(renewed, now, LeaseTimes()) is may


@pytest.mark.parametrize("duration", [5.0, DURATION, 60.0, 300.0])
def test_lease_times_leave_room_for_two_attempts(duration: float) -> None:
    times = LeaseTimes(duration)
    assert times.renew_every + times.attempt + times.try_again + times.attempt < times.deadline < duration
    assert times.attempt <= times.renew_every, "a slow renewal does not put off the next one"
    assert times.renew_every < 15, "a replica of version 0.1.0 takes what has not changed for 15 s"


def test_lease_the_holder_says_how_long_it_counts() -> None:
    spec = lease_spec(None, "other", 0.0, LeaseTimes(60.0))
    seen = note(None, {"spec": spec}, 0.0)
    assert seen is not None
    assert seen.duration == spec["leaseDurationSeconds"] == 60
    for odd in (None, 0, -1, "60"):
        assert note(None, {"spec": {**spec, "leaseDurationSeconds": odd}}, 0.0) == Seen("other", seen.stamp, 0.0, DURATION)


def test_lease_another_clock_is_never_compared_with_ours() -> None:
    lease = {"spec": {"holderIdentity": "other", "renewTime": "1970-01-01T00:00:00Z", "leaseTransitions": 1}}
    seen = note(None, lease, 50.0)
    assert seen == Seen("other", "1970-01-01T00:00:00Z/1", 50.0)
    assert note(seen, lease, 60.0) == seen, "what does not change gets older by our clock"
    newer = note(seen, {"spec": {**lease["spec"], "renewTime": "1970-01-01T00:00:01Z"}}, 60.0)
    assert newer is not None
    assert newer.at == 60.0
    assert note(seen, None, 60.0) is None


def test_lease_the_spec_of_the_lease() -> None:
    first = lease_spec(None, "me", 0.0, LeaseTimes())
    assert (first["holderIdentity"], first["leaseTransitions"], first["acquireTime"]) == ("me", 1, "1970-01-01T00:00:00.000000Z")
    renewed = lease_spec({"spec": first}, "me", 5.0, LeaseTimes())
    assert (renewed["leaseTransitions"], renewed["acquireTime"], renewed["renewTime"]) == (
        1,
        first["acquireTime"],
        "1970-01-01T00:00:05.000000Z",
    )
    assert lease_spec({"spec": renewed}, "other", 9.0, LeaseTimes())["leaseTransitions"] == 2
    assert lease_spec({"spec": renewed}, "", 9.0, LeaseTimes())["holderIdentity"] == ""
