"""Decisions about the Lease, as tables."""

from __future__ import annotations

import pytest

from voiceassist_operator.kubernetes.lease import (
    DEADLINE,
    DURATION,
    RENEW_EVERY,
    TRY_AGAIN,
    TRY_SECONDS,
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
    ],
)
def test_lease_next_step(seen: Seen | None, now: float, step: Step) -> None:
    assert next_step(seen, "me", now) is step


@pytest.mark.parametrize(
    ("renewed", "now", "may"), [(None, 0.0, False), (5.0, 5.0, True), (5.0, 5.0 + DEADLINE - 0.1, True), (5.0, 5.0 + DEADLINE, False)]
)
def test_lease_may_write(renewed: float | None, now: float, may: bool) -> None:
    assert may_write(renewed, now) is may


def test_lease_times_leave_room_for_two_attempts() -> None:
    assert RENEW_EVERY + TRY_SECONDS + TRY_AGAIN + TRY_SECONDS < DEADLINE < DURATION
    assert TRY_SECONDS <= RENEW_EVERY, "a slow renewal does not put off the next one"


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
    first = lease_spec(None, "me", 0.0)
    assert (first["holderIdentity"], first["leaseTransitions"], first["acquireTime"]) == ("me", 1, "1970-01-01T00:00:00.000000Z")
    renewed = lease_spec({"spec": first}, "me", 5.0)
    assert (renewed["leaseTransitions"], renewed["acquireTime"], renewed["renewTime"]) == (
        1,
        first["acquireTime"],
        "1970-01-01T00:00:05.000000Z",
    )
    assert lease_spec({"spec": renewed}, "other", 9.0)["leaseTransitions"] == 2
    assert lease_spec({"spec": renewed}, "", 9.0)["holderIdentity"] == ""
