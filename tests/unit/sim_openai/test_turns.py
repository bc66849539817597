"""Turns come from the energy of the audio that arrived, by the session's settings, in the vendor's order of events."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from unit.sim_openai.rig import TURN, Caller, call, session_config, silence, tone
from voiceassist_sim.openai import RealtimeServer


def detection(**fields: Any) -> dict[str, Any]:
    base = {"type": "server_vad", "create_response": False, "interrupt_response": False}
    return session_config(turn_detection=base | fields)


async def turn_of(caller: Caller, audio: bytes, frame: int = 160) -> tuple[int, int]:
    """Append audio that holds one turn; its start and end by the events."""
    await caller.append(audio, frame)
    events = await caller.settle()
    assert [event["type"] for event in events] == list(TURN)
    return events[0]["audio_start_ms"], events[1]["audio_end_ms"]


async def test_the_events_of_a_turn_come_in_order_and_tie_to_one_item(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.append(silence(1000) + tone(600) + silence(600))
        started, stopped, committed, added, done = await caller.expect(*TURN)
        assert started["audio_start_ms"] == 700
        assert stopped["audio_end_ms"] == 2100
        item = started["item_id"]
        assert {stopped["item_id"], committed["item_id"], added["item"]["id"], done["item"]["id"]} == {item}
        assert committed["previous_item_id"] is None
        assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
        await caller.append(tone(600) + silence(600))
        second = await caller.expect(*TURN)
        assert second[2]["previous_item_id"] == item
        assert second[3]["previous_item_id"] == item
        assert await caller.settle() == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prefix_padding_ms": 300, "silence_duration_ms": 500}, (700, 2100)),
        ({"prefix_padding_ms": 0, "silence_duration_ms": 500}, (1000, 2100)),
        ({"prefix_padding_ms": 100, "silence_duration_ms": 200}, (900, 1800)),
        ({"prefix_padding_ms": 5000, "silence_duration_ms": 510}, (0, 2110)),
        ({"prefix_padding_ms": 300, "silence_duration_ms": 900}, (700, 2500)),
    ],
)
async def test_padding_and_silence_are_those_of_the_session(
    server: RealtimeServer, fields: dict[str, int], expected: tuple[int, int]
) -> None:
    async with call(server, config=detection(**fields)) as caller:
        assert await turn_of(caller, silence(1000) + tone(600) + silence(1000)) == expected


@pytest.mark.parametrize("frame", [160, 80, 33, 400, 1600, 16000])
async def test_the_size_of_frames_makes_no_difference(server: RealtimeServer, frame: int) -> None:
    async with call(server) as caller:
        assert await turn_of(caller, silence(1000) + tone(600) + silence(1000), frame) == (700, 2100)


@pytest.mark.parametrize(
    ("threshold", "dbfs", "speech"),
    [(0.5, -38, True), (0.5, -42, False), (0.0, -58, True), (1.0, -22, False), (1.0, -18, True), (0.9, -30, False)],
)
async def test_a_higher_threshold_needs_louder_audio(server: RealtimeServer, threshold: float, dbfs: float, speech: bool) -> None:
    async with call(server, config=detection(threshold=threshold)) as caller:
        await caller.append(silence(200) + tone(600, dbfs) + silence(800))
        assert bool(await caller.settle()) is speech


async def test_a_click_is_no_speech(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.append(silence(200) + tone(20) + silence(800))
        assert await caller.settle() == []


async def test_without_audio_a_turn_does_not_end(server: RealtimeServer) -> None:
    """Only audio counts: what never arrives is no silence."""
    async with call(server) as caller:
        await caller.append(silence(100) + tone(600) + silence(480))
        await caller.expect("input_audio_buffer.speech_started")
        assert await caller.settle() == []
        await caller.append(silence(20))
        await caller.expect(*TURN[1:])


async def test_a_pause_shorter_than_the_silence_does_not_end_a_turn(server: RealtimeServer) -> None:
    async with call(server) as caller:
        assert await turn_of(caller, tone(400) + silence(460) + tone(400) + silence(520)) == (0, 1760)


async def test_a_turn_never_reaches_back_into_the_one_before(server: RealtimeServer) -> None:
    async with call(server, config=detection(prefix_padding_ms=5000, silence_duration_ms=200)) as caller:
        await caller.append(tone(400) + silence(300) + tone(400) + silence(300))
        events = [event for event in await caller.settle() if "audio_start_ms" in event or "audio_end_ms" in event]
        assert [event.get("audio_start_ms", event.get("audio_end_ms")) for event in events] == [0, 600, 600, 1300]


@pytest.mark.parametrize(("eagerness", "end"), [("high", 1200), ("medium", 1800), ("auto", 1800), ("low", 3000)])
async def test_semantic_detection_waits_longer_the_less_eager_it_is(server: RealtimeServer, eagerness: str, end: int) -> None:
    config = session_config(
        turn_detection={"type": "semantic_vad", "eagerness": eagerness, "create_response": False, "interrupt_response": False}
    )
    async with call(server, config=config) as caller:
        assert await turn_of(caller, tone(600) + silence(2600)) == (0, end)


async def test_two_turns_in_one_append_are_two_turns(server: RealtimeServer) -> None:
    async with call(server) as caller:
        audio = tone(300) + silence(600) + tone(300) + silence(600)
        await caller.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())
        await caller.expect(*TURN, *TURN)
        assert len(server.sessions[0].protocol.ledger.turns) == 2


async def test_other_settings_count_from_the_update_on(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.append(tone(600) + silence(300))
        await caller.expect("input_audio_buffer.speech_started")
        await caller.configure(detection(silence_duration_ms=200))
        await caller.append(silence(20))
        events = await caller.expect(*TURN[1:])
        assert events[0]["audio_end_ms"] == 800


# ------------------------------------------------------------------------------------------------------------- by the client


async def test_without_detection_the_client_commits(server: RealtimeServer) -> None:
    async with call(server, config=session_config(turn_detection=None)) as caller:
        await caller.append(tone(600) + silence(800))
        assert await caller.settle() == []
        await caller.send("input_audio_buffer.commit")
        committed, *_ = await caller.expect(*TURN[2:])
        turn = server.sessions[0].protocol.ledger.turns[0]
        assert (turn.item, turn.start_ms, turn.end_ms, turn.committed_by) == (committed["item_id"], 0, 1400, "client")
        error = await caller.refused("input_audio_buffer.commit")
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert "buffer only has 0.00ms of audio" in error["message"]


@pytest.mark.parametrize(("milliseconds", "refused"), [(80, True), (99, True), (100, False)])
async def test_a_commit_needs_100_ms(server: RealtimeServer, milliseconds: int, refused: bool) -> None:
    async with call(server, config=session_config(turn_detection=None)) as caller:
        await caller.append(tone(milliseconds), 80)
        await caller.send("input_audio_buffer.commit")
        events = await caller.settle()
        assert [event["type"] == "error" for event in events] == ([True] if refused else [False] * 3)


async def test_clear_throws_away_what_was_not_committed(server: RealtimeServer) -> None:
    async with call(server, config=session_config(turn_detection=None)) as caller:
        await caller.append(tone(600))
        await caller.send("input_audio_buffer.clear")
        await caller.expect("input_audio_buffer.cleared")
        assert (await caller.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        assert server.sessions[0].protocol.ledger.bytes_heard == 4800


async def test_clear_ends_a_turn_that_is_open(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.append(tone(600))
        await caller.expect("input_audio_buffer.speech_started")
        await caller.send("input_audio_buffer.clear")
        await caller.append(silence(800))
        await caller.expect("input_audio_buffer.cleared")
        assert await caller.settle() == []
        await caller.send("input_audio_buffer.commit")
        await caller.expect(*TURN[2:])
        (turn,) = server.sessions[0].protocol.ledger.turns
        assert (turn.start_ms, turn.end_ms) == (600, 1400)


async def test_a_commit_during_speech_ends_the_turn_with_its_item(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.append(silence(500) + tone(600))
        (started,) = await caller.expect("input_audio_buffer.speech_started")
        await caller.send("input_audio_buffer.commit")
        committed, *_ = await caller.expect(*TURN[2:])
        assert committed["item_id"] == started["item_id"]
        await caller.append(silence(800))
        assert await caller.settle() == []


# ------------------------------------------------------------------------------------------------------- what follows a turn


async def test_by_default_a_turn_is_answered_at_once(server: RealtimeServer) -> None:
    async with call(server, config=session_config(turn_detection={"type": "server_vad"})) as caller:
        await caller.append(tone(600) + silence(600))
        await caller.expect(*TURN)
        created = (await caller.expect("response.created"))[0]
        assert created["response"]["conversation_id"].startswith("conv_")
        await caller.until("response.done")
        assert server.sessions[0].protocol.ledger.responses[0].trigger == "turn"


async def test_speech_interrupts_a_response_unless_that_is_off(server: RealtimeServer) -> None:
    server.behaviour.change({"firstTokenMs": 60_000})
    for interrupt in (True, None, False):
        flags = {} if interrupt is None else {"interrupt_response": interrupt}
        config = session_config(turn_detection={"type": "server_vad", "create_response": False, **flags})
        async with call(server, config=config) as caller:
            await caller.send("response.create")
            await caller.expect("response.created", "rate_limits.updated")
            await caller.append(tone(200))
            events = await caller.settle()
            if interrupt is False:
                assert [event["type"] for event in events] == ["input_audio_buffer.speech_started"]
            else:
                assert [event["type"] for event in events] == ["input_audio_buffer.speech_started", "response.done"]
                assert events[1]["response"]["status"] == "cancelled"
                assert events[1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


async def test_a_turn_that_ends_during_a_response_cannot_be_answered_by_itself(server: RealtimeServer) -> None:
    server.behaviour.change({"firstTokenMs": 60_000})
    async with call(server, config=session_config(turn_detection={"type": "server_vad", "interrupt_response": False})) as caller:
        await caller.append(tone(600) + silence(600))
        await caller.expect(*TURN, "response.created", "rate_limits.updated")
        await caller.append(tone(600) + silence(600))
        *_, error = await caller.expect(*TURN, "error")
        assert error["error"]["code"] == "conversation_already_has_active_response"
        assert error["error"]["event_id"] is None


async def test_idleness_is_answered_and_counts_from_the_last_response(server: RealtimeServer) -> None:
    config = detection(idle_timeout_ms=5000, create_response=False)
    async with call(server, config=config) as caller:
        await caller.append(silence(8000))
        assert await caller.settle() == []
        await caller.send("response.create")
        await caller.until("response.done")
        await caller.append(silence(4980))
        assert await caller.settle() == []
        await caller.append(silence(20))
        events = await caller.expect("input_audio_buffer.timeout_triggered", *TURN[2:], "response.created", "rate_limits.updated")
        assert (events[0]["audio_start_ms"], events[0]["audio_end_ms"]) == (8000, 13000)
        assert events[0]["item_id"] == events[1]["item_id"]
        await caller.until("response.done")
        await caller.append(tone(600))
        await caller.until("input_audio_buffer.speech_started")
        await caller.append(tone(6000))
        assert await caller.settle() == []


async def test_who_speaks_while_a_response_ends_is_not_idle(server: RealtimeServer) -> None:
    async with call(server, config=detection(idle_timeout_ms=5000)) as caller:
        await caller.append(tone(600))
        await caller.expect("input_audio_buffer.speech_started")
        await caller.send("response.create")
        await caller.until("response.done")
        await caller.append(tone(6000))
        assert await caller.settle() == []


async def test_while_a_response_runs_nobody_is_idle(server: RealtimeServer) -> None:
    async with call(server, config=detection(idle_timeout_ms=5000)) as caller:
        await caller.send("response.create")
        await caller.until("response.done")
        server.behaviour.first_token_ms = 60_000
        await caller.send("response.create")
        await caller.expect("response.created", "rate_limits.updated")
        await caller.append(silence(6000))
        assert await caller.settle() == []


async def test_idleness_is_not_transcribed(server: RealtimeServer) -> None:
    config = detection(idle_timeout_ms=5000)
    config["audio"]["input"]["transcription"] = {"model": "gpt-transcribe"}
    async with call(server, config=config) as caller:
        await caller.send("response.create")
        await caller.until("response.done")
        await caller.append(silence(5000))
        events = await caller.collect_until("response.done")
        events += await caller.settle()
        assert events[0]["type"] == "input_audio_buffer.timeout_triggered"
        assert not [event for event in events if "transcription" in event["type"]]
