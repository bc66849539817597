"""The agent's session: words with the time at which they began, by the server's turn detection or by our own detection of speech."""

from __future__ import annotations

import base64
import json
from typing import Any

from unit.realtime.wire import flat, plan_of
from voiceassist_crds.messages import Track
from voiceassist_relay.realtime.core import outputs as act
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.core.limits import SessionLimits
from voiceassist_relay.realtime.core.liveness import Liveness
from voiceassist_relay.realtime.core.server_events import decode
from voiceassist_relay.realtime.core.session_base import SessionState
from voiceassist_relay.realtime.core.transcription import KEY_PREFIX, TranscriptionSession
from voiceassist_relay.realtime.core.turns import HandOverState

LOUD = base64.b64encode(b"\x90\x10" * 80)
QUIET = base64.b64encode(b"\xff" * 160)


def session_of(*, detection: bool = True, number: int = 1) -> TranscriptionSession:
    clock = AudioClock()
    clock.slots.extend((slot + 1) / 50 for slot in range(3000))
    limits = SessionLimits()
    state = SessionState(number, plan_of(), clock, Liveness(limits, 0.0), limits, prefix=KEY_PREFIX)
    session = TranscriptionSession(state, detection=detection, paused=False)
    session.begin(HandOverState(), 0.0)
    return session


def said(session: TranscriptionSession, now: float, /, **event: Any) -> list[act.Event | act.Command]:
    return flat(session.received(decode(json.dumps(event).encode()), now))


def sent(*outputs: act.Outputs) -> list[str]:
    commands = [command for each in outputs for command in each.commands]
    return [json.loads(command.data)["type"] for command in commands if isinstance(command, act.Send)]


def test_transcription_words_begin_when_their_audio_began() -> None:
    session = session_of()
    assert said(session, 2.0, type="input_audio_buffer.speech_started", item_id="i1", audio_start_ms=1000) == []
    assert session.speech_open
    assert session.hold_from(2.0) == 1.0
    said(session, 3.0, type="input_audio_buffer.committed", item_id="i1")
    assert not session.speech_open
    assert not session.idle(3.0)
    (part,) = said(session, 3.1, type="conversation.item.input_audio_transcription.delta", item_id="i1", delta="Let me")
    assert part == act.Words(Track.AGENT, "agent-i1", "Let me", final=False)
    actions = said(session, 3.2, type="conversation.item.input_audio_transcription.completed", item_id="i1", transcript="Let me see.")
    assert actions == [
        act.Words(Track.AGENT, "agent-i1", "Let me see.", final=True),
        act.AgentSpoke("agent-i1", 1.0, "Let me see."),
    ]
    assert session.idle(3.2)
    assert session.hold_from(3.2) is None


def test_transcription_noise_without_words_says_nothing_to_the_conversation() -> None:
    session = session_of(number=2)
    said(session, 3.0, type="input_audio_buffer.committed", item_id="i1")
    actions = said(session, 3.2, type="conversation.item.input_audio_transcription.completed", item_id="i1", transcript=" ")
    assert actions == []


def test_transcription_words_on_the_screen_end_with_a_failure_a_pause_and_the_sessions_death() -> None:
    delta = {"type": "conversation.item.input_audio_transcription.delta", "delta": "Let me"}
    session = session_of()
    said(session, 3.0, type="input_audio_buffer.committed", item_id="i1")
    said(session, 3.1, item_id="i1", **delta)
    ended, fault = said(session, 3.2, type="conversation.item.input_audio_transcription.failed", item_id="i1")
    assert ended == act.Words(Track.AGENT, "agent-i1", "Let me", final=True)
    assert isinstance(fault, act.ModelFault)
    said(session, 4.0, type="input_audio_buffer.speech_started", item_id="i2", audio_start_ms=3500)
    said(session, 4.1, item_id="i2", **delta)
    assert act.Words(Track.AGENT, "agent-i2", "Let me", final=True) in session.pause(4.2).events
    session = session_of()
    said(session, 6.0, type="input_audio_buffer.speech_started", item_id="i3", audio_start_ms=5500)
    said(session, 6.1, item_id="i3", **delta)
    outputs, handover = session.abandon()
    assert outputs.events == (act.Words(Track.AGENT, "agent-i3", "", final=True),), "they come again by another id"
    assert handover.replay_from is not None


def test_transcription_words_that_never_come_are_not_waited_for() -> None:
    session = session_of()
    said(session, 3.0, type="input_audio_buffer.committed", item_id="i1")
    assert not session.idle(10.0)
    assert session.idle(30.0)
    said(session, 31.0, type="input_audio_buffer.committed", item_id="i2")
    (fault,) = said(session, 32.0, type="conversation.item.input_audio_transcription.failed", item_id="i2")
    assert fault == act.ModelFault("transcription_failed")
    assert session.at_turns_end


def test_transcription_speech_that_the_server_passed_over_does_not_stay_open() -> None:
    session = session_of()
    said(session, 2.0, type="input_audio_buffer.speech_started", item_id="i1", audio_start_ms=1000)
    said(session, 3.0, type="input_audio_buffer.speech_started", item_id="i2", audio_start_ms=2000)
    said(session, 4.0, type="input_audio_buffer.committed", item_id="i2")
    assert not session.speech_open


def test_transcription_what_a_broken_session_did_not_finish_is_heard_again() -> None:
    session = session_of()
    said(session, 2.0, type="input_audio_buffer.speech_started", item_id="i1", audio_start_ms=1000)
    said(session, 3.0, type="input_audio_buffer.committed", item_id="i1")
    said(session, 4.0, type="input_audio_buffer.speech_started", item_id="i2", audio_start_ms=3500)
    assert session.abandon() == (act.NOTHING, HandOverState((), 1.0, None))
    assert session_of().abandon() == (act.NOTHING, HandOverState())


def test_transcription_pause_throws_open_audio_away_and_hears_nothing_that_began_in_it() -> None:
    session = session_of()
    said(session, 2.0, type="input_audio_buffer.speech_started", item_id="i1", audio_start_ms=1000)
    assert sent(session.pause(2.5)) == ["input_audio_buffer.clear"]
    assert not session.speech_open
    session.resume(9.0)
    said(session, 9.1, type="input_audio_buffer.speech_started", item_id="i2", audio_start_ms=59_900)
    assert not session.speech_open
    said(session, 9.2, type="input_audio_buffer.speech_started", item_id="i3", audio_start_ms=60_100)
    assert session.speech_open


def test_transcription_voice_activity_commits_and_its_items_begin_when_it_opened() -> None:
    session = session_of(detection=False)
    given = [session.frame(LOUD if 10 <= index < 60 else QUIET, index / 50) for index in range(100)]
    assert sent(*given) == ["input_audio_buffer.commit"]
    assert not session.idle(2.0)
    said(session, 2.1, type="input_audio_buffer.committed", item_id="i1")
    actions = said(session, 2.3, type="conversation.item.input_audio_transcription.completed", item_id="i1", transcript="Yes.")
    assert actions[-1] == act.AgentSpoke("agent-i1", 0.2, "Yes.")


def test_transcription_voice_activity_closes_without_another_frame() -> None:
    session = session_of(detection=False)
    for index in range(20):
        session.frame(LOUD, index / 50)
    deadline = session.deadline
    assert deadline is not None
    assert sent(session.tick(deadline - 0.1)) == []
    assert sent(session.tick(deadline + 0.01)) == ["input_audio_buffer.commit"]
    assert session.deadline is None


def test_transcription_quiet_audio_is_thrown_away_at_the_server_before_it_is_committed() -> None:
    session = session_of(detection=False)
    given = [session.frame(QUIET, index / 50) for index in range(1600)]
    assert sent(*given) == ["input_audio_buffer.clear"] * 3


def test_transcription_the_end_of_the_call_commits_what_is_open() -> None:
    gated = session_of(detection=False)
    for index in range(20):
        gated.frame(LOUD, index / 50)
    assert sent(gated.finish(1.0)) == ["input_audio_buffer.commit"]
    assert not gated.idle(1.0)
    said(gated, 1.1, type="error", error={"code": "input_audio_buffer_commit_empty"})
    assert gated.idle(1.1)
    detected = session_of()
    said(detected, 2.0, type="input_audio_buffer.speech_started", item_id="i1", audio_start_ms=1000)
    assert detected.finish(3.0) == act.Outputs(commands=(act.FillSilence(0.8),))


def test_transcription_other_settings_and_their_refusal() -> None:
    session = session_of()
    assert session.update(plan_of("Other words.", "rev2"), 1.0) == act.NOTHING  # the prompt is not for this session
    assert session.settings.revision == "rev2"
    assert sent(session.update(plan_of(noiseReduction="FarField"), 1.0)) == ["session.update"]
    said(session, 1.1, type="session.updated")
    assert session.settings.model.noise_reduction == "FarField"
    assert sent(session.update(plan_of(), 2.0)) == ["session.update"]
    assert said(session, 2.1, type="error", error={"code": "invalid_value", "event_id": "va_u2"}) == [act.ModelFault("setting_refused")]
    assert session.settings.model.noise_reduction == "FarField"


def test_transcription_errors() -> None:
    session = session_of()
    fault, final = said(session, 1.0, type="error", error={"code": "insufficient_quota"})
    assert isinstance(fault, act.ModelFault)
    assert isinstance(final, act.GiveUp)
    assert act.Replace("expiring", now=True) in said(session, 1.0, type="error", error={"code": "session_expired"})
    assert said(session, 1.0, type="error", error={"type": "server_error"}) == [act.ModelFault("server_error")]
    assert act.Replace("error", now=True) in said(session, 1.0, type="error", error={"type": "server_error"})


def test_transcription_settings_that_come_during_an_update_follow_it() -> None:
    session = session_of()
    assert sent(session.update(plan_of(noiseReduction="FarField"), 1.0)) == ["session.update"]
    assert sent(session.update(plan_of(noiseReduction="NearField"), 1.1)) == []
    followed = session.received(decode(b'{"type":"session.updated"}'), 1.2)
    assert sent(followed) == ["session.update"]
    session.received(decode(b'{"type":"session.updated"}'), 1.3)
    assert session.settings.model.noise_reduction == "NearField"


def test_transcription_tokens_are_counted_for_the_model_that_the_server_names() -> None:
    session, usage = session_of(), {"input_tokens": 5}

    def counted(item: str) -> list[str]:
        told = said(session, 3.0, type="conversation.item.input_audio_transcription.completed", item_id=item, transcript="a", usage=usage)
        return [one.model for one in told if isinstance(one, act.TokensUsed) and one.count]

    assert counted("i1") == ["gpt-transcribe"], "where it names none"
    said(session, 3.1, type="session.updated", session={"audio": {"input": {"transcription": {"model": "in-its-place"}}}})
    assert counted("i2") == ["in-its-place"]
