"""Addresses and queues that two objects claim."""

from __future__ import annotations

from typing import Any

from voiceassist_operator.policy.claims import Claims
from voiceassist_operator.twilio.model.desired import Neighbours
from voiceassist_operator.twilio.model.flex import DEFAULT, EarlierClaim


def claim(uid: str, created: str, host: str = "h", prefix: str = "", **metadata: Any) -> dict[str, Any]:
    names = {"uid": uid, "name": uid, "namespace": "n", "creationTimestamp": created}
    return {"metadata": {**names, **metadata}, "spec": {"host": host, "pathPrefix": prefix}}


def test_claims_the_older_object_keeps_its_address() -> None:
    claims = Claims()
    assert claims.note(claim("b", "2026-01-01T00:00:02Z")) == set()
    assert claims.note(claim("a", "2026-01-01T00:00:01Z")) == {"b"}, "who may have lost is told"
    assert claims.note(claim("c", "2026-01-01T00:00:01Z", prefix="/c")) == set()
    assert (claims.conflicting("a"), claims.conflicting("b"), claims.conflicting("c"), claims.conflicting("unknown")) == ("", "n/a", "", "")
    assert claims.note(claim("a", "2026-01-01T00:00:01Z")) == set(), "nothing new"
    assert claims.note(claim("a", "2026-01-01T00:00:01Z", host="other")) == {"b"}
    assert claims.conflicting("b") == ""


def test_claims_an_object_that_is_being_deleted_claims_nothing() -> None:
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


def test_claims_the_older_object_keeps_its_queues() -> None:
    claims, old, new = Claims(), "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"
    assert claims.note(in_flex("b", new, ["care", "sales"])) == set()
    assert claims.note(in_flex("a", old, ["sales", "more"])) == {"b"}, "who may have lost is told"
    assert claims.note(in_flex("c", old, ["sales"], account="AC2")) == set(), "another account"
    assert claims.note(in_flex("d", old, None)) == set(), "configured by hand"
    assert claims.note(in_flex("e", old, [])) == set(), "the default is no queue"
    known = frozenset({"n/a", "n/b", "n/d", "n/e"})
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


def test_claims_a_thousand_objects_of_one_account_share_what_they_know_of_each_other() -> None:
    claims = Claims()
    for number in range(1000):
        claims.note(in_flex(f"{number}", "2026-01-01T00:00:01Z"))
    assert len({id(claims.neighbours(f"{number}").known) for number in range(1000)}) == 1
