"""Nothing that a server says, however odd, raises or makes the relay say something that the vendor would refuse."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from contract.openai.strict_types import check_client_event
from unit.realtime.wire import Desk, flat, plan_of
from voiceassist_relay.realtime.core import outputs as act
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.core.limits import SessionLimits
from voiceassist_relay.realtime.core.liveness import Liveness
from voiceassist_relay.realtime.core.server_events import USED, NotAnEvent, decode
from voiceassist_relay.realtime.core.session_base import SessionState
from voiceassist_relay.realtime.core.transcription import TranscriptionSession
from voiceassist_relay.realtime.core.turns import HandOverState

IDS = st.sampled_from(["a", "b", "c", "resp_1", "resp_2", None])
TEXT = st.sampled_from(["", "Yes.", '{"relevant":true,"answer":"Yes."}', "\ud83d", "x" * 5000, None])
CODES = st.sampled_from(["server_error", "rate_limit_exceeded", "session_expired", "new", "conversation_already_has_active_response", None])
ERROR = st.fixed_dictionaries({"code": CODES, "event_id": st.sampled_from(["va_r1", "va_u1", None]), "message": TEXT})
ITEM = st.fixed_dictionaries(
    {
        "id": IDS,
        "type": st.sampled_from(["message", "function_call", "function_call_output", None]),
        "name": st.sampled_from(["suggest", "other", None]),
        "status": st.sampled_from(["completed", "incomplete", None]),
        "phase": st.sampled_from(["commentary", "final_answer", None]),
        "call_id": IDS,
        "arguments": TEXT,
        "content": st.none() | st.lists(st.fixed_dictionaries({"type": st.just("output_text"), "text": TEXT}), max_size=2),
    }
)
RESPONSE = st.fixed_dictionaries(
    {
        "id": IDS,
        "status": st.sampled_from(["in_progress", "completed", "failed", "cancelled", "incomplete", "new", None]),
        "status_details": st.none() | st.fixed_dictionaries({"error": st.none() | ERROR}),
        "output": st.none() | st.lists(ITEM, max_size=3),
        "metadata": st.sampled_from([None, {}, {"kind": "suggestion"}, {"kind": 3}]),
        "usage": st.sampled_from([None, {}, {"input_tokens": 3, "output_token_details": None}]),
    }
)
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(USED))},
    optional={
        "item_id": IDS,
        "response_id": IDS,
        "delta": TEXT,
        "text": TEXT,
        "arguments": TEXT,
        "transcript": TEXT,
        "audio_start_ms": st.sampled_from([None, -5, 0, 100.5, 1e12]),
        "audio_end_ms": st.sampled_from([None, -5, 0, 100.5, 1e12]),
        "item": st.none() | ITEM,
        "response": st.none() | RESPONSE,
        "error": st.none() | ERROR,
        "rate_limits": st.sampled_from([None, [], [{"remaining": 0, "reset_seconds": 2}, {"name": "tokens"}]]),
    },
)


def check(outputs: act.Outputs) -> None:
    for action in flat(outputs):
        if isinstance(action, act.Send):
            assert check_client_event(json.loads(action.data)) == []
        else:
            repr(action).encode()
            for word in (getattr(action, "text", ""), getattr(action, "answer", "")):
                word.encode()  # no half of a surrogate pair


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENT, max_size=25))
def test_core_the_conversation_takes_anything(events) -> None:
    desk = Desk(plan_of())
    desk.audio(2000)
    check(desk.session.begin(HandOverState(), 0.0))
    for now, event in enumerate(events):
        try:
            read = decode(json.dumps(event).encode())
        except NotAnEvent:
            continue
        check(desk.session.received(read, float(now)))
        check(desk.session.agent_spoke(float(now), "Yes."))
        desk.session.hold_from(float(now))
    check(desk.session.finish(30.0))
    check(desk.session.tick(40.0))
    outputs, handover = desk.session.abandon()
    check(outputs)
    check(Desk(number=2, history=desk.history).session.begin(handover, 50.0))


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENT, max_size=25), st.booleans())
def test_core_the_agents_session_takes_anything(events, detection) -> None:
    limits = SessionLimits()
    state = SessionState(1, plan_of(), AudioClock(), Liveness(limits, 0.0), limits)
    session = TranscriptionSession(state, detection=detection, paused=False)
    check(session.begin(HandOverState(), 0.0))
    for now, event in enumerate(events):
        try:
            read = decode(json.dumps(event).encode())
        except NotAnEvent:
            continue
        check(session.received(read, float(now)))
        session.hold_from(float(now))
    check(session.finish(30.0))
    check(session.tick(40.0))
    check(session.abandon()[0])
