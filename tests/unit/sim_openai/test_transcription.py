"""The transcription of turns: its own pace, its usage, its models."""

from __future__ import annotations

from typing import Any

import pytest

from unit.sim_openai.rig import Caller, Event, call, dial, session_config, silence, tone, transcribe, transcription_config
from voiceassist_sim.openai import RealtimeServer, Utterance

KIND = "conversation.item.input_audio_transcription"


async def heard(caller: Caller, audio: bytes) -> list[Event]:
    """Speak one turn; the events of its transcription."""
    await caller.append(silence(400) + audio + silence(700))
    if (await caller.settle()) == []:
        await caller.send("input_audio_buffer.commit")
        await caller.collect_until("conversation.item.done")
    return [event for event in await caller.collect_until(f"{KIND}.completed") if event["type"].startswith(KIND)]


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
async def test_deltas_make_up_the_transcript(server: RealtimeServer, words: dict[str, Utterance], kind: str) -> None:
    server.behaviour.transcription_delay_ms = 50
    known = words["card-charge/c3"]
    vad = {"type": "server_vad", **({"create_response": False} if kind == "realtime" else {})}
    config = session_config(transcription={"model": "gpt-transcribe", "language": "en"}, turn_detection=vad)
    query = "?model=gpt-realtime"
    if kind == "transcription":
        config = transcription_config(transcription={"model": "gpt-transcribe", "language": "en"}, turn_detection=vad)
        query = "?intent=transcription"
    async with call(server, query, config=config) as caller:
        await caller.append(silence(400) + known.audio + silence(700))
        done = await caller.until("conversation.item.done")
        events = await caller.collect_until(f"{KIND}.completed")
        *deltas, completed = events
        assert len(deltas) > 3
        assert {event["type"] for event in deltas} == {f"{KIND}.delta"}
        assert "".join(event["delta"] for event in deltas) == completed["transcript"] == known.text
        assert {event["item_id"] for event in events} == {done["item"]["id"]}
        assert completed["languages"] == [{"code": "en"}]
        spoken = completed["usage"]["input_token_details"]["audio_tokens"]
        assert completed["usage"]["type"] == "tokens" and 30 <= spoken <= 60
        assert server.sessions[0].protocol.ledger.turns[0].transcript == known.text
        assert server.sessions[0].protocol.conversation.to_json()[0]["text"] == known.text


async def test_a_session_without_turn_detection_is_committed_by_the_client(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    async with transcribe(server) as caller:
        for name in ("card-charge/a2", "card-charge/a3"):
            assert (await heard(caller, words[name].audio))[-1]["transcript"] == words[name].text
        assert [turn.committed_by for turn in server.sessions[0].protocol.ledger.turns] == ["client", "client"]


async def test_a_transcript_may_come_after_the_response(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    server.behaviour.change({"transcriptionDelayMs": 300})
    config = session_config(transcription={"model": "whisper-1"}, turn_detection={"type": "server_vad"})
    async with call(server, config=config) as caller:
        await caller.append(silence(400) + words["card-charge/c3"].audio + silence(700))
        events = await caller.collect_until(f"{KIND}.completed")
    order = [event["type"] for event in events]
    assert order.index("response.done") < order.index(f"{KIND}.delta")


async def test_whisper_1_sends_one_delta_and_counts_seconds(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    async with transcribe(server, transcription={"model": "whisper-1"}, turn_detection=None) as caller:
        delta, completed = await heard(caller, words["card-charge/a2"].audio)
    assert delta["delta"] == completed["transcript"]
    assert completed["usage"]["type"] == "duration" and completed["usage"]["seconds"] > 2


async def test_diarisation_adds_segments(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    async with transcribe(server, transcription={"model": "gpt-4o-transcribe-diarize"}, turn_detection=None) as caller:
        events = await heard(caller, words["card-charge/a2"].audio)
    assert [event["text"] for event in events if event["type"] == f"{KIND}.segment"] == [words["card-charge/a2"].text]


async def test_logprobs_come_when_they_are_included(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    config = transcription_config() | {"include": ["item.input_audio_transcription.logprobs"]}
    async with call(server, "?intent=transcription", config=config) as caller:
        *deltas, completed = await heard(caller, words["card-charge/a2"].audio)
    assert [event["logprobs"][0]["token"] for event in deltas] == [event["delta"] for event in deltas]
    assert len(completed["logprobs"]) == len(deltas)


@pytest.mark.parametrize(("share", "expected"), [(0.5, "first"), (-0.5, "second")])
async def test_of_a_cut_utterance_its_share_of_words_is_heard(
    server: RealtimeServer, words: dict[str, Utterance], share: float, expected: str
) -> None:
    known = words["card-charge/a2"]
    half = len(known.audio) // 2
    async with transcribe(server) as caller:
        await caller.append(known.audio[:half] if share > 0 else known.audio[half:])
        await caller.send("input_audio_buffer.commit")
        completed = (await caller.collect_until(f"{KIND}.completed"))[-1]
    said = known.text.split()
    assert completed["transcript"].split() == (said[: len(said) // 2] if expected == "first" else said[len(said) // 2 :])


@pytest.mark.parametrize(("audio", "text"), [(tone(800, -30), "[800 ms of unknown audio at -30.0 dBFS]"), (silence(800), "")])
async def test_unknown_audio_and_silence(server: RealtimeServer, audio: bytes, text: str) -> None:
    async with transcribe(server) as caller:
        await caller.append(audio)
        await caller.send("input_audio_buffer.commit")
        completed = (await caller.collect_until(f"{KIND}.completed"))[-1]
    assert completed["transcript"] == text


async def test_none_configured_none_comes(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    async with call(server, config=session_config(turn_detection={"type": "server_vad"})) as caller:
        await caller.append(silence(400) + words["card-charge/c3"].audio + silence(700))
        events = await caller.collect_until("response.done")
        events += await caller.settle()
    assert not [event for event in events if event["type"].startswith(KIND)]


async def test_a_deployment_that_does_not_exist_fails_the_transcription(server: RealtimeServer) -> None:
    server.behaviour.deployments = {"talk": "gpt-realtime-2.1", "write": "gpt-transcribe"}
    url = f"ws://127.0.0.1:{server.port}/openai/v1/realtime"

    async def outcome(model: str) -> dict[str, Any]:
        async with dial(server, "?intent=transcription", url=url) as caller:
            await caller.expect("session.created")
            await caller.configure(transcription_config(transcription={"model": model}))
            await caller.append(tone(800))
            await caller.send("input_audio_buffer.commit")
            await caller.collect_until("conversation.item.done")
            while (event := await caller.next())["type"].endswith(".delta"):
                pass
            return event

    assert (await outcome("write"))["type"] == f"{KIND}.completed"
    failed = await outcome("absent")
    assert failed["type"] == f"{KIND}.failed"
    assert failed["error"]["code"] == "server_error"
