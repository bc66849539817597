"""What the stand-in says fits the vendor's types, and what it refuses or takes agrees with the vendor's own examples."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from openai import AsyncOpenAI

from contract.openai.strict_types import check_client_event, check_server_event
from unit.sim_openai.client_events import ACCEPTED, BETA, FULL
from unit.sim_openai.rig import Event, call, dial, session_config, silence, tone, transcription_config
from voiceassist_sim.openai import AnswerStyle, Behaviour, RealtimeServer

QUICK = {"firstTokenMs": 0, "deltaMs": 0, "transcriptionDelayMs": 0, "transcriptionDeltaMs": 0}


@pytest.mark.parametrize("event", BETA, ids=str)
def test_a_beta_shaped_event_fails_the_check(event: Event) -> None:
    assert check_client_event(event)


@pytest.mark.parametrize("event", ACCEPTED, ids=lambda event: str(event)[:60])
def test_what_the_stand_in_takes_fits_the_types(event: Event) -> None:
    assert check_client_event(event) == []


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All objects inside a value."""
    found = [path] if isinstance(value, dict) else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, child in children for place in places(child, (*path, key))]


FREE = {("session", "tracing", "metadata"), ("session", "tools", 0, "parameters"), ("session", "tools", 0, "parameters", "properties")}


@pytest.mark.parametrize("place", [place for place in places(FULL) if place not in FREE], ids=str)
def test_an_undeclared_key_is_found_at_any_depth(place: tuple[Any, ...]) -> None:
    event = copy.deepcopy(FULL)
    target: Any = event
    for key in place:
        target = target[key]
    target["modalities"] = ["text"]
    problems = check_client_event(event)
    assert len(problems) == 1 and "modalities: not declared" in problems[0]


@pytest.mark.parametrize("place", [place for place in places(FULL) if place not in FREE], ids=str)
async def test_the_stand_in_finds_it_too(place: tuple[Any, ...]) -> None:
    event = copy.deepcopy(FULL)
    target: Any = event
    for key in place:
        target = target[key]
    target["modalities"] = ["text"]
    async with RealtimeServer(calls=[]) as server, dial(server) as caller:
        await caller.expect("session.created")
        error = await caller.refused(event.pop("type"), **event)
        assert error["code"] == "unknown_parameter"
        assert error["param"].endswith("modalities")


def test_wrong_types_are_found() -> None:
    event = copy.deepcopy(FULL)
    event["session"]["audio"]["input"]["turn_detection"]["threshold"] = "0.5"
    event["session"]["max_output_tokens"] = 1.5
    event["session"]["reasoning"]["effort"] = "huge"
    assert len(check_client_event(event)) == 3


@pytest.mark.parametrize("style", list(AnswerStyle))
@pytest.mark.parametrize("modality", ["text", "audio"])
async def test_every_event_of_a_whole_session_fits_the_types(style: AnswerStyle, modality: str) -> None:
    """The rig checks each event that comes; here many kinds of them come."""
    seen: set[str] = set()
    behaviour = Behaviour.of({**QUICK, "answerStyle": style})
    async with RealtimeServer(behaviour=behaviour) as server:
        config = session_config(
            transcription={"model": "gpt-4o-transcribe-diarize"},
            turn_detection={"type": "server_vad", "idle_timeout_ms": 5000},
            output_modalities=[modality],
            include=["item.input_audio_transcription.logprobs"],
        )
        async with call(server, config=config) as caller:
            await caller.append(silence(500) + tone(800) + silence(600))
            events = await caller.collect_until("response.done")
            await caller.append(silence(5200))
            events += await caller.collect_until("response.done")
            await caller.send("input_audio_buffer.clear")
            await caller.send("response.create", response={"max_output_tokens": 3, "metadata": {"a": "b"}})
            events += await caller.collect_until("response.done")
            item = events[-1]["response"]["output"][0]["id"]
            await caller.send("conversation.item.retrieve", item_id=item)
            await caller.send("conversation.item.delete", item_id=item)
            await caller.send("response.create", response={"conversation": "none", "input": []})
            events += await caller.collect_until("response.done")
            server.set_faults([{"kind": "quota"}])
            await caller.send("response.create")
            events += await caller.collect_until("response.done")
            await caller.send("conversation.item.create", item={"type": "message"})
            events += await caller.collect_until("error")
        seen = {event["type"] for event in events}
    assert {
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.cleared",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.retrieved",
        "conversation.item.deleted",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.segment",
        "rate_limits.updated",
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.done",
        "error",
    } <= seen


async def test_a_transcription_session_fits_the_types() -> None:
    async with (
        RealtimeServer(behaviour=Behaviour.of(QUICK)) as server,
        call(server, "?intent=transcription", config=transcription_config()) as caller,
    ):
        await caller.append(tone(800))
        await caller.send("input_audio_buffer.commit")
        await caller.collect_until("conversation.item.input_audio_transcription.completed")


async def test_the_vendors_own_client_talks_to_the_stand_in() -> None:
    async with RealtimeServer(behaviour=Behaviour.of(QUICK), calls=[]) as server:
        client = AsyncOpenAI(api_key="sk-test", base_url=f"{server.url}/v1", websocket_base_url=server.ws_url.removesuffix("/realtime"))
        assert "gpt-realtime-2.1" in [model.id async for model in client.models.list()]
        async with client.realtime.connect(model="gpt-realtime-2.1") as socket:
            assert (await socket.recv()).type == "session.created"
            await socket.session.update(
                session={"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
            )
            assert (await socket.recv()).type == "session.updated"
            content: Any = [{"type": "input_text", "text": "Where is my parcel?"}]
            await socket.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await socket.response.create()
            text = ""
            async for event in socket:
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "response.done":
                    assert event.response.status == "completed"
                    break
        assert text == "Noted: Where is my parcel?"


def test_the_check_of_server_events_finds_what_is_wrong() -> None:
    event = {
        "type": "response.output_text.delta",
        "event_id": "e",
        "response_id": "r",
        "item_id": "i",
        "output_index": 0,
        "content_index": 0,
    }
    assert check_server_event({**event, "delta": "x"}) == []
    assert check_server_event({**event, "delta": "x", "obfuscation": "abc"}) == []
    assert check_server_event(event) == ["delta: missing"]
    assert check_server_event({**event, "delta": "x", "text": "y"}) == ["text: not declared by ResponseTextDeltaEvent"]
    assert check_server_event({**event, "delta": 5}) == ["delta: str expected, not int"]
    assert check_server_event({**event, "delta": "x", "type": "response.text.delta"}) != []
