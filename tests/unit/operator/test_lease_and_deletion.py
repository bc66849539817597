"""Decisions about the Lease, addresses that two objects claim, and when an object goes: pure, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_operator.deletion import CLOSE_SECONDS, EXTRA_SECONDS, let_go_at
from voiceassist_operator.keepers import Claims
from voiceassist_operator.leadership import TRY_SECONDS
from voiceassist_operator.lease import DEADLINE, DURATION, RENEW_EVERY, Seen, Step, lease_spec, may_write, next_step, note


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
def test_next_step(seen: Seen | None, now: float, step: Step) -> None:
    assert next_step(seen, "me", now) is step


@pytest.mark.parametrize(
    ("renewed", "now", "may"), [(None, 0.0, False), (5.0, 5.0, True), (5.0, 5.0 + DEADLINE - 0.1, True), (5.0, 5.0 + DEADLINE, False)]
)
def test_may_write(renewed: float | None, now: float, may: bool) -> None:
    assert may_write(renewed, now) is may


def test_times_leave_room() -> None:
    assert RENEW_EVERY + TRY_SECONDS < DEADLINE < DURATION


def test_another_clock_is_never_compared_with_ours() -> None:
    lease = {"spec": {"holderIdentity": "other", "renewTime": "1970-01-01T00:00:00Z", "leaseTransitions": 1}}
    seen = note(None, lease, 50.0)
    assert seen == Seen("other", "1970-01-01T00:00:00Z/1", 50.0)
    assert note(seen, lease, 60.0) == seen, "what does not change gets older by our clock"
    newer = note(seen, {"spec": {**lease["spec"], "renewTime": "1970-01-01T00:00:01Z"}}, 60.0)
    assert newer is not None
    assert newer.at == 60.0
    assert note(seen, None, 60.0) is None


def test_the_spec_of_the_lease() -> None:
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


@pytest.mark.parametrize(("spec", "drain"), [({"relay": {"drainTimeoutSeconds": 60}}, 60), ({}, 3600), ({"relay": {}}, 3600)])
def test_an_object_goes_at_last(spec: dict[str, Any], drain: int) -> None:
    body = {"metadata": {"deletionTimestamp": "1970-01-01T00:01:00Z"}, "spec": spec}
    assert let_go_at(body) == 60 + drain + CLOSE_SECONDS + EXTRA_SECONDS


def claim(uid: str, created: str, host: str = "h", prefix: str = "", **metadata: Any) -> dict[str, Any]:
    names = {"uid": uid, "name": uid, "namespace": "n", "creationTimestamp": created}
    return {"metadata": {**names, **metadata}, "spec": {"host": host, "pathPrefix": prefix}}


def test_the_older_object_keeps_its_address() -> None:
    claims = Claims()
    assert claims.note(claim("b", "2026-01-01T00:00:02Z")) == set()
    assert claims.note(claim("a", "2026-01-01T00:00:01Z")) == {"b"}, "who may have lost is told"
    assert claims.note(claim("c", "2026-01-01T00:00:01Z", prefix="/c")) == set()
    assert (claims.rival("a"), claims.rival("b"), claims.rival("c"), claims.rival("unknown")) == ("", "n/a", "", "")
    assert claims.note(claim("a", "2026-01-01T00:00:01Z")) == set(), "nothing new"
    assert claims.note(claim("a", "2026-01-01T00:00:01Z", host="other")) == {"b"}
    assert claims.rival("b") == ""


def test_an_object_that_is_being_deleted_claims_nothing() -> None:
    claims = Claims()
    claims.note(claim("a", "2026-01-01T00:00:01Z"))
    claims.note(claim("b", "2026-01-01T00:00:01Z"))
    assert claims.rival("b") == "n/a"
    assert claims.note(claim("a", "2026-01-01T00:00:01Z", deletionTimestamp="2026-01-01T00:00:09Z")) == {"b"}
    assert claims.rival("b") == ""
    claims.note(claim("a", "2026-01-01T00:00:01Z"))
    assert claims.drop("a") == {"b"}
    assert claims.drop("a") == set()
