"""What is to be done at Twilio, as tables: Sync services, Flex entries, refusals, when to look again."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.reasons import Reason
from voiceassist_operator.errors import NotLeading
from voiceassist_operator.twilio.flex.plan import plan_flex, plan_flex_removal
from voiceassist_operator.twilio.model.errors import TwilioRefused, TwilioUnavailable
from voiceassist_operator.twilio.model.flex import DEFAULT, EarlierClaim, FlexDesired
from voiceassist_operator.twilio.model.outcome import SyncRecord, problem_of
from voiceassist_operator.twilio.model.refusals import Refusal, is_busy, is_unclear, problem, refusal
from voiceassist_operator.twilio.model.schedule import RESYNC_SECONDS, Cause, next_look
from voiceassist_operator.twilio.model.sync_service import SyncDesired, SyncService, SyncSettings
from voiceassist_operator.twilio.sync.plan import SyncPlan, SyncSeen, plan_sync

NAME = "voiceassist/team/support/uid-1"
RIGHT = SyncSettings()
A, B, C = (SyncService(f"IS{letter}", NAME, RIGHT, created) for letter, created in (("a", 1.0), ("b", 2.0), ("c", 3.0)))
MADE_A, MADE_B = SyncRecord("ISa", made=True), SyncRecord("ISb", made=True)
NOBODY = SyncRecord()


@pytest.mark.parametrize(
    ("record", "seen", "expected"),
    [
        (NOBODY, SyncSeen(), SyncPlan(create=True)),
        (NOBODY, SyncSeen(named=(A,)), SyncPlan(MADE_A)),
        (MADE_A, SyncSeen(named=(A,)), SyncPlan(MADE_A)),
        (SyncRecord("ISz"), SyncSeen(named=()), SyncPlan(create=True)),
        (NOBODY, SyncSeen(named=(B, A)), SyncPlan(MADE_A, ask_empty=("ISb",))),
        (MADE_B, SyncSeen(named=(A, B)), SyncPlan(MADE_B, ask_empty=("ISa",))),
        (MADE_B, SyncSeen(named=(A, B), asked_empty=frozenset({"ISa"})), SyncPlan(MADE_B)),
        (NOBODY, SyncSeen(known=B, named=(A,)), SyncPlan(MADE_A, ask_empty=("ISb",))),
        (NOBODY, SyncSeen(known=A), SyncPlan(MADE_A)),
    ],
    ids=[
        "nothing",
        "made before a crash",
        "recorded",
        "adopted before",
        "two, unrecorded",
        "two, one recorded",
        "two, one in use",
        "two made at once",
        "too new for the list",
    ],
)
def test_twilio_made_services(record: SyncRecord, seen: SyncSeen, expected: SyncPlan) -> None:
    assert plan_sync(SyncDesired(NAME), record, seen) == expected


def test_twilio_an_empty_twin_is_deleted_and_told() -> None:
    seen = SyncSeen(named=(A, B, C), empty=frozenset({"ISc"}), asked_empty=frozenset({"ISb", "ISc"}))
    plan = plan_sync(SyncDesired(NAME), NOBODY, seen)
    assert (plan.use, plan.delete, len(plan.drift)) == (MADE_A, ("ISc",), 1)


def test_twilio_one_that_was_deleted_by_hand() -> None:
    plan = plan_sync(SyncDesired(NAME), MADE_A, SyncSeen())
    assert plan.create
    assert "ISa was deleted by hand" in plan.drift[0]
    plan = plan_sync(SyncDesired(NAME), MADE_A, SyncSeen(named=(B,)))
    assert plan.use == MADE_B
    assert "ISb takes its place" in plan.drift[0]


@pytest.mark.parametrize("name", SyncSettings.__slots__)
def test_twilio_each_setting_is_put_back(name: str) -> None:
    wrong: dict[str, Any] = {"acl_enabled": False, "webhook_url": "https://x", "webhooks_from_rest_enabled": True}
    value = wrong.get(name, True)
    spoilt = SyncService("ISa", NAME, SyncSettings(**{**{one: getattr(RIGHT, one) for one in SyncSettings.__slots__}, name: value}))
    plan = plan_sync(SyncDesired(NAME), MADE_A, SyncSeen(named=(spoilt,)))
    assert plan.update == {name: getattr(RIGHT, name)}
    assert name in plan.drift[0]


def test_twilio_adopted_services() -> None:
    wanted = SyncDesired(NAME, "ISa")
    theirs = SyncService("ISa", "theirs", SyncSettings(webhook_url="https://theirs"))
    assert plan_sync(wanted, NOBODY, SyncSeen(theirs)) == SyncPlan(SyncRecord("ISa"))
    opened = SyncService("ISa", "theirs", SyncSettings(acl_enabled=False))
    assert plan_sync(wanted, MADE_A, SyncSeen(opened)).update == {"acl_enabled": True}
    missing = plan_sync(wanted, NOBODY, SyncSeen()).problem
    assert missing is not None
    assert missing.reason is Reason.SYNC_NOT_FOUND


# Flex

URL, SINCE = "https://assist.example.com", "2026-05-01T00:00:00Z"
FLEX = FlexDesired("team/support", "uid-1", SINCE)
OWN = {"functionsUrl": URL, "default": True, "uid": "uid-1", "since": SINCE}


def configuration(**instances: Any) -> dict[str, Any]:
    named = {key.replace("__", "/"): entry for key, entry in instances.items()}
    return {"ui_attributes": {"theme": "dark", "custom_data": {"others": {"a": 1}, "voice_assist": {"x": 1, "instances": named}}}}


def entries(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = attributes["custom_data"]["voice_assist"]["instances"]
    return found


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"ui_attributes": None},
        {"ui_attributes": {"custom_data": None}},
        {"ui_attributes": {"custom_data": {"voice_assist": 5}}},
        {"ui_attributes": {"custom_data": {"voice_assist": {"instances": []}}}},
        configuration(),
        configuration(team__support={"functionsUrl": "https://old"}),
        configuration(team__support="text"),
    ],
    ids=["nothing", "null", "no data", "a number", "a list", "others", "an old entry", "a text"],
)
def test_twilio_an_entry_is_written(seen: dict[str, Any]) -> None:
    plan = plan_flex(FLEX, URL, seen)
    assert plan.entry == OWN
    assert plan.write is not None
    assert entries(plan.write) == {"team/support": OWN}
    again = plan_flex(FLEX, URL, {"ui_attributes": plan.write})
    assert (again.write, again.url_in_flex) == (None, URL)


@pytest.mark.parametrize("seen", [{"ui_attributes": []}, {"ui_attributes": {"custom_data": "mine"}}], ids=["attributes", "data"])
def test_twilio_what_others_keep_in_our_way_is_not_thrown_away(seen: dict[str, Any]) -> None:
    plan = plan_flex(FLEX, URL, seen)
    assert plan.write is None
    assert plan.problem is not None
    assert plan.problem.reason is Reason.TWILIO_REJECTED


def claim(since: str, *queues: str) -> dict[str, Any]:
    return {"functionsUrl": "https://x", "since": since, **({"queues": list(queues)} if queues else {"default": True})}


QUEUES = FlexDesired("team/support", "uid-1", SINCE, queues=("care", "sales"))


@pytest.mark.parametrize(
    ("wanted", "instances", "claims"),
    [
        (FLEX, {"a__b": claim("2026-04-01T00:00:00Z")}, None),
        (FLEX, {"a__b": claim("2026-06-01T00:00:00Z")}, {"default": True}),
        (FLEX, {"a__b": claim(SINCE)}, None),
        (FLEX, {"z__b": claim(SINCE)}, {"default": True}),
        (FLEX, {"a__b": {"functionsUrl": "https://by.hand", "default": True}}, None),
        (FLEX, {"a__b": claim("2026-04-01T00:00:00Z", "care")}, {"default": True}),
        (QUEUES, {"a__b": claim("2026-04-01T00:00:00Z", "care")}, {"queues": ["sales"]}),
        (QUEUES, {"a__b": claim("2026-04-01T00:00:00Z", "care", "sales", "more")}, None),
        (QUEUES, {"a__b": claim("2026-04-01T00:00:00Z")}, {"queues": ["care", "sales"]}),
        (QUEUES, {"a__b": {"queues": "care", "default": "yes"}, "c__d": 7}, {"queues": ["care", "sales"]}),
    ],
    ids=["older", "younger", "of one age", "of one age, later name", "by hand", "a queue", "one of two", "all", "the default", "nonsense"],
)
def test_twilio_claims_that_are_in_flex(wanted: FlexDesired, instances: dict[str, Any], claims: dict[str, Any] | None) -> None:
    seen = configuration(**instances)
    plan = plan_flex(wanted, URL, seen)
    got = None if plan.entry is None else {key: value for key, value in plan.entry.items() if key in {"queues", "default"}}
    assert got == claims
    conflict = claims is None or (wanted is QUEUES and claims != {"queues": ["care", "sales"]})
    assert (plan.problem is not None) == conflict
    if plan.problem is not None:
        assert plan.problem.reason is Reason.FLEX_CONFLICT
        assert "a/b" in plan.problem.message
    kept = entries(plan.write if plan.write is not None else seen["ui_attributes"])
    assert all(kept[key.replace("__", "/")] == entry for key, entry in instances.items()), "the other one is unharmed"


def test_twilio_claims_that_the_operator_knows() -> None:
    later = FlexDesired(
        "team/support", "uid-1", SINCE, earlier=(EarlierClaim("team/first", frozenset({DEFAULT})),), known=frozenset({"team/first"})
    )
    plan = plan_flex(later, URL, configuration(team__support=OWN))
    assert plan.write is not None
    assert plan.write["custom_data"]["voice_assist"] == {"x": 1}
    removed = FlexDesired("team/support", "uid-1", SINCE, known=frozenset({"team/first"}))
    assert plan_flex(removed, URL, configuration(team__first=claim("2026-01-01T00:00:00Z"))).problem is None


def test_twilio_by_hand_only_our_own_entry_goes() -> None:
    by_hand = FlexDesired("team/support", "uid-1", SINCE, configure=False)
    assert plan_flex(by_hand, URL, configuration(team__support={"functionsUrl": "https://x"})).write is None
    assert plan_flex(by_hand, URL, configuration(team__support=OWN)).write is not None


@pytest.mark.parametrize(
    ("entry", "goes"),
    [(OWN, True), ({**OWN, "uid": "uid-2"}, False), ({"functionsUrl": "https://x"}, True), ("text", False), (None, False)],
)
def test_twilio_removal(entry: Any, goes: bool) -> None:
    others = {"a__b": {"x": 1}} | ({"team__support": entry} if entry is not None else {})
    plan = plan_flex_removal(FLEX, configuration(**others))
    assert (plan.write is not None) == goes
    if plan.write is not None:
        assert entries(plan.write) == {"a/b": {"x": 1}}
        assert (plan.write["theme"], plan.write["custom_data"]["others"]) == ("dark", {"a": 1})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ui_attributes", "custom_data", "voice_assist", "instances", "team/support", "uid", "queues", "k"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_twilio_any_configuration_keeps_what_is_others(anything: Any) -> None:
    seen = {"ui_attributes": anything}
    before = copy.deepcopy(seen)
    plan = plan_flex(FLEX, URL, seen)
    assert seen == before
    if plan.write is not None:
        there = anything if isinstance(anything, dict) else {}
        assert {key: value for key, value in plan.write.items() if key != "custom_data"} == {
            key: value for key, value in there.items() if key != "custom_data"
        }
        assert plan_flex(FLEX, URL, {"ui_attributes": plan.write}).write is None
    removal = plan_flex_removal(FLEX, seen)
    if removal.write is not None:
        assert plan_flex_removal(FLEX, {"ui_attributes": removal.write}).write is None


# Refusals and times


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 20003, Refusal.CREDENTIALS),
        (403, 20008, Refusal.CREDENTIALS),
        (403, 20403, Refusal.CREDENTIALS),
        (401, 20005, Refusal.SUSPENDED),
        (403, 20005, Refusal.SUSPENDED),
        (404, 20404, Refusal.NOT_FOUND),
        (404, 54050, Refusal.NOT_FOUND),
        (409, 20409, Refusal.TAKEN),
        (400, 54301, Refusal.TAKEN),
        (400, 20001, Refusal.BAD_REQUEST),
        (302, 0, Refusal.BAD_REQUEST),
    ],
)
def test_twilio_refusals(status: int, code: int, kind: Refusal) -> None:
    assert refusal(status, code) is kind
    assert not is_busy(status, code)
    assert not is_unclear(status)


@pytest.mark.parametrize(
    ("status", "code", "busy"), [(429, 20429, True), (429, 0, True), (400, 45780, True), (503, 0, False), (500, 20500, False)]
)
def test_twilio_busy_or_unclear(status: int, code: int, busy: bool) -> None:
    assert is_busy(status, code) is busy
    assert is_unclear(status) is not busy


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        (b'{"code": 20404, "message": "no\\nsuch thing"}', 20404, "no such thing"),
        (b'{"type": "t", "title": "T", "status": 400, "code": 70051, "detail": "because"}', 70051, "because"),
        (b'{"code": true, "message": 5}', 0, "HTTP 400 without an explanation"),
        (b"<html>", 0, "HTTP 400 without an explanation"),
        (b"[]", 0, "HTTP 400 without an explanation"),
        (b"", 0, "HTTP 400 without an explanation"),
        (b'{"message": "' + b"x" * 1000 + b'"}', 0, "x" * 300),
    ],
)
def test_twilio_error_bodies(body: bytes, code: int, sentence: str) -> None:
    found = problem(400, body)
    assert (found.code, found.sentence) == (code, sentence)


@pytest.mark.parametrize(
    ("error", "reason", "waits", "passing"),
    [
        (TwilioUnavailable("x", 7.0, unclear=True), Reason.TWILIO_UNREACHABLE, False, True),
        (TwilioRefused("x", Refusal.CREDENTIALS), Reason.TWILIO_REFUSED, True, False),
        (TwilioRefused("x", Refusal.SUSPENDED), Reason.TWILIO_SUSPENDED, False, False),
        (TwilioRefused("x", Refusal.NOT_FOUND), Reason.FLEX_NOT_FOUND, False, False),
        (TwilioRefused("x", Refusal.TAKEN), Reason.TWILIO_REJECTED, False, False),
        (TwilioRefused("x", Refusal.BAD_REQUEST), Reason.TWILIO_REJECTED, False, False),
        (NotLeading("x"), Reason.TWILIO_PENDING, False, True),
        (ValueError("x"), Reason.TWILIO_REJECTED, False, False),
    ],
    ids=["away", "credentials", "suspended", "missing", "taken", "bad", "lease", "defect"],
)
def test_twilio_reasons(error: Exception, reason: Reason, waits: bool, passing: bool) -> None:
    found = problem_of(error, "the-secret", Reason.FLEX_NOT_FOUND, "look there")
    assert (found.reason, found.waits_for_secret, found.passing) == (reason, waits, passing)
    assert ("the-secret" in found.message) == waits


@pytest.mark.parametrize(
    ("cause", "failures", "low", "high"),
    [
        (Cause(), 0, 0.85 * RESYNC_SECONDS, RESYNC_SECONDS),
        (Cause(failed=True), 1, 1.7, 2.0),
        (Cause(failed=True), 3, 6.8, 8.0),
        (Cause(failed=True), 60, 255.0, 300.0),
        (Cause(failed=True, asked=40.0), 1, 40.0, 40.0),
        (Cause(standing=True), 0, 255.0, 300.0),
        (Cause(wrote_flex=True), 0, 30.0, 30.0),
        (Cause(functions=1.0), 0, 1.0, 1.0),
    ],
)
def test_twilio_when_to_look_again(cause: Cause, failures: int, low: float, high: float) -> None:
    assert next_look(cause, failures, RESYNC_SECONDS, 0.0) == pytest.approx(low)
    assert next_look(cause, failures, RESYNC_SECONDS, 1.0) == pytest.approx(high)


def test_twilio_refused_credentials_are_not_tried_again() -> None:
    assert next_look(Cause(refused=True, failed=True), 1, RESYNC_SECONDS, 0.5) is None


def test_twilio_an_object_at_rest_asks_less_than_ten_times_an_hour() -> None:
    soonest = next_look(Cause(), 0, RESYNC_SECONDS, 0.0)
    assert soonest is not None
    assert 5 * 3600 / soonest < 10, "Sync, Flex, and three of the functions"
