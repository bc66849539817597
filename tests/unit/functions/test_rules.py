"""The pure rules of the functions: origins, persons, tasks, Twilio's errors in words, addresses of relays, how long a yes lasts."""

from __future__ import annotations

import json

import pytest

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_relay.call.access import Access, access_for_start, watched
from voiceassist_relay.call.dependencies import random_suffix
from voiceassist_relay.call.peer_relays import peer_address
from voiceassist_relay.call.recovery import read_event
from voiceassist_relay.config.snapshot import Secrets
from voiceassist_relay.errors import RequestRefused, TwilioBusy, TwilioError, TwilioRefused, TwilioUnclear
from voiceassist_relay.functions.cors import answer_headers, origin_allowed
from voiceassist_relay.twilio.error_answers import from_twilio, stop_failed, stream_refused
from voiceassist_relay.twilio.flex_tokens import keep_until
from voiceassist_relay.twilio.person import Person, Standing, customer_call_sids, person_from

CALL = "CA" + "1" * 32
ANN, BOB = "WK" + "a" * 32, "WK" + "b" * 32


# origins


@pytest.mark.parametrize(
    ("origin", "allowed", "expected"),
    [
        ("https://flex.twilio.com", ["https://flex.twilio.com"], True),
        ("HTTPS://Flex.Twilio.com", ["https://flex.twilio.com"], True),
        ("", [], True),
        ("https://a.example", ["*"], True),
        ("null", ["https://flex.twilio.com"], False),
        ("https://flex.twilio.com/", ["https://flex.twilio.com"], False),
        ("https://xflex.twilio.com", ["https://flex.twilio.com"], False),
        ("*", ["https://flex.twilio.com"], False),
    ],
)
def test_rules_origins(origin: str, allowed: list[str], expected: bool) -> None:
    assert origin_allowed(origin, allowed) is expected
    headers = answer_headers(origin, allowed)
    assert ("Access-Control-Allow-Origin" in headers) is (expected and bool(origin))
    assert "Access-Control-Allow-Credentials" not in headers


# persons


def answer(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "valid": True,
        "identity": "ann",
        "roles": ["agent"],
        "worker_sid": ANN,
        "expiration": "2026-11-22T18:00:00.000Z",
    }
    return good | changes


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0),
        ({"roles": ["supervisor", "something"]}, 0),
        ({"worker_sid": None}, 0),
        ({"valid": False}, 401),
        ({"valid": "true"}, 401),
        ({"valid": 1}, 401),
        ({"roles": []}, 403),
        ({"roles": None}, 403),
        ({"roles": "agent"}, 403),
        ({"roles": ["guest"]}, 403),
        ({"roles": [7]}, 403),
        ({"identity": ""}, 403),
        ({"identity": None}, 403),
    ],
)
def test_rules_persons(changes: dict[str, object], status: int) -> None:
    if status:
        with pytest.raises(RequestRefused) as refused:
            person_from(answer(**changes))
        assert refused.value.status == status
    else:
        assert person_from(answer(**changes)).identity == "ann"
    with pytest.raises(RequestRefused):
        person_from({})


NOW = 1_795_370_000.0  # 2026-11-22T17:53:20Z


@pytest.mark.parametrize(
    ("expiration", "kept"),
    [
        ("2026-11-22T18:00:00.000Z", 60),
        ("2026-11-22T17:53:50.000Z", 30),
        ("2026-11-22T17:53:50", 30),
        ("2026-11-22T18:53:50+01:00", 30),
        ("2026-11-22T17:53:20.000Z", 0),
        ("2026-11-22T17:00:00.000Z", -3200),
        ("tomorrow", 0),
        (None, 0),
        (1_795_370_030, 0),
    ],
)
def test_rules_how_long_a_yes_is_remembered(expiration: object, kept: float) -> None:
    assert keep_until({"expiration": expiration}, NOW) - NOW == pytest.approx(kept)


# tasks


@pytest.mark.parametrize(
    ("attributes", "sids"),
    [
        ({"call_sid": "CA1"}, ("CA1",)),
        ({"conference": {"participants": {"customer": "CA2"}}, "call_sid": "CA1"}, ("CA2", "CA1")),
        ({"conference": {"participants": {"worker": "CA3"}}, "call_sid": "CA1"}, ("CA1",)),
        ({"conference": "CF1", "call_sid": 7}, ()),
        ({"conference": {"participants": None}}, ()),
        ({}, ()),
    ],
)
def test_rules_the_customers_leg(attributes: object, sids: tuple[str, ...]) -> None:
    assert customer_call_sids(json.dumps(attributes)) == sids


@pytest.mark.parametrize("attributes", [None, "", "no JSON", "[]", '"CA1"', "[" * 100_000, 7])
def test_rules_attributes_that_name_nobody(attributes: object) -> None:
    assert customer_call_sids(attributes) == ()


@pytest.mark.parametrize(
    ("roles", "standing", "expected"),
    [
        ({"agent"}, Standing.HOLDS, Access.START),
        ({"supervisor"}, Standing.HOLDS, Access.START),
        ({"agent"}, Standing.NO, 403),
        ({"agent"}, Standing.NOT_YET, 503),
        ({"supervisor"}, Standing.NO, Access.WATCH),
        ({"admin"}, Standing.NO, Access.WATCH),
        ({"agent", "admin"}, Standing.NO, Access.WATCH),
    ],
)
def test_rules_what_a_start_may_do(roles: set[str], standing: Standing, expected: Access | int) -> None:
    person = Person("ann", ANN, frozenset(roles))
    if isinstance(expected, int):
        with pytest.raises(RequestRefused) as refused:
            access_for_start(person, standing)
        assert refused.value.status == expected
    else:
        assert access_for_start(person, standing) is expected


@pytest.mark.parametrize("state", list(CallState))
def test_rules_what_can_be_watched(state: CallState) -> None:
    document = CallDocument(state=state, generation=1, stream_name="a", sync_stream="S", deadline=0, worker=ANN, identity="ann")
    if state in {CallState.STARTING, CallState.LIVE}:
        assert watched(document) is document
    else:
        with pytest.raises(RequestRefused) as refused:
            watched(document)
        assert (refused.value.status, refused.value.code) == (403, "not_running")


# Twilio's errors

KEY = Secrets(auth_token="t", api_key_sid="SK1", api_key_secret="s")
ACCOUNT = Secrets(auth_token="t")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TwilioRefused("x", 404, 20404, said="The requested resource was not found"), 409, "call_ended"),
        (TwilioRefused("x", 400, 21220, said="Call is not in-progress"), 409, "call_ended"),
        (TwilioRefused("x", 400, 20001, said="At most 4 tracks of a call can be forked"), 409, "too_many_streams"),
        (TwilioRefused("x", 400, 31941, said="Invalid Track configuration"), 502, "twilio_refused"),
        (TwilioRefused("x", 409, 20409, said="An active stream has that name already"), 502, "twilio_refused"),
        (TwilioRefused("x", 401, 20003, said="Authenticate"), 502, "twilio_credentials"),
        (TwilioRefused("x", 403, 20008, said="Resource not accessible with Test Account Credentials"), 502, "twilio_credentials"),
        (TwilioBusy("x", 429, 20429, said="Too Many Requests"), 503, "twilio_busy"),
        (TwilioUnclear("x", 0, 0, "no answer within 5 s"), 502, "twilio_unclear"),
        (TwilioUnclear("x", 500, 20500, said="Internal Server Error"), 502, "twilio_unclear"),
    ],
)
def test_rules_what_becomes_of_a_refused_stream(error: TwilioError, status: int, code: str) -> None:
    refused = stream_refused(error, KEY)
    assert (refused.status, refused.code) == (status, code)
    assert refused.message and refused.hint and refused.twilio is error
    stop = stop_failed(error, KEY)
    assert "STILL" in stop.message and "again" in stop.hint


def test_rules_the_secret_that_is_wrong_is_the_one_that_was_used() -> None:
    wrong = TwilioRefused("x", 401, 20003, said="Authenticate")
    assert "twilio-api-key-sid" in from_twilio(wrong, KEY, "It failed").hint
    assert "twilio-auth-token" in from_twilio(wrong, ACCOUNT, "It failed").hint
    assert "twilio-auth-token" in from_twilio(wrong, KEY, "It failed", as_account=True).hint


def test_rules_when_to_come_back() -> None:
    assert from_twilio(TwilioBusy("x", 429, 20429, "", 9.0), KEY, "It failed").retry_after == 9.0
    assert from_twilio(TwilioBusy("x", 429, 20429, ""), KEY, "It failed").retry_after == 2.0


# relays


@pytest.mark.parametrize("owner", ["10.1.2.3:9090", "[fd00::1]:9090", "192.168.0.1:9090", "[2001:db8::5]:9090"])
def test_rules_addresses_of_relays(owner: str) -> None:
    assert peer_address(owner, 9090) == owner


@pytest.mark.parametrize("owner", ["127.0.0.1:1", "[::1]:40000"])
def test_rules_on_a_developers_machine_relays_have_any_port_of_it(owner: str) -> None:
    assert peer_address(owner, None) == owner
    assert peer_address("10.1.2.3:9090", None) is None


@pytest.mark.parametrize(
    "owner",
    [
        "",
        ":9090",
        "10.1.2.3",
        "10.1.2.3:",
        "10.1.2.3:0",
        "10.1.2.3:65536",
        "10.1.2.3:9090/x",
        "10.1.2.3:+90",
        "10.1.2.3:٩٠",
        "relay:9090",
        "localhost:9090",
        "fd00::1:9090",
        "[10.1.2.3]:9090",
        "[fe80::1]:9090",
        "[fe80::1%eth0]:9090",
        "169.254.169.254:80",
        "0.0.0.0:80",
        "224.0.0.1:80",
        "0x7f000001:80",
        "a@10.1.2.3:80",
        "10.1.2.3 :80",
        "10.1.2.3:80",
        "10.1.2.3:6443",
        "127.0.0.1:9090",
        "[::1]:9090",
        "169.254.169.254:9090",
        "[::ffff:169.254.169.254]:9090",
        "[::ffff:10.1.2.3]:9090",
        "[::10.1.2.3]:9090",
        "[64:ff9b::a9fe:a9fe]:9090",
        "[2002:a9fe:a9fe::1]:9090",
        "[ff02::1]:9090",
        "[::]:9090",
    ],
)
def test_rules_what_no_relay_is_called(owner: str) -> None:
    assert peer_address(owner, 9090) is None


# the rest


def test_rules_suffixes_are_not_repeated() -> None:
    made = {random_suffix() for _ in range(200)}
    assert len(made) == 200 and all(len(suffix) == 16 and suffix.isalnum() and suffix.isascii() for suffix in made)


@pytest.mark.parametrize(
    ("fields", "matters"),
    [
        ({"StreamEvent": "stream-error"}, True),
        ({"StreamEvent": "stream-stopped"}, True),
        ({"StreamEvent": "stream-error", "StreamError": "31921"}, True),
        ({"StreamEvent": "stream-error", "StreamError": "31930"}, False),
        ({"StreamEvent": "stream-error", "StreamError": "31930 Stream - buffer overflow"}, False),
        ({"StreamEvent": "stream-started"}, False),
        ({"StreamEvent": "stream-error", "CallSid": "CA1"}, False),
        ({}, False),
    ],
)
def test_rules_callbacks_that_matter(fields: dict[str, str], matters: bool) -> None:
    assert read_event({"AccountSid": "AC", "CallSid": CALL, "StreamName": "n"} | fields).matters is matters
