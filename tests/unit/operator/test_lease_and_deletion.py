"""Decisions about the Lease, addresses that two objects claim, and when an object goes: pure, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from voiceassist_operator.controller.leader_election import TRY_SECONDS
from voiceassist_operator.kubernetes.lease import DEADLINE, DURATION, RENEW_EVERY, Seen, Step, lease_spec, may_write, next_step, note
from voiceassist_operator.policy.claims import Claims
from voiceassist_operator.policy.deletion import EXTRA_SECONDS, RELEASE_ANNOTATION, release_at, waits_for_twilio
from voiceassist_operator.policy.resources.deployment import CLOSE_SECONDS
from voiceassist_operator.twilio.model.desired import Neighbours
from voiceassist_operator.twilio.model.flex import DEFAULT, EarlierClaim


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
    assert release_at(body) == 60 + drain + CLOSE_SECONDS + EXTRA_SECONDS


@pytest.mark.parametrize(
    ("annotations", "gone_for", "after", "waits"),
    [
        ({}, 0.0, 0.0, True),
        ({}, 599.0, 0.0, True),
        ({}, 600.0, 0.0, False),
        ({RELEASE_ANNOTATION: "true"}, 0.0, 0.0, False),
        ({RELEASE_ANNOTATION: "false"}, 0.0, 0.0, True),
        ({}, 0.0, 601.0, False),
    ],
    ids=["at first", "nearly", "long enough", "told to", "told not to", "operators that were started again and again"],
)
def test_twilio_is_not_waited_for_for_ever(annotations: dict[str, str], gone_for: float, after: float, waits: bool) -> None:
    body = {"metadata": {"deletionTimestamp": "1970-01-01T00:01:00Z", "annotations": annotations}, "spec": {}}
    assert waits_for_twilio(body, gone_for, 600.0, release_at(body) + after) is waits


def claim(uid: str, created: str, host: str = "h", prefix: str = "", **metadata: Any) -> dict[str, Any]:
    names = {"uid": uid, "name": uid, "namespace": "n", "creationTimestamp": created}
    return {"metadata": {**names, **metadata}, "spec": {"host": host, "pathPrefix": prefix}}


def test_the_older_object_keeps_its_address() -> None:
    claims = Claims()
    assert claims.note(claim("b", "2026-01-01T00:00:02Z")) == set()
    assert claims.note(claim("a", "2026-01-01T00:00:01Z")) == {"b"}, "who may have lost is told"
    assert claims.note(claim("c", "2026-01-01T00:00:01Z", prefix="/c")) == set()
    assert (claims.conflicting("a"), claims.conflicting("b"), claims.conflicting("c"), claims.conflicting("unknown")) == ("", "n/a", "", "")
    assert claims.note(claim("a", "2026-01-01T00:00:01Z")) == set(), "nothing new"
    assert claims.note(claim("a", "2026-01-01T00:00:01Z", host="other")) == {"b"}
    assert claims.conflicting("b") == ""


def test_an_object_that_is_being_deleted_claims_nothing() -> None:
    claims = Claims()
    claims.note(claim("a", "2026-01-01T00:00:01Z"))
    claims.note(claim("b", "2026-01-01T00:00:01Z"))
    assert claims.conflicting("b") == "n/a"
    assert claims.note(claim("a", "2026-01-01T00:00:01Z", deletionTimestamp="2026-01-01T00:00:09Z")) == {"b"}
    assert claims.conflicting("b") == ""
    claims.note(claim("a", "2026-01-01T00:00:01Z"))
    assert claims.drop("a") == {"b"}
    assert claims.drop("a") == set()


def in_flex(uid: str, created: str, queues: list[str] | None = None, account: str = "AC1", **more: Any) -> dict[str, Any]:
    body = claim(uid, created, host=uid, **more)
    body["spec"]["twilio"] = {"accountSid": account, "flex": {"queues": queues or [], "configure": queues is not None}}
    return body


def test_the_older_object_keeps_its_queues() -> None:
    claims, old, new = Claims(), "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"
    assert claims.note(in_flex("b", new, ["care", "sales"])) == set()
    assert claims.note(in_flex("a", old, ["sales", "more"])) == {"b"}, "who may have lost is told"
    assert claims.note(in_flex("c", old, ["sales"], account="AC2")) == set(), "another account"
    assert claims.note(in_flex("d", old, None)) == set(), "configured by hand"
    assert claims.note(in_flex("e", old, [])) == set(), "the default is no queue"
    known = frozenset({"n/a", "n/d", "n/e"})
    assert claims.neighbours("b") == Neighbours((EarlierClaim("n/a", frozenset({"sales"})),), known)
    assert claims.neighbours("a").earlier == ()
    assert claims.neighbours("unknown") == Neighbours()
    claims.note(in_flex("f", new, []))
    assert claims.neighbours("f").earlier == (EarlierClaim("n/e", frozenset({DEFAULT})),)
    assert claims.note(in_flex("a", old, ["sales"], deletionTimestamp="2026-01-01T00:00:09Z")) == {"b"}
    after = claims.neighbours("b")
    assert (after.earlier, "n/a" in after.known) == ((), True), "what is left of it in Flex counts no more"
    claims.drop("a")
    assert "n/a" not in claims.neighbours("b").known
