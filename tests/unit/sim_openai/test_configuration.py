"""An update changes what it names, in full effect or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from unit.sim_openai.rig import SUGGEST, call, dial, session_config, transcription_config, update_of
from voiceassist_sim.openai import RealtimeServer


def audio_input(**fields: Any) -> dict[str, Any]:
    return update_of(audio={"input": fields})


async def test_only_the_given_fields_change_and_the_answer_is_the_whole(server: RealtimeServer) -> None:
    async with call(server, config=session_config(max_output_tokens=300)) as caller:
        before = server.sessions[0].protocol.config
        after = await caller.configure(update_of(instructions="Be brief."))
        assert after == {**before, "instructions": "Be brief."}
        assert after["tools"] == [SUGGEST] and after["max_output_tokens"] == 300


@pytest.mark.parametrize(
    ("first", "second", "effective"),
    [
        (
            {"turn_detection": {"type": "server_vad", "threshold": 0.7}},
            {"turn_detection": {"type": "server_vad", "silence_duration_ms": 800}},
            ("turn_detection", {"threshold": 0.7, "silence_duration_ms": 800, "interrupt_response": True}),
        ),
        (
            {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
            {"turn_detection": {"type": "server_vad"}},
            ("turn_detection", {"type": "server_vad", "silence_duration_ms": 200}),
        ),
        (
            {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}},
            {"turn_detection": {"type": "server_vad", "idle_timeout_ms": None}},
            ("turn_detection", {"idle_timeout_ms": None}),
        ),
        ({"turn_detection": {"type": "server_vad"}}, {"turn_detection": None}, ("turn_detection", None)),
        (
            {"noise_reduction": {"type": "far_field", "strength": 0.4}},
            {"noise_reduction": {"type": "near_field"}},
            ("noise_reduction", {"type": "near_field", "strength": 0.4}),
        ),
        ({"noise_reduction": {"type": "far_field"}}, {"noise_reduction": None}, ("noise_reduction", None)),
        (
            {"transcription": {"model": "gpt-transcribe", "language": "en"}},
            {"transcription": {"model": "gpt-transcribe", "keywords": ["x"]}},
            ("transcription", {"language": "en", "keywords": ["x"]}),
        ),
        (
            {"transcription": {"model": "gpt-transcribe", "keywords": ["x"]}},
            {"transcription": {"model": "whisper-1"}},
            ("transcription", {"model": "whisper-1"}),
        ),
        ({"transcription": {"model": "whisper-1"}}, {"transcription": None}, ("transcription", None)),
    ],
)
async def test_parts_of_the_input_are_merged_or_cleared(
    server: RealtimeServer, first: dict[str, Any], second: dict[str, Any], effective: tuple[str, Any]
) -> None:
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.configure(audio_input(**first))
        after = (await caller.configure(audio_input(**second)))["audio"]["input"][effective[0]]
        if effective[1] is None:
            assert after is None
        else:
            assert after | effective[1] == after
            assert effective[0] != "transcription" or "keywords" in effective[1] or "keywords" not in after


async def test_a_refused_update_changes_nothing_at_all(server: RealtimeServer) -> None:
    async with call(server) as caller:
        before = server.sessions[0].protocol.config
        await caller.refused("session.update", session=update_of(instructions="New.", tools=[], max_output_tokens=0))
        await caller.refused("session.update", session=update_of(instructions="New.", tool_choice={"type": "function", "name": "gone"}))
        assert server.sessions[0].protocol.config == before


async def test_a_forced_function_needs_its_tool_in_the_effective_configuration(server: RealtimeServer) -> None:
    async with dial(server) as caller:
        await caller.expect("session.created")
        choice = {"type": "function", "name": "suggest"}
        assert (await caller.refused("session.update", session=update_of(tool_choice=choice)))["param"] == "session.tool_choice"
        await caller.configure(update_of(tool_choice=choice, tools=[SUGGEST]))
        assert (await caller.refused("session.update", session=update_of(tools=[])))["param"] == "session.tool_choice"


async def test_a_session_keeps_its_kind(server: RealtimeServer) -> None:
    async with dial(server) as caller:
        await caller.expect("session.created")
        error = await caller.refused("session.update", session=transcription_config())
        assert (error["code"], error["param"]) == ("invalid_value", "session.type")
    async with dial(server, "?intent=transcription") as caller:
        await caller.expect("session.created")
        error = await caller.refused("session.update", session=session_config())
        assert (error["code"], error["param"]) == ("invalid_value", "session.type")


async def test_tracing_stays_once_it_is_on(server: RealtimeServer) -> None:
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.configure(update_of(tracing="auto"))
        error = await caller.refused("session.update", session=update_of(tracing={"workflow_name": "x"}))
        assert error["param"] == "session.tracing"
        await caller.configure(update_of(tracing=None))


async def test_the_voice_stays_once_the_model_has_spoken(server: RealtimeServer) -> None:
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.configure(update_of(audio={"output": {"voice": "cedar"}}))
        await caller.send("response.create")
        await caller.until("response.done")
        error = await caller.refused("session.update", session=update_of(audio={"output": {"voice": "marin"}}))
        assert error["code"] == "cannot_update_voice"


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-realtime-whisper"])
async def test_some_transcription_models_have_no_turn_detection(server: RealtimeServer, model: str) -> None:
    async with dial(server, "?intent=transcription") as caller:
        await caller.expect("session.created")
        config = transcription_config(transcription={"model": model}, turn_detection={"type": "server_vad"})
        error = await caller.refused("session.update", session=config)
        assert error["message"] == "Turn detection is not supported for this transcription model."
        # Left out it stays what it is, which is on at first.
        del config["audio"]["input"]["turn_detection"]
        assert (await caller.refused("session.update", session=config))["param"] == "session.audio.input.turn_detection"
        await caller.configure(transcription_config(transcription={"model": model}, turn_detection=None))
        server.behaviour.vad_for_all_transcription = True
        await caller.configure(transcription_config(transcription={"model": model}, turn_detection={"type": "server_vad"}))


async def test_the_other_reading_of_transcription_inside_conversations(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.configure(audio_input(transcription={"model": "gpt-transcribe"}))
        server.behaviour.transcribe_inside_conversations = False
        error = await caller.refused("session.update", session=audio_input(transcription={"model": "gpt-transcribe"}))
        assert error["param"] == "session.audio.input.transcription.model"
        await caller.configure(audio_input(transcription={"model": "whisper-1"}))


async def test_the_other_reading_of_the_default_silence(server: RealtimeServer) -> None:
    server.behaviour.default_silence_ms = 500
    async with dial(server) as caller:
        (created,) = await caller.expect("session.created")
        assert created["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500


async def test_instructions_and_tools_together_are_bounded(server: RealtimeServer) -> None:
    server.behaviour.max_instruction_tokens = 200
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.configure(update_of(instructions="x" * 800))
        error = await caller.refused("session.update", session=update_of(tools=[SUGGEST]))
        assert error["param"] == "session.instructions"
        await caller.configure(update_of(instructions="short", tools=[SUGGEST]))
        error = await caller.refused("response.create", response={"instructions": "x" * 900})
        assert error["param"] == "response.instructions"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.create"},
        {"type": "response.cancel"},
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": []}},
    ],
)
async def test_a_transcription_session_has_no_responses_and_no_items_of_the_client(server: RealtimeServer, event: dict[str, Any]) -> None:
    async with dial(server, "?intent=transcription") as caller:
        await caller.expect("session.created")
        error = await caller.refused(event.pop("type"), **event)
        assert (error["code"], error["param"]) == ("invalid_value", "type")
