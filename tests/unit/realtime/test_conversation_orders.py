"""The conversation's state machine under any order of events: no turn is lost, none is handled twice, never two responses at once."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from unit.realtime.wire import Desk, flat, plan_of
from voiceassist_relay.interfaces import FinishedSuggestion
from voiceassist_relay.realtime.core import outputs as act
from voiceassist_relay.realtime.core.server_events import decode
from voiceassist_relay.realtime.core.turns import HandOverState

WHOLE = '{"relevant":true,"answer":"Yes, you can.","question":"Can I?"}'
ARGUMENTS = st.sampled_from([WHOLE, WHOLE.replace("true", "false"), WHOLE[:30], "{}", "not json", '{"relevant":true,"answer":""}'])
ITEMS = st.integers(1, 8).map(lambda number: f"item_{number}")
ENDINGS = st.sampled_from(["completed", "completed", "incomplete", "cancelled", "failed"])
CODES = st.sampled_from(
    ["rate_limit_exceeded", "server_error", "conversation_already_has_active_response", "item_not_found", "session_expired", None]
)


class Orders(RuleBasedStateMachine):
    """A server that says anything at any time, and a call that is paused, changed, broken and ended at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(plan_of(maxResponsesPerMinute=30))
        self.desk.audio(60_000)
        self.number = 1
        self.now = 0.0
        self.items = 0
        self.open_items: list[str] = []
        self.expected = 0
        self.handled = 0
        self.shown: set[str] = set()
        self.final: list[str] = []
        self.outstanding = 0
        self.request_ids: list[str] = []
        self.responses = 0
        self.active: str | None = None
        self.cancelled: list[str] = []
        self.sent_ids: set[str] = set()
        self.handed_over = 0
        self.do(self.desk.session.begin(HandOverState(), 0.0))

    def do(self, outputs: act.Outputs) -> None:
        for action in flat(outputs):
            match action:
                case act.TurnHandled():
                    self.handled += 1
                case act.DraftShown(item, _, _):
                    self.shown.add(item)
                case act.DraftWithdrawn(item, _, _):
                    assert item in self.shown
                    self.shown.discard(item)
                case FinishedSuggestion() as one:
                    assert one.answer
                    assert one.item not in self.final
                    self.final.append(one.item)
                    self.shown.discard(one.item)
                case act.Send(data):
                    event = json.loads(data)
                    assert event["event_id"] not in self.sent_ids
                    self.sent_ids.add(event["event_id"])
                    if event["type"] == "response.create":
                        assert self.active is None
                        self.outstanding += 1
                        self.request_ids.append(event["event_id"])
                        assert self.outstanding == 1

    def server(self, **event: Any) -> None:
        self.now += 0.01
        self.do(self.desk.session.received(decode(json.dumps(event).encode()), self.now))

    @rule(parts=st.sampled_from(["started stopped committed", "started stopped committed", "committed", "started committed", "started"]))
    def a_turn(self, parts) -> None:
        self.items += 1
        item = f"item_{self.items}"
        if "started" in parts:
            self.server(type="input_audio_buffer.speech_started", item_id=item, audio_start_ms=self.items * 100)
        if "stopped" in parts:
            self.server(type="input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=self.items * 100 + 90)
        if "committed" in parts:
            self.is_committed(item)
        else:
            self.open_items.append(item)

    @precondition(lambda self: self.open_items)
    @rule()
    def open_speech_ends(self) -> None:
        self.is_committed(self.open_items.pop())

    def is_committed(self, item: str) -> None:
        if item not in self.desk.session._void:
            self.expected += 1
        self.server(type="input_audio_buffer.committed", item_id=item)

    @rule(item=ITEMS, text=st.sampled_from(["", "Can I return it?"]), kind=st.sampled_from(["delta", "completed", "failed"]))
    def words(self, item, text, kind) -> None:
        fields = {"delta": text} if kind == "delta" else {"transcript": text}
        self.server(type=f"conversation.item.input_audio_transcription.{kind}", item_id=item, **fields)

    @precondition(lambda self: self.active is None)
    @rule(own=st.sampled_from([True, True, False]))
    def response_created(self, own) -> None:
        if self.outstanding or not own:
            self.responses += 1
            self.active = f"resp_{self.responses}"
            self.outstanding = 0
            metadata = {"kind": "suggestion"} if own else None
            self.server(type="response.created", response={"id": self.active, "metadata": metadata})

    @precondition(lambda self: self.active is not None)
    @rule(arguments=ARGUMENTS, cut=st.integers(0, 60), whole=st.booleans(), status=st.sampled_from(["completed", "incomplete"]))
    def a_call(self, arguments, cut, whole, status) -> None:
        if self.active is None:
            return
        name = "other" if cut == 7 else "suggest"
        item = f"call_{self.responses}_{len(self.sent_ids)}"
        common = {"response_id": self.active, "item_id": item}
        entry = {"id": item, "type": "function_call", "name": name, "call_id": item}
        self.server(type="response.output_item.added", response_id=self.active, item=entry)
        for piece in (arguments[:cut], arguments[cut:]):
            self.server(type="response.function_call_arguments.delta", delta=piece, **common)
        if whole:
            self.server(type="response.output_item.done", response_id=self.active, item=entry | {"status": status, "arguments": arguments})

    @precondition(lambda self: self.active is not None)
    @rule(text=st.sampled_from(["", "Offer it.", WHOLE]))
    def a_text(self, text) -> None:
        if self.active is not None:
            self.server(
                type="response.output_text.done", response_id=self.active, item_id=f"text_{len(self.sent_ids)}_{self.now}", text=text
            )

    @precondition(lambda self: self.active is not None)
    @rule(status=ENDINGS, code=CODES)
    def response_done(self, status, code) -> None:
        if self.active is not None:
            gone, self.active = self.active, None
            details = {"error": {"code": code}} if status == "failed" else None
            self.server(
                type="response.done", response={"id": gone, "status": status, "status_details": details, "metadata": {"kind": "suggestion"}}
            )

    @precondition(lambda self: self.outstanding and self.active is None)
    @rule(code=CODES)
    def refused(self, code) -> None:
        if self.outstanding and self.active is None:
            self.outstanding = 0
            self.server(type="error", error={"code": code, "event_id": self.request_ids[-1]})

    @rule(code=CODES)
    def some_error(self, code) -> None:
        if code in {"item_not_found", "session_expired"}:
            self.server(type="error", error={"code": code})

    @rule(seconds=st.floats(0.01, 70))
    def time_passes(self, seconds) -> None:
        self.now += seconds
        deadline = self.desk.session.deadline
        if deadline is not None and deadline <= self.now:
            if self.active is not None:  # the relay gives up on a response of which it knows nothing; so does this server
                self.response_done("completed", None)
            self.do(self.desk.session.tick(self.now))

    @rule()
    def paused_and_resumed(self) -> None:
        self.do(self.desk.session.pause(self.now))
        assert self.handled == self.expected
        assert not self.shown
        assert not self.desk.session.speech_open
        self.do(self.desk.session.resume(self.now))

    @rule(revision=st.sampled_from(["rev1", "rev2"]))
    def other_settings(self, revision) -> None:
        self.do(self.desk.session.update(plan_of("Other.", revision), self.now))

    @rule(refuse=st.booleans())
    def settings_answered(self, refuse) -> None:
        updating = self.desk.session._updating
        if updating is not None and refuse:
            self.server(type="error", error={"code": "invalid_value", "event_id": updating[0]})
        elif updating is not None:
            self.server(type="session.updated", session={"id": "sess"})

    @rule(text=st.sampled_from(["Hello.", "One moment."]), began=st.floats(0, 600))
    def agent_spoke(self, text, began) -> None:
        self.desk.history.agent(f"agent-{self.now}-{began}", began, text)
        self.do(self.desk.session.agent_spoke(began, text))

    @rule()
    def breaks(self) -> None:
        open_turns = self.expected - self.handled
        outputs, handover = self.desk.session.abandon()
        self.do(outputs)
        assert not self.shown  # no draft of a dead session stays on the screen
        assert len(handover.turns) <= open_turns
        self.expected -= open_turns - len(handover.turns)  # the others are heard, and counted, again
        self.number += 1
        self.desk = Desk(self.desk.session.settings, number=self.number, history=self.desk.history)
        self.desk.audio(60_000)
        self.outstanding, self.active, self.sent_ids = 0, None, set()
        self.items, self.open_items = 0, []
        self.do(self.desk.session.begin(handover, self.now))

    @invariant()
    def no_turn_is_handled_twice(self) -> None:
        assert self.handled <= self.expected
        if self.desk.session.idle(self.now + 1000) and not self.desk.session.deadline:
            assert self.handled == self.expected

    def teardown(self) -> None:
        self.do(self.desk.session.drop("dropped", self.now))
        assert self.handled == self.expected
        assert not self.shown


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
