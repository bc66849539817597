"""Client events as tables: those the vendor takes, and those it refuses with the code and the parameter that it names."""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]


def update(**session: Any) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def audio_input(**fields: Any) -> Event:
    return update(audio={"input": fields})


def detection(**fields: Any) -> Event:
    return audio_input(turn_detection={"type": "server_vad", **fields})


def transcription(**fields: Any) -> Event:
    return audio_input(transcription={"model": "gpt-transcribe", **fields})


def tool(**fields: Any) -> Event:
    return update(tools=[{"type": "function", "name": "show", **fields}])


def item(**fields: Any) -> Event:
    return {"type": "conversation.item.create", "item": fields}


def message(role: str, *content: Event, **fields: Any) -> Event:
    return item(type="message", role=role, content=list(content), **fields)


def respond(**fields: Any) -> Event:
    return {"type": "response.create", "response": fields}


FULL = update(
    output_modalities=["text"],
    instructions="You assist the human agent.",
    audio={
        "input": {
            "format": {"type": "audio/pcmu"},
            "noise_reduction": {"type": "far_field"},
            "transcription": {"model": "gpt-transcribe", "language": "en", "prompt": "Acme insurance", "keywords": ["deductible", "Acme"]},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "create_response": True,
                "interrupt_response": False,
                "idle_timeout_ms": None,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "cedar", "speed": 1.2},
    },
    tools=[{"type": "function", "name": "show", "description": "Show a card", "parameters": {"type": "object", "properties": {}}}],
    tool_choice="auto",
    parallel_tool_calls=False,
    reasoning={"effort": "minimal"},
    max_output_tokens=400,
    truncation={"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 8000}},
    tracing={"workflow_name": "voice-assist", "group_id": "CA0000", "metadata": {"tenant": "acme"}},
    include=["item.input_audio_transcription.logprobs"],
)

ACCEPTED: list[Event] = [
    FULL,
    update(),
    update(instructions=""),
    update(tools=[]),
    update(max_output_tokens="inf"),
    update(max_output_tokens=1),
    update(max_output_tokens=4096),
    update(output_modalities=["audio"]),
    update(tracing="auto"),
    update(tracing=None),
    update(truncation="disabled"),
    update(tool_choice="none"),
    update(model="gpt-realtime-2.1-mini"),
    audio_input(turn_detection=None),
    audio_input(noise_reduction=None),
    audio_input(noise_reduction={"type": "near_field", "strength": 0.5}),
    audio_input(transcription=None),
    audio_input(turn_detection={"type": "semantic_vad", "eagerness": "low", "create_response": False, "interrupt_response": False}),
    audio_input(format={"type": "audio/pcma"}),
    audio_input(format={"type": "audio/pcm", "rate": 24000}),
    detection(idle_timeout_ms=6000),
    detection(threshold=0),
    {"type": "input_audio_buffer.append", "audio": "//7+/v7+/v4="},
    {"type": "input_audio_buffer.clear", "event_id": "e" * 512},
    message("system", {"type": "input_text", "text": "CRM: gold customer"}),
    message("user", {"type": "input_text", "text": "Agent: hello"}, id="mine-1", object="realtime.item", status="completed"),
    message("user", {"type": "input_audio", "audio": "//7+", "transcript": "hi"}),
    message("user", {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}),
    message("assistant", {"type": "output_text", "text": "Earlier suggestion"}),
    item(type="function_call", name="show", arguments="{}", call_id="call_1"),
    {"type": "conversation.item.create", "previous_item_id": None, "item": message("user", {"type": "input_text", "text": "x"})["item"]},
    {"type": "conversation.item.create", "previous_item_id": "root", "item": message("user", {"type": "input_text", "text": "x"})["item"]},
    {"type": "response.create"},
    respond(),
    respond(output_modalities=["text"], max_output_tokens=300, metadata={"kind": "suggestion", "seq": "17"}),
    respond(
        conversation="none",
        metadata={"k" * 64: "v" * 512},
        instructions="Summarise.",
        input=[message("user", {"type": "input_text", "text": "Notes"})["item"]],
        tools=[],
        tool_choice="none",
    ),
]

BETA: list[Event] = [
    {"type": "session.update", "session": {"modalities": ["text"]}},
    {
        "type": "session.update",
        "session": {
            "modalities": ["text"],
            "instructions": "x",
            "voice": "alloy",
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad"},
            "temperature": 0.8,
            "max_response_output_tokens": 400,
        },
    },
    update(modalities=["text"]),
    update(input_audio_format="g711_ulaw"),
    update(output_audio_format="g711_ulaw"),
    update(input_audio_transcription={"model": "whisper-1"}),
    update(input_audio_noise_reduction={"type": "near_field"}),
    update(turn_detection={"type": "server_vad"}),
    update(temperature=0.8),
    update(max_response_output_tokens=400),
    update(voice="alloy"),
    update(speed=1.0),
    {"type": "transcription_session.update", "session": {"input_audio_format": "g711_ulaw"}},
    respond(modalities=["text"]),
    respond(max_response_output_tokens=100),
    respond(temperature=0.7),
    message("assistant", {"type": "text", "text": "beta"}),
]

UNKNOWN = "unknown_parameter"
INVALID = "invalid_value"
MISSING = "missing_required_parameter"

REFUSED: list[tuple[Event, str, str | None]] = [
    # the event itself
    ({"session": {}}, "invalid_event", None),
    ({"type": 7}, INVALID, "type"),
    ({"type": "session.forget"}, INVALID, "type"),
    ({"type": "output_audio_buffer.clear"}, INVALID, "type"),
    ({"type": "input_audio_buffer.commit", "event_id": "e" * 513}, INVALID, "event_id"),
    ({"type": "input_audio_buffer.commit", "item_id": "x"}, UNKNOWN, "item_id"),
    # session.update: places, types, bounds
    ({"type": "session.update"}, MISSING, "session"),
    ({"type": "session.update", "session": []}, INVALID, "session"),
    ({"type": "session.update", "session": {}}, MISSING, "session.type"),
    ({"type": "session.update", "session": {"type": "translation"}}, INVALID, "session.type"),
    (update(format={"type": "audio/pcmu"}), UNKNOWN, "session.format"),
    (update(id="sess_1"), UNKNOWN, "session.id"),
    (update(transcription={"model": "gpt-transcribe"}), UNKNOWN, "session.transcription"),
    (update(response_format={"type": "json_schema"}), UNKNOWN, "session.response_format"),
    (update(metadata={"a": "b"}), UNKNOWN, "session.metadata"),
    (update(conversation="none"), UNKNOWN, "session.conversation"),
    (update(audio={"turn_detection": None}), UNKNOWN, "session.audio.turn_detection"),
    (update(audio={"output": {"turn_detection": None}}), UNKNOWN, "session.audio.output.turn_detection"),
    (update(output_modalities=["text", "audio"]), INVALID, "session.output_modalities"),
    (update(output_modalities=[]), INVALID, "session.output_modalities"),
    (update(output_modalities="text"), INVALID, "session.output_modalities"),
    (update(output_modalities=["image"]), INVALID, "session.output_modalities[0]"),
    (update(instructions=["x"]), INVALID, "session.instructions"),
    (update(instructions=None), INVALID, "session.instructions"),
    (update(max_output_tokens=0), INVALID, "session.max_output_tokens"),
    (update(max_output_tokens=4097), INVALID, "session.max_output_tokens"),
    (update(max_output_tokens="infinite"), INVALID, "session.max_output_tokens"),
    (update(max_output_tokens=1.5), INVALID, "session.max_output_tokens"),
    (update(max_output_tokens=True), INVALID, "session.max_output_tokens"),
    (update(parallel_tool_calls="no"), INVALID, "session.parallel_tool_calls"),
    (update(reasoning={"effort": "enormous"}), INVALID, "session.reasoning.effort"),
    (update(reasoning="minimal"), INVALID, "session.reasoning"),
    (update(reasoning_effort="minimal"), UNKNOWN, "session.reasoning_effort"),
    (update(truncation="never"), INVALID, "session.truncation"),
    (update(truncation={"type": "retention_ratio"}), MISSING, "session.truncation.retention_ratio"),
    (update(truncation={"retention_ratio": 0.8}), MISSING, "session.truncation.type"),
    (update(truncation={"type": "retention_ratio", "retention_ratio": 1.1}), INVALID, "session.truncation.retention_ratio"),
    (
        update(truncation={"type": "retention_ratio", "retention_ratio": 0.8, "post_instructions": 5}),
        UNKNOWN,
        "session.truncation.post_instructions",
    ),
    (
        update(truncation={"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": -1}}),
        INVALID,
        "session.truncation.token_limits.post_instructions",
    ),
    (update(tracing="on"), INVALID, "session.tracing"),
    (update(tracing={"name": "x"}), UNKNOWN, "session.tracing.name"),
    (update(include=["item.everything"]), INVALID, "session.include[0]"),
    (update(audio={"output": {"voice": "hal"}}), INVALID, "session.audio.output.voice"),
    (update(audio={"output": {"speed": 2}}), INVALID, "session.audio.output.speed"),
    (update(model="gpt-realtime-2.1"), INVALID, "session.model"),
    # audio.input
    (audio_input(format="g711_ulaw"), INVALID, "session.audio.input.format"),
    (audio_input(format={"type": "g711_ulaw"}), INVALID, "session.audio.input.format.type"),
    (audio_input(format={}), MISSING, "session.audio.input.format.type"),
    (audio_input(format={"type": "audio/pcmu", "rate": 8000}), UNKNOWN, "session.audio.input.format.rate"),
    (audio_input(format={"type": "audio/pcm"}), MISSING, "session.audio.input.format.rate"),
    (audio_input(format={"type": "audio/pcm", "rate": 16000}), INVALID, "session.audio.input.format.rate"),
    (audio_input(noise_reduction="far_field"), INVALID, "session.audio.input.noise_reduction"),
    (audio_input(noise_reduction={"type": "no_field"}), INVALID, "session.audio.input.noise_reduction.type"),
    (audio_input(noise_reduction={"strength": 0.5}), MISSING, "session.audio.input.noise_reduction.type"),
    (audio_input(noise_reduction={"type": "far_field", "strength": 2}), INVALID, "session.audio.input.noise_reduction.strength"),
    (audio_input(turn_detection={}), MISSING, "session.audio.input.turn_detection.type"),
    (audio_input(turn_detection={"type": "none"}), INVALID, "session.audio.input.turn_detection.type"),
    (audio_input(turn_detection="server_vad"), INVALID, "session.audio.input.turn_detection"),
    (detection(threshold=1.1), INVALID, "session.audio.input.turn_detection.threshold"),
    (detection(threshold=-0.1), INVALID, "session.audio.input.turn_detection.threshold"),
    (detection(threshold="0.5"), INVALID, "session.audio.input.turn_detection.threshold"),
    (detection(threshold=True), INVALID, "session.audio.input.turn_detection.threshold"),
    (detection(prefix_padding_ms=-1), INVALID, "session.audio.input.turn_detection.prefix_padding_ms"),
    (detection(silence_duration_ms=500.5), INVALID, "session.audio.input.turn_detection.silence_duration_ms"),
    (detection(silence_duration_ms=-5), INVALID, "session.audio.input.turn_detection.silence_duration_ms"),
    (detection(idle_timeout_ms=4999), INVALID, "session.audio.input.turn_detection.idle_timeout_ms"),
    (detection(idle_timeout_ms=30001), INVALID, "session.audio.input.turn_detection.idle_timeout_ms"),
    (detection(create_response="false"), INVALID, "session.audio.input.turn_detection.create_response"),
    (detection(interrupt_response=0), INVALID, "session.audio.input.turn_detection.interrupt_response"),
    (detection(eagerness="low"), UNKNOWN, "session.audio.input.turn_detection.eagerness"),
    (
        audio_input(turn_detection={"type": "semantic_vad", "threshold": 0.5}),
        UNKNOWN,
        "session.audio.input.turn_detection.threshold",
    ),
    (
        audio_input(turn_detection={"type": "semantic_vad", "idle_timeout_ms": 6000}),
        UNKNOWN,
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (
        audio_input(turn_detection={"type": "semantic_vad", "eagerness": "eager"}),
        INVALID,
        "session.audio.input.turn_detection.eagerness",
    ),
    # transcription
    (transcription(enabled=True), UNKNOWN, "session.audio.input.transcription.enabled"),
    (transcription(model="whisper-9"), INVALID, "session.audio.input.transcription.model"),
    (audio_input(transcription={"language": "en"}), MISSING, "session.audio.input.transcription.model"),
    (transcription(model="whisper-1", keywords=["x"]), "unsupported_parameter", "session.audio.input.transcription.keywords"),
    (transcription(model="gpt-transcribe", language="zh-TW"), INVALID, "session.audio.input.transcription.language"),
    (transcription(model="gpt-transcribe", languages=["en", "yue"]), INVALID, "session.audio.input.transcription.languages"),
    (transcription(model="gpt-4o-transcribe", languages=["en"]), "unsupported_parameter", "session.audio.input.transcription.languages"),
    (transcription(delay="low"), "unsupported_parameter", "session.audio.input.transcription.delay"),
    (transcription(delay="soon"), INVALID, "session.audio.input.transcription.delay"),
    (transcription(keywords="deductible"), INVALID, "session.audio.input.transcription.keywords"),
    (transcription(model="gpt-live-transcribe"), INVALID, "session.audio.input.turn_detection"),
    (transcription(model="gpt-realtime-whisper"), INVALID, "session.audio.input.turn_detection"),
    (transcription(model="gpt-realtime-whisper", prompt="x"), "unsupported_parameter", "session.audio.input.transcription.prompt"),
    # tools
    (tool(strict=True), UNKNOWN, "session.tools[0].strict"),
    (tool(name="no spaces"), INVALID, "session.tools[0].name"),
    (tool(name="n" * 65), INVALID, "session.tools[0].name"),
    (tool(parameters={"type": "array"}), INVALID, "session.tools[0].parameters"),
    (tool(parameters="{}"), INVALID, "session.tools[0].parameters"),
    (update(tools=[{"type": "function"}]), MISSING, "session.tools[0].name"),
    (update(tools=[{"name": "x"}]), MISSING, "session.tools[0].type"),
    (update(tools=[{"type": "function", "function": {"name": "x"}}]), UNKNOWN, "session.tools[0].function"),
    (update(tools=[{"type": "function", "name": "x"}, {"type": "function", "name": "x"}]), INVALID, "session.tools"),
    (update(tools={"type": "function"}), INVALID, "session.tools"),
    (update(tool_choice="suggest"), INVALID, "session.tool_choice"),
    (update(tool_choice={"type": "function"}), MISSING, "session.tool_choice.name"),
    (update(tool_choice={"type": "function", "function": {"name": "x"}}), UNKNOWN, "session.tool_choice.function"),
    (update(tool_choice={"type": "function", "name": "absent"}), INVALID, "session.tool_choice"),
    (update(tool_choice="required"), INVALID, "session.tool_choice"),
    (update(instructions="x" * 70_000), INVALID, "session.instructions"),
    # audio
    ({"type": "input_audio_buffer.append"}, MISSING, "audio"),
    ({"type": "input_audio_buffer.append", "audio": 5}, INVALID, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "no base64!"}, INVALID, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "//7+/v7+/v4"}, INVALID, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "//7+", "timestamp": 5}, UNKNOWN, "timestamp"),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    # items
    ({"type": "conversation.item.create"}, MISSING, "item"),
    (item(type="message", role="user"), MISSING, "item.content"),
    (item(type="message", content=[]), MISSING, "item.role"),
    (item(role="user", content=[]), MISSING, "item.type"),
    (item(type="memory"), INVALID, "item.type"),
    (item(type="item_reference", id="x"), INVALID, "item.type"),
    (message("agent", {"type": "input_text", "text": "x"}), INVALID, "item.role"),
    (message("system", {"type": "output_text", "text": "x"}), INVALID, "item.content[0].type"),
    (message("system", {"type": "input_audio", "audio": "//7+"}), INVALID, "item.content[0].type"),
    (message("user", {"type": "output_text", "text": "x"}), INVALID, "item.content[0].type"),
    (message("assistant", {"type": "input_text", "text": "x"}), INVALID, "item.content[0].type"),
    (message("user", {"type": "input_text"}), MISSING, "item.content[0].text"),
    (message("user", {"text": "x"}), MISSING, "item.content[0].type"),
    (message("user", {"type": "input_text", "text": "x", "lang": "en"}), UNKNOWN, "item.content[0].lang"),
    (message("user", {"type": "input_audio", "audio": "?"}), INVALID, "item.content[0].audio"),
    (message("user", {"type": "input_image", "image_url": "https://example.com/a.png"}), INVALID, "item.content[0].image_url"),
    (message("user", {"type": "input_text", "text": "x"}, name="Anna"), UNKNOWN, "item.name"),
    (message("user", {"type": "input_text", "text": "x"}, status="done"), INVALID, "item.status"),
    (message("user", {"type": "input_text", "text": "x"}, id="i" * 33), INVALID, "item.id"),
    (message("user", {"type": "input_text", "text": "x"}, id=""), INVALID, "item.id"),
    (item(type="function_call", name="x"), MISSING, "item.arguments"),
    (item(type="function_call_output", call_id="call_1"), MISSING, "item.output"),
    (item(type="function_call_output", call_id="call_1", output={"ok": True}), INVALID, "item.output"),
    (item(type="function_call_output", call_id="call_nowhere", output="{}"), "invalid_tool_call_id", "item.call_id"),
    (
        {"type": "conversation.item.create", "previous_item_id": "nowhere", "item": ACCEPTED[24]["item"]},
        "item_create_invalid_previous_item_id",
        "previous_item_id",
    ),
    ({"type": "conversation.item.delete", "item_id": "nowhere"}, "item_delete_invalid_item_id", "item_id"),
    ({"type": "conversation.item.delete"}, MISSING, "item_id"),
    ({"type": "conversation.item.retrieve", "item_id": "nowhere"}, "item_retrieve_invalid_item_id", "item_id"),
    (
        {"type": "conversation.item.truncate", "item_id": "nowhere", "content_index": 0, "audio_end_ms": 5},
        "item_truncate_invalid_item_id",
        "item_id",
    ),
    ({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0}, MISSING, "audio_end_ms"),
    # responses
    (respond(conversation="main"), INVALID, "response.conversation"),
    (respond(type="realtime"), UNKNOWN, "response.type"),
    (respond(turn_detection=None), UNKNOWN, "response.turn_detection"),
    (respond(truncation="auto"), UNKNOWN, "response.truncation"),
    (respond(metadata={str(number): "x" for number in range(17)}), INVALID, "response.metadata"),
    (respond(metadata={"k" * 65: "x"}), INVALID, "response.metadata"),
    (respond(metadata={"k": "v" * 513}), INVALID, "response.metadata.k"),
    (respond(metadata={"seq": 17}), INVALID, "response.metadata.seq"),
    (respond(max_output_tokens=5000), INVALID, "response.max_output_tokens"),
    (respond(output_modalities=["text", "audio"]), INVALID, "response.output_modalities"),
    (respond(input=[{"type": "item_reference"}]), MISSING, "response.input[0].id"),
    (respond(conversation="none", input=[{"type": "item_reference", "id": "nowhere"}]), INVALID, "response.input[0].id"),
    (respond(input="hello"), INVALID, "response.input"),
    (respond(tool_choice={"type": "function", "name": "absent"}), INVALID, "response.tool_choice"),
    ({"type": "response.create", "metadata": {}}, UNKNOWN, "metadata"),
    ({"type": "response.create", "instructions": "x"}, UNKNOWN, "instructions"),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ({"type": "response.cancel", "response_id": "resp_nowhere"}, "response_cancel_not_active", None),
]
