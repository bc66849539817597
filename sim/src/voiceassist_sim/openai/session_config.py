"""The configuration of a session: what it is at first, how an update changes it, and which combinations the vendor refuses. Pure."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from typing import Any

from .behaviour import Behaviour
from .catalog import TRANSCRIPTION_MODELS, Model, transcription_model
from .schema import INVALID, MISSING, Json, Refused, unsupported_value
from .tokens import text_tokens

_ISO_639_1 = re.compile(r"[a-z]{2}")
DEFAULT_INSTRUCTIONS = "You are a helpful, witty, and friendly assistant. Answer briefly, by voice, in the language of the user."


@dataclass(frozen=True, slots=True)
class Ground:
    """What a configuration is judged against: the model, the server's dialect and the behaviour."""

    model: Model | None
    """None in a transcription session."""
    model_name: str
    """As the client named it (on Azure a deployment)."""
    any_model_name: bool
    """Whether transcription models may have any name (deployments; compatible servers)."""
    behaviour: Behaviour


def _server_vad(behaviour: Behaviour, transcription: bool) -> Json:
    config: Json = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": behaviour.default_silence_ms,
    }
    if not transcription:
        config |= {"idle_timeout_ms": None, "create_response": True, "interrupt_response": True}
    return config


def _semantic_vad(transcription: bool) -> Json:
    config: Json = {"type": "semantic_vad", "eagerness": "auto"}
    return config if transcription else config | {"create_response": True, "interrupt_response": True}


def first_config(session_id: str, ground: Ground, expires_at: int) -> Json:
    """The configuration in ``session.created``."""
    transcription = ground.model is None
    audio_input = {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": _server_vad(ground.behaviour, transcription),
    }
    if transcription:
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": expires_at,
            "audio": {"input": audio_input},
            "include": None,
        }
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": ground.model_name,
        "output_modalities": ["audio"],
        "instructions": DEFAULT_INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at,
        "audio": {
            "input": audio_input,
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
        },
        "include": None,
    }


def updated_config(current: Json, update: Json, ground: Ground, *, spoken: bool = False) -> Json:
    """The configuration after an update (already checked against the table of events).

    Args:
        current: the effective configuration.
        update: the ``session`` of the update.
        ground: what it is judged against.
        spoken: whether the model has already given audio.

    Raises:
        Refused: the combination is not allowed; the configuration stays.
    """
    if update["type"] != current["type"]:
        raise Refused(
            INVALID,
            f"Passing a {update['type']} session update event to a {current['type']} session is not allowed.",
            "session.type",
        )
    if "model" in update and update["model"] not in (None, ground.model_name):
        raise Refused(INVALID, f"The model of a session cannot be changed (it is '{ground.model_name}').", "session.model")
    if current.get("tracing") is not None and "tracing" in update and update["tracing"] not in (None, current["tracing"]):
        raise Refused(INVALID, "The tracing configuration cannot be changed once tracing is enabled.", "session.tracing")
    effective = copy.deepcopy(current)
    for name, value in update.items():
        if name == "audio":
            if value is not None:
                _update_audio(effective["audio"], value, ground, spoken)
        elif value is not None or name in ("tracing", "include", "prompt"):
            effective[name] = copy.deepcopy(value)
    if ground.model is not None:
        check_answering(effective, ground, "session", given=update)
    _check_input(effective["audio"]["input"], ground)
    return effective


def _update_audio(audio: Json, update: Json, ground: Ground, spoken: bool) -> None:
    transcription = ground.model is None
    given: Json = update.get("input") or {}
    own = audio["input"]
    if given.get("format") is not None:
        own["format"] = dict(given["format"])
    if "noise_reduction" in given:
        own["noise_reduction"] = _merged_noise_reduction(own["noise_reduction"], given["noise_reduction"])
    if "transcription" in given:
        new = given["transcription"]
        old = own["transcription"]
        if new is not None and old is not None and new.get("model", old.get("model")) == old.get("model"):
            new = {**old, **new}
        own["transcription"] = None if new is None else {name: value for name, value in new.items() if value is not None}
    if "turn_detection" in given:
        new = given["turn_detection"]
        if new is not None:
            base = _server_vad(ground.behaviour, transcription) if new["type"] == "server_vad" else _semantic_vad(transcription)
            old = own["turn_detection"]
            if old is not None and old["type"] == new["type"]:
                base = old
            new = {**base, **{name: value for name, value in new.items() if value is not None or name == "idle_timeout_ms"}}
        own["turn_detection"] = new
    if update.get("output") and "output" in audio:
        new = {name: value for name, value in update["output"].items() if value is not None}
        if spoken and new.get("voice", audio["output"]["voice"]) != audio["output"]["voice"]:
            raise Refused(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        audio["output"] = {**audio["output"], **copy.deepcopy(new)}


def _merged_noise_reduction(old: Json | None, new: Json | None) -> Json | None:
    if new is None:
        return None
    merged = {**(old or {}), **{name: value for name, value in new.items() if value is not None}}
    if "type" not in merged:
        path = "session.audio.input.noise_reduction.type"
        raise Refused(MISSING, f"Missing required parameter: '{path}'.", path)
    return merged


def check_answering(config: Json, ground: Ground, path: str, *, given: Json) -> None:
    """Check the fields that say how to answer, of a session or of one response: what fits the model and one another.

    Args:
        config: the effective fields.
        ground: what they are judged against.
        path: ``session`` or ``response``, for the error's parameter.
        given: the fields the client sent, of which alone the model's gates speak.

    Raises:
        Refused: a combination is not allowed.
    """
    model = ground.model
    if model is not None and not model.reasoning and not ground.behaviour.ignore_model_gates:
        for name in ("reasoning", "parallel_tool_calls"):
            if given.get(name) is not None:
                raise Refused(
                    "unsupported_parameter",
                    f"Unsupported parameter: '{path}.{name}' is not supported with the '{ground.model_name}' model.",
                    f"{path}.{name}",
                )
    tools: list[Json] = config.get("tools") or []
    names = [tool["name"] for tool in tools if tool["type"] == "function"]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(INVALID, f"Invalid '{path}.tools': the function '{twice}' is given twice.", f"{path}.tools")
    chosen: Any = config.get("tool_choice")
    if isinstance(chosen, dict) and chosen["type"] == "function" and chosen["name"] not in names:
        raise Refused(INVALID, f"Tool choice '{chosen['name']}' not found in 'tools' parameter.", f"{path}.tool_choice")
    if chosen == "required" and not tools:
        raise Refused(INVALID, "Tool choice 'required' needs at least one tool.", f"{path}.tool_choice")
    tokens = text_tokens(config.get("instructions") or "") + text_tokens(json.dumps(tools, ensure_ascii=False) if tools else "")
    if tokens > ground.behaviour.max_instruction_tokens:
        raise Refused(
            INVALID,
            f"Invalid '{path}.instructions': instructions and tools have about {tokens} tokens, "
            f"but at most {ground.behaviour.max_instruction_tokens} are allowed.",
            f"{path}.instructions",
            fine="string_above_max_length",
        )


def _check_input(audio_input: Json, ground: Ground) -> None:
    config = audio_input["transcription"]
    if config is None:
        return
    path = "session.audio.input.transcription"
    name = config.get("model")
    if name is None:
        raise Refused(MISSING, f"Missing required parameter: '{path}.model'.", f"{path}.model")
    model = transcription_model(name, ground.behaviour.deployments)
    if model is None:
        if ground.any_model_name:
            return
        raise unsupported_value(f"{path}.model", name, list(TRANSCRIPTION_MODELS))
    for field, codes in (("language", [config.get("language") or "en"]), ("languages", config.get("languages") or [])):
        for code in codes:
            if not _ISO_639_1.fullmatch(code):
                raise Refused(INVALID, f"Invalid language '{code}': it must be specified in ISO-639-1 format.", f"{path}.{field}")
    inside = ground.model is not None
    if inside and not ground.behaviour.transcribe_inside_conversations and (model.hints or model.delay):
        raise Refused(INVALID, f"The model '{name}' cannot transcribe the input of a realtime session.", f"{path}.model")
    for field, allowed in (("languages", model.hints), ("keywords", model.hints), ("delay", model.delay), ("prompt", model.prompt)):
        if not allowed and config.get(field) not in (None, "", []):
            raise Refused(
                "unsupported_parameter",
                f"Unsupported parameter: '{path}.{field}' is not supported with the '{name}' model.",
                f"{path}.{field}",
            )
    if audio_input["turn_detection"] is not None and not model.turn_detection and not ground.behaviour.vad_for_all_transcription:
        raise Refused(INVALID, "Turn detection is not supported for this transcription model.", "session.audio.input.turn_detection")
