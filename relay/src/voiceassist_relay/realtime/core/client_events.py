"""Client events: what we send, as bytes ready for a text frame. GA dialect, text out, mu-law passed through. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from voiceassist_crds.config import AudioFormat, ModelConfig

from ..providers import TranscriptionPrompt, provider_of
from . import spoken_language
from .suggest_tool import NAME, SUGGEST

APPEND_HEAD: Final = b'{"type":"input_audio_buffer.append","audio":"'
APPEND_TAIL: Final = b'"}'

KIND: Final = "suggestion"
"""Marks our responses in their metadata."""
EARLY_KIND: Final = "early"
"""Marks those that are asked for ahead of a turn's end."""

_FORMATS: Final[dict[AudioFormat, dict[str, Any]]] = {
    AudioFormat.PCMU: {"type": "audio/pcmu"},
    AudioFormat.PCM16K: {"type": "audio/pcm", "rate": 16_000},
    AudioFormat.PCM24K: {"type": "audio/pcm", "rate": 24_000},
}
_NOISE: Final = {"NearField": {"type": "near_field"}, "FarField": {"type": "far_field"}, "Off": None}

_PROMPTS: Final[dict[TranscriptionPrompt, Callable[[str], str]]] = {
    TranscriptionPrompt.FREE_TEXT: spoken_language.for_transcription,
    TranscriptionPrompt.EXAMPLE: spoken_language.in_its_script,
    TranscriptionPrompt.NONE: lambda _: "",
}

encode = msgspec.json.encode


def append(payload: bytes) -> bytes:
    """One frame of audio: base64 as it came."""
    return APPEND_HEAD + payload + APPEND_TAIL


def conversation_update(model: ModelConfig, instructions: str, event_id: str, before: ModelConfig | None = None) -> bytes:
    """`session.update` of the conversation session. `model` itself is not in it: it cannot change.

    `before`: what the session was told last.
    """
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["text"],
        "instructions": _instructions(model, instructions),
        "audio": {
            "input": {
                "format": _format(model),
                "noise_reduction": _noise_reduction(model, before),
                "transcription": _transcription(model, agent=False),
                "turn_detection": _turn_detection(model),
            }
        },
        "tools": [SUGGEST],
        "tool_choice": {"type": "function", "name": NAME},
        "max_output_tokens": model.max_output_tokens,
        "truncation": {
            "type": "retention_ratio",
            "retention_ratio": model.truncation.retention_ratio,
            "token_limits": {"post_instructions": model.truncation.post_instructions_tokens},
        },
    }
    if provider_of(model).capabilities(model).reasoning:
        session["reasoning"] = {"effort": model.reasoning_effort.lower()}
        session["parallel_tool_calls"] = False
    if model.tracing == "Auto" and before is None:  # it cannot be changed once it is set
        session["tracing"] = "auto"
    if model.stored_prompt is not None:
        session["prompt"] = model.stored_prompt.wire()
    return encode({"type": "session.update", "event_id": event_id, "session": session})


def transcription_update(
    model: ModelConfig, event_id: str, *, detection: bool, realtime: bool = False, before: ModelConfig | None = None
) -> bytes:
    """`session.update` of the agent's session; without `detection` the client commits. `realtime`: of the kind that could answer."""
    turn_detection: dict[str, Any] | None = None
    if detection:
        turn_detection = {"type": "server_vad"}
        if model.turn_detection.type == "ServerVAD":
            turn_detection = _server_vad(model)
    if realtime and turn_detection is not None:
        turn_detection |= {"create_response": False, "interrupt_response": False}
    session = {
        "type": "realtime" if realtime else "transcription",
        **({"output_modalities": ["text"]} if realtime else {}),
        "audio": {
            "input": {
                "format": _format(model),
                "noise_reduction": _noise_reduction(model, before),
                "transcription": _transcription(model, agent=True),
                "turn_detection": turn_detection,
            }
        },
    }
    return encode({"type": "session.update", "event_id": event_id, "session": session})


def response_create(model: ModelConfig, event_id: str, turn: str) -> bytes:
    """Asks for a response to all that the conversation holds; `turn` is the item that it answers.

    That it shall be text is said here once more: there are servers that take it from nowhere else.
    """
    response: dict[str, Any] = {"metadata": {"kind": KIND, "turn": turn[:500]}}
    if provider_of(model).capabilities(model).output_modalities_per_response:
        response["output_modalities"] = ["text"]
    return encode({"type": "response.create", "event_id": event_id, "response": response})


def early_response_create(model: ModelConfig, event_id: str, turn: str, items: Sequence[str], audio: bytes) -> bytes:
    """Asks for a response to the conversation's `items` and to `audio`, which is not committed yet: base64 in the session's format.

    It is out of band: the conversation is not touched, so that nothing is left of it if the customer goes on.
    """
    spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio.decode("ascii")}]}
    response: dict[str, Any] = {
        "conversation": "none",
        "metadata": {"kind": EARLY_KIND, "turn": turn[:500], "ask": event_id},
        "input": [*({"type": "item_reference", "id": item} for item in items), spoken],
    }
    if provider_of(model).capabilities(model).output_modalities_per_response:
        response["output_modalities"] = ["text"]
    return encode({"type": "response.create", "event_id": event_id, "response": response})


def response_cancel(event_id: str, response_id: str) -> bytes:
    """Ends a response early."""
    return encode({"type": "response.cancel", "event_id": event_id, "response_id": response_id})


def buffer_clear(event_id: str) -> bytes:
    """Throws away the audio that was not committed."""
    return encode({"type": "input_audio_buffer.clear", "event_id": event_id})


def buffer_commit(event_id: str) -> bytes:
    """Makes an item of the audio so far."""
    return encode({"type": "input_audio_buffer.commit", "event_id": event_id})


def text_item(event_id: str, item_id: str, role: str, text: str, previous: str | None) -> bytes:
    """Adds words to the conversation; `previous` None: at its end, "root": at its beginning."""
    kind = "output_text" if role == "assistant" else "input_text"
    item = {"id": item_id, "type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return _item(event_id, item, previous)


def call_item(event_id: str, item_id: str, call_id: str, arguments: str, previous: str) -> bytes:
    """Puts the tool's call into the conversation that the model made out of band, as if it had been made there."""
    item = {"id": item_id, "type": "function_call", "call_id": call_id, "name": NAME, "arguments": arguments}
    return _item(event_id, item, previous)


def call_output(event_id: str, item_id: str, call_id: str, *, shown: bool, previous: str | None = None) -> bytes:
    """Answers the tool's call, as the conversation must have it; no response follows."""
    output = '{"shown":true}' if shown else '{"shown":false}'
    return _item(event_id, {"id": item_id, "type": "function_call_output", "call_id": call_id, "output": output}, previous)


def _item(event_id: str, item: dict[str, Any], previous: str | None) -> bytes:
    event: dict[str, Any] = {"type": "conversation.item.create", "event_id": event_id}
    if previous is not None:
        event["previous_item_id"] = previous
    event["item"] = item
    return encode(event)


def _instructions(model: ModelConfig, instructions: str) -> str:
    """The prompt, and the call's language where transcription is not told all of it."""
    language = model.told_language
    return f"{instructions}\n\n{spoken_language.for_answers(language)}" if language is not None else instructions


def _format(model: ModelConfig) -> dict[str, Any]:
    return _FORMATS[provider_of(model).audio_format(model)]


def _noise_reduction(model: ModelConfig, before: ModelConfig | None) -> dict[str, Any] | None:
    kind = _NOISE[model.noise_reduction]
    if kind is None:
        return None
    strength = model.noise_reduction_strength
    if strength is None and before is not None and before.noise_reduction_strength is not None:
        strength = 1.0  # left out it would keep its value; this is what it begins with
    return {**kind} if strength is None else {**kind, "strength": strength}


def _transcription(model: ModelConfig, *, agent: bool) -> dict[str, Any] | None:
    config = model.transcription
    if config is None:
        return None
    name = config.agent_model if agent else config.model
    transcription: dict[str, Any] = {"model": name}
    if config.language is not None:
        code = spoken_language.code(config.language)
        prompt = _PROMPTS[provider_of(model).transcription_prompt(name)](config.language)
        transcription |= ({"language": code} if code else {}) | ({"prompt": prompt} if prompt else {})
    if config.prompt is not None:
        transcription["prompt"] = " ".join(filter(None, (config.prompt, transcription.get("prompt"))))
    if codes := list(dict.fromkeys(code for tag in config.languages if (code := spoken_language.code(tag)))):
        transcription["languages"] = codes
    if config.keywords:
        transcription["keywords"] = config.keywords
    if config.delay is not None:
        transcription["delay"] = config.delay.lower()
    return transcription


def _server_vad(model: ModelConfig) -> dict[str, Any]:
    detection = model.turn_detection
    vad: dict[str, Any] = {"type": "server_vad"}
    if detection.threshold is not None:
        vad["threshold"] = detection.threshold
    if detection.prefix_padding_ms is not None:
        vad["prefix_padding_ms"] = detection.prefix_padding_ms
    vad["silence_duration_ms"] = detection.silence_ms  # always said: the server's own default is documented two ways
    return vad


def _turn_detection(model: ModelConfig) -> dict[str, Any]:
    detection = model.turn_detection
    if detection.type == "SemanticVAD":
        turn: dict[str, Any] = {"type": "semantic_vad", "eagerness": (detection.eagerness or "Auto").lower()}
    else:
        turn = _server_vad(model)
    return {**turn, "create_response": False, "interrupt_response": False}
