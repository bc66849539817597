"""The small rules: rate cap, backoff, liveness, failures, history, item order, hand-over, the call's timeline."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.realtime.wire import Desk, Line, turn
from voiceassist_crds.messages import StatusReason
from voiceassist_relay.call.timeline import CallTimeline
from voiceassist_relay.interfaces import TurnTiming
from voiceassist_relay.realtime.core.failures import (
    Fatal,
    Passing,
    from_close,
    from_error,
    from_handshake,
    from_refused_close,
    from_update,
    is_rate_limit,
    label,
    own_words,
    wait_in,
)
from voiceassist_relay.realtime.core.history import History, ItemOrder
from voiceassist_relay.realtime.core.limits import FreePurse, ResponseLimiter, SessionLimits, delay, recycle_after
from voiceassist_relay.realtime.core.liveness import Liveness
from voiceassist_relay.realtime.core.outputs import Send, WritingTook
from voiceassist_relay.realtime.core.server_events import ErrorInfo, decode
from voiceassist_relay.realtime.core.turns import HandOverState, TurnTimeline, hand_over
from voiceassist_relay.realtime.websocket import from_tls

LIMITS = SessionLimits()


# rate cap


@given(st.integers(1, 20), st.lists(st.floats(0, 30), max_size=60))
def test_core_no_minute_has_more_responses_than_allowed(per_minute, steps) -> None:
    limiter, now, asked = ResponseLimiter(per_minute), 0.0, []
    for step in steps:
        now = max(now + step, limiter.free_at(now + step))
        assert limiter.free_at(now) == now
        limiter.asked(now)
        asked.append(now)
    for at in asked:
        assert sum(at - 60 + 1e-6 < other <= at for other in asked) <= per_minute


def test_core_a_lower_cap_counts_at_once() -> None:
    limiter = ResponseLimiter(10)
    for at in range(5):
        limiter.asked(float(at))
    limiter.per_minute = 2
    assert limiter.free_at(5.0) == 63.0
    limiter.per_minute = 6
    assert limiter.free_at(5.0) == 5.0


# backoff


@given(st.integers(0, 5000), st.floats(0, 1, exclude_max=True))
def test_core_backoff_is_jittered_and_capped(attempt, chance) -> None:
    assert 0 <= delay(attempt, chance, LIMITS) <= LIMITS.backoff_cap
    assert delay(attempt, chance, LIMITS, 3.0) >= 3.0
    assert delay(attempt, chance, LIMITS, 1e9) <= LIMITS.rate_limit_longest * 1.25
    assert delay(0, chance, LIMITS) <= 0.25
    assert delay(0, chance, LIMITS, 20.0) == pytest.approx(20.0 + chance * 5.0)  # who was told the same does not come at the same moment


@given(st.floats(0, 1))
def test_core_an_hour_is_recycled_between_its_50th_and_55th_minute(chance) -> None:
    assert 50 * 60 - 1e-6 <= recycle_after(3600, chance, LIMITS) <= 55 * 60 + 1e-6


# liveness


def look(live: Liveness, begin: float, end: float, *, pongs: bool) -> str | None:
    now = begin
    while now < end:
        now += 1.0
        if live.ping_due(now) and pongs:
            live.heard(now + 0.01)
        missing = live.overdue(now)
        if missing is not None:
            return missing
    return None


def test_core_in_three_minutes_of_silence_nothing_is_expected() -> None:
    assert look(Liveness(LIMITS, 0.0), 0.0, 180.0, pongs=True) is None


def test_core_a_pong_tells_what_was_read_before_its_ping() -> None:
    live = Liveness(LIMITS, 0.0)
    assert live.ping_due(LIMITS.ping_every)
    live.heard(LIMITS.ping_every - 0.1)
    assert live.read_until == 0.0
    live.heard(LIMITS.ping_every + 4.0)  # late
    assert live.read_until == LIMITS.ping_every


def test_core_an_unanswered_ping_is_a_stall_and_any_byte_answers_it() -> None:
    live = Liveness(LIMITS, 0.0)
    assert look(live, 0.0, 30.0, pongs=False) == "pong"
    live = Liveness(LIMITS, 0.0)
    assert live.ping_due(5.0)
    live.heard(5.0)
    assert look(live, 5.0, 9.0, pongs=False) is None


def test_core_what_is_expected_and_does_not_come_is_overdue() -> None:
    live = Liveness(LIMITS, 0.0)
    live.expect("response.created", 0.0, 3.0)
    assert look(live, 0.0, 3.0, pongs=True) is None
    assert look(live, 3.0, 10.0, pongs=True) == "response.created"
    live.received("response.created")
    assert look(live, 10.0, 20.0, pongs=True) is None


def test_core_a_process_that_was_busy_reads_first() -> None:
    live = Liveness(LIMITS, 0.0)
    live.expect("response.created", 0.0, 3.0)
    assert live.overdue(10.0) is None  # ten seconds late: what came meanwhile lies in the socket
    assert live.overdue(11.0) == "response.created"


# failures


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b"", StatusReason.MODEL_REFUSED),
        (403, b"<html>", StatusReason.MODEL_REFUSED),
        (404, b"", StatusReason.MODEL_MISCONFIGURED),
        (400, b'{"error":{"code":"model_not_found"}}', StatusReason.MODEL_MISCONFIGURED),
        (429, b'{"error":{"code":"insufficient_quota"}}', StatusReason.MODEL_QUOTA),
        (402, b"", StatusReason.MODEL_QUOTA),
        (500, b'{"error":{"code":"account_deactivated"}}', StatusReason.MODEL_REFUSED),
        (301, b"", StatusReason.MODEL_MISCONFIGURED),
    ],
)
def test_core_final_refusals(status, body, reason) -> None:
    failure = from_handshake(status, body, None)
    assert isinstance(failure, Fatal)
    assert failure.reason is reason
    assert len(failure.message) <= 500


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_core_passing_refusals(status) -> None:
    assert from_handshake(status, b"{}", 7.0) == Passing(f"http_{status}", 7.0)


def test_core_closes() -> None:
    assert isinstance(from_close(3000, "invalid_request_error.invalid_api_key"), Fatal)
    assert isinstance(from_close(3000, ""), Fatal)
    assert from_close(1011, "internal error") == Passing("closed")
    assert from_close(1001, "Your session hit the maximum duration of 60 minutes.") == Passing("expiring")
    assert from_close(None, "") == Passing("closed")


GATEWAY_429 = (
    "429: {'error': 'Max parallel request limit reached. Hash: 6f1ed002ab5595859014ebf0951522d9, key sk-abc12345 try again in 6m0s'}"
)


def refused(**error: str) -> ErrorInfo:
    return ErrorInfo(**error)


def test_core_a_gateway_that_refuses_after_the_handshake_is_understood() -> None:
    """As LiteLLM 1.110.2 and speech-to-speech 1.1.0 do: 101, an error, a close."""
    limited = from_error(refused(type="guardrail_error", message=GATEWAY_429))
    assert isinstance(limited, Passing) and (limited.label, limited.wait) == ("rate_limited", 360)
    assert "Max parallel request limit reached" in limited.in_words()
    assert "6f1ed002" not in limited.said and "sk-abc" not in limited.said
    upstream = from_error(refused(type="server_error", message="Upstream realtime handshake rejected with HTTP 401"))
    assert isinstance(upstream, Fatal) and upstream.reason is StatusReason.MODEL_REFUSED
    assert "Upstream realtime handshake rejected with HTTP 401" in upstream.message
    down = from_error(refused(type="server_error", message="Upstream realtime handshake rejected with HTTP 503"))
    assert isinstance(down, Passing) and down.label == "server_error" and "503" in down.in_words()
    full = from_error(refused(type="server_error", code="session_limit_reached", message="All 4 sessions are in use"))
    assert isinstance(full, Passing) and full.label == "rate_limited" and "All 4 sessions" in full.in_words()
    broke = from_error(refused(code="credit_balance_exhausted"))
    assert isinstance(broke, Fatal) and broke.reason is StatusReason.MODEL_QUOTA
    assert from_error(refused(type="invalid_request_error", message="No such thing")) is None


def test_core_what_was_said_before_the_close_is_the_cause() -> None:
    failure = from_refused_close(1011, "", refused(type="invalid_request_error", message="Deployment x of group y is cooling down"))
    assert isinstance(failure, Passing) and failure.reason is StatusReason.MODEL_MISCONFIGURED
    assert failure.in_words() == "refuses the session: “Deployment x of group y is cooling down”"
    failure = from_refused_close(1008, "model query parameter is required", None)
    assert isinstance(failure, Passing) and "model query parameter is required" in failure.in_words()
    assert from_refused_close(1000, "", None) == Passing("closed")
    failure = from_refused_close(1008, "session_limit_reached", None)
    assert isinstance(failure, Passing) and failure.label == "rate_limited"
    assert isinstance(from_refused_close(1011, "Upstream handshake rejected with HTTP 403", None), Fatal)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Incorrect API key provided: sk-proj-Ab3***x9.", "Incorrect API key provided: …"),
        ("Bearer abcdef was refused", "Bearer … was refused"),
        ("key hash 88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b is over", "key hash … is over"),
        ("Invalid model gpt-4o-mini-transcribe-2025-12-15", "Invalid model gpt-4o-mini-transcribe-2025-12-15"),
        ("a\n b\t\x1b[31mc", "a b [31mc"),
        ("x " * 500, ("x " * 80)),
    ],
)
def test_core_a_servers_words_are_one_line_without_keys(text: str, kept: str) -> None:
    assert own_words(text) == kept


@pytest.mark.parametrize(
    ("status", "body"), [(403, b""), (403, b'{"detail":"Not Found"}'), (404, b'{"error":"no such route"}'), (422, b'{"message":"bad"}')]
)
def test_core_nothing_is_said_of_the_key_where_that_is_not_known(status: int, body: bytes) -> None:
    """Starlette answers 403 for a path that it does not know."""
    failure = from_handshake(status, body, None)
    assert isinstance(failure, Fatal)
    assert "does not accept our key" not in failure.message and "None" not in failure.message
    for words in (b"Not Found", b"no such route", b"bad"):
        assert (words in body) == (words.decode() in failure.message)


def test_core_an_unclear_error_is_told_without_none() -> None:
    for error in (ErrorInfo(), ErrorInfo(code="x"), ErrorInfo(type="server_error"), ErrorInfo(code="429")):
        for failure in (from_error(error), from_close(None, "", error), from_update(error)):
            text = getattr(failure, "message", "") or (failure.in_words() if isinstance(failure, Passing) else "")
            assert "None" not in text


def test_core_a_certificate_that_cannot_be_trusted_is_told_and_asked_again_slowly() -> None:
    error = ssl.SSLCertVerificationError("no")
    error.verify_message = "self-signed certificate"
    passing = from_tls(error)
    assert (passing.reason, passing.wait) == (StatusReason.MODEL_MISCONFIGURED, 15.0)
    assert "certificate" in passing.in_words()
    assert from_tls(ssl.SSLError(1, "wrong version")).reason is StatusReason.MODEL_UNREACHABLE


def test_core_what_happened_in_words() -> None:
    assert Passing("http_503").in_words() == "answers 503"
    assert Passing("network: Connection refused").in_words() == "cannot be reached (Connection refused)"
    assert Passing("timeout").in_words() == "does not answer"
    assert Passing("closed").in_words() == ""


def test_core_a_refused_setting_is_named() -> None:
    fatal = from_update(ErrorInfo(type="invalid_request_error", code="unknown_parameter", param="session.audio.input.foo"))
    assert fatal.reason is StatusReason.MODEL_MISCONFIGURED
    assert "session.audio.input.foo" in fatal.message


def test_core_labels_are_a_closed_set() -> None:
    assert label("rate_limit_exceeded") == "rate_limit_exceeded"
    assert label("something-a-server-made-up", "also new") == "other"
    assert label(None, "server_error") == "server_error"


@pytest.mark.parametrize(("code", "kind"), [("rate_limit_exceeded", None), ("429", "invalid_request_error"), (None, "too_many_requests")])
def test_core_a_rate_limit_by_any_of_its_names(code: str | None, kind: str | None) -> None:
    error = ErrorInfo(type=kind, code=code)
    assert is_rate_limit(error)
    assert label(code, kind) == "rate_limit_exceeded"


def test_core_the_wait_in_a_message() -> None:
    assert wait_in("Please try again in 1.2s.") == 1.2
    assert wait_in("try again in 350ms") == pytest.approx(0.35)
    for text, seconds in (
        ("Please try again in 1m30s. Visit the page about limits.", 90),
        ("Try again in 6m0s.", 360),
        ("Rate limit reached. Please retry after 3 seconds.", 3),
        ("Please retry after 35 seconds", 35),
        ("TRY AGAIN IN 1h2m3.5s", 3723.5),
        ("try again in 2 minutes and 5 seconds", 125),
        ("Try again in 250 milliseconds", 0.25),
        ("Retry after 20", 20),
        ("try again in 1 min, please", 60),
    ):
        assert wait_in(text) == pytest.approx(seconds), text
    assert wait_in("try again in a moment") is None
    assert wait_in("later") is None
    assert wait_in(None) is None


# history


def test_core_the_conversation_so_far_in_the_order_in_which_it_was_spoken() -> None:
    history = History(1000, 100)
    history.customer("c1", 1.0)
    history.suggestion("s1", 3.0, "Offer it.", "c1", "Can I?")
    history.agent("a1", 2.0, "One moment.")
    history.customer("c2", 4.0)
    history.customer("c3", 5.0)
    history.customer_words("c3", "Bye.")
    assert [(seed.role, seed.text) for seed in history.seeds()] == [
        ("user", "Can I?"),
        ("user", "Agent: One moment."),
        ("assistant", "Offer it."),
        ("user", "Bye."),
    ]
    history.customer_words("c1", "Can I return it?")
    assert history.seeds()[0].text == "Can I return it?"
    history.forget({"c3"})
    assert [seed.key for seed in history.seeds()] == ["c1", "a1", "s1"]


def test_core_what_began_in_the_same_millisecond_is_kept_in_the_order_in_which_it_became_known() -> None:
    history, order = History(1000, 100), ItemOrder()
    history.customer("c1", 1.0)
    history.suggestion("s1", 3.0, "Offer it.", "c1", "Can I?")
    history.agent("a1", 3.0, "You can.")
    order.append("c1", 1.0)
    order.append("s1", 3.0)
    assert [seed.key for seed in history.seeds()] == ["c1", "s1", "a1"]
    assert order.insert("a1", 3.0) is None  # a running session has it at the end too


@given(st.lists(st.tuples(st.sampled_from("cas"), st.floats(0, 100), st.text(max_size=60)), max_size=80))
def test_core_history_is_bounded(entries) -> None:
    history = History(200, 50)
    for index, (kind, at, text) in enumerate(entries):
        if kind == "c":
            history.customer(f"c{index}", at)
            history.customer_words(f"c{index}", text)
        elif kind == "a":
            history.agent(f"a{index}", at, text)
        else:
            history.suggestion(f"s{index}", at, text, f"c{index - 1}", text)
        seeds = history.seeds()
        assert [seed.at for seed in seeds] == sorted(seed.at for seed in seeds)
        assert sum(len(seed.text.removeprefix("Agent: ")) for seed in seeds) <= 250


# item order


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1000)), max_size=300))
def test_core_words_go_behind_what_began_before_them(items) -> None:
    order, server = ItemOrder(), []  # what a server makes of it
    for index, (insert, at) in enumerate(items):
        name = str(index)
        if not insert:
            order.append(name, at)
            server.append((name, at))
            continue
        previous = order.insert(name, at)
        if previous is None:
            index_at = len(server)
        elif previous == "root":
            index_at = 0
        else:
            index_at = next(i for i, (other, _) in enumerate(server) if other == previous) + 1
        server.insert(index_at, (name, at))
        assert all(other <= at for _, other in server[index_at - 1 : index_at]) or len(server) > 200
        following = server[index_at + 1 : index_at + 2]
        assert all(other > at for _, other in following) or len(server) > 200


# hand-over


def test_core_turns_whose_words_are_known_go_along_and_others_are_heard_again() -> None:
    known, unknown, later = (
        turn("a", started=1, ended=2, heard=True),
        turn("b", started=3, ended=4),
        turn("c", started=5, ended=6, heard=True),
    )
    speaking = turn("d", started=7)
    handover, again = hand_over([known, unknown, later], [speaking], 6.0)
    assert handover.turns == (known,)
    assert handover.replay_from == 3
    assert handover.not_before == 2
    assert again == {"b", "c"}


def test_core_open_speech_is_heard_again_from_its_start_but_nothing_that_was_committed() -> None:
    handover, again = hand_over([], [turn("d", started=7.0)], 7.2)
    assert (handover.turns, handover.replay_from, handover.not_before, again) == ((), 7.0, 7.2, set())
    handover, _ = hand_over([turn("a", started=1, ended=2, heard=True)], [], 2.0)
    assert (handover.replay_from, handover.not_before) == (None, 2.0)
    assert hand_over([], [], None)[0].replay_from is None


# the timeline


def test_core_a_turns_moments() -> None:
    timeline = TurnTimeline(committed=2.0)
    timeline.stopped(1.9, 500)
    assert timeline.timing(9.0) == TurnTiming(pytest.approx(1.4), 2.0)
    timeline.requested, timeline.created = 2.1, 2.2
    timeline.again()
    assert timeline.timing(9.0).requested is None
    open_turn = TurnTimeline()
    open_turn.stopped(None, 500)
    assert open_turn.timing(9.0) == TurnTiming(None, 9.0)


def test_core_a_calls_summary() -> None:
    call = CallTimeline()
    for latency in (0.5, 0.9, 0.7):
        call.handled("suggested", TurnTiming(1.0, 1.5, finished=1.0 + latency))
    call.handled("merged", TurnTiming(None, 1.0))
    assert call.summary() == {"turns": {"merged": 1, "suggested": 3}, "latency_p50_ms": 700, "latency_max_ms": 900}
    assert CallTimeline().summary()["latency_p50_ms"] is None


def test_core_an_output_is_told_with_its_call_only() -> None:
    for items in range(195, 205):
        order = ItemOrder()
        for number in range(items):
            order.append(f"item_{number}", float(number))
        for number in range(60):
            order.append(f"call_{number}", 300.0 + number)
            order.append(f"va_o{number}", 300.0 + number)
        for name in order.items:
            assert not name.startswith("va_o") or f"call_{name[4:]}" in order.items
        assert len(order.items) >= 199
    order = ItemOrder()
    for number in range(101):
        order.append(f"call_{number}", float(number))
        order.append(f"va_o{number}", float(number))
    order.append("item", 200.0)
    assert order.items[0] == "call_2"
    assert order.items[-1] == "item"


class Purse(FreePurse):
    def __init__(self) -> None:
        self.open = self.early = True
        self.took: list[tuple[int, ...] | None] = []

    def spent(self, model: str, tokens: tuple[int, ...], seconds: float, *, response: bool) -> None:
        self.took.append(tokens)
        self.open = self.early = False

    def untold(self) -> None:
        self.took.append(None)

    def may_ask(self) -> bool:
        return self.open

    def may_ask_early(self) -> bool:
        return self.early


def test_core_nothing_is_asked_for_while_the_purse_has_nothing() -> None:
    purse = Purse()
    limiter = ResponseLimiter(10, purse)
    assert (limiter.free_at(5.0), limiter.has_room_early(5.0)) == (5.0, True)
    purse.early = False
    assert (limiter.free_at(5.0), limiter.has_room_early(5.0)) == (5.0, False)
    purse.open, purse.early = False, True
    assert (limiter.free_at(5.0), limiter.has_room_early(5.0)) == (5.5, False)
    purse.open = True
    assert limiter.free_at(5.5) == 5.5


def test_core_what_a_response_took_is_told_before_another_one_is_asked_for() -> None:
    def asked(*events: Line) -> int:
        """How many responses are asked for because of these events."""
        given = [one for event in events for one in desk.session.received(decode(json.dumps(event).encode()), 3.0).commands]
        return sum(isinstance(one, Send) and json.loads(one.data)["type"] == "response.create" for one in given)

    def turn_of(item: str) -> Line:
        return {"type": "input_audio_buffer.committed", "item_id": item}

    def response(number: int, kind: str, **more: Any) -> Line:
        return {"type": f"response.{kind}", "response": {"id": f"resp_{number}", "metadata": {"kind": "suggestion"}, **more}}

    purse = Purse()
    desk = Desk(purse=purse)
    desk.audio(10_000)
    desk.session.begin(HandOverState(), 0.0)
    assert asked(turn_of("one"), response(1, "created"), turn_of("two")) == 1
    read = {"text_tokens": 50, "audio_tokens": 40, "cached_tokens": 20, "cached_tokens_details": {"text_tokens": 20}}
    usage = {"input_tokens": 90, "output_tokens": 7, "input_token_details": read, "output_token_details": {"text_tokens": 7}}
    assert asked(response(1, "done", status="completed", usage=usage)) == 0, "the purse is empty now, though a turn waits"
    assert purse.took == [(30, 20, 40, 0, 7, 0)]
    purse.open = True
    assert sum(isinstance(one, Send) for one in desk.session.tick(5.0).commands) == 1
    assert asked(response(2, "created"), response(2, "done", status="completed")) == 0
    assert purse.took[1:] == [None], "nobody told what it took"
    transcript = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "two", "transcript": "Yes."}
    heard = {**transcript, "usage": {"type": "duration", "seconds": 1.4}}
    events = desk.session.received(decode(json.dumps(heard).encode()), 5.0).events
    assert [one for one in events if isinstance(one, WritingTook)] == [WritingTook("gpt-transcribe", (0,) * 6, 1.4)]
    assert asked(turn_of("three"), response(3, "created")) == 1
    desk.session.abandon()
    assert purse.took[2:] == [None], "it was lost with its session"
