"""The table of everything a client may send over a GA Realtime socket: event types, fields, places, types and bounds.

It says nothing about state (ids that exist, a response that runs) nor about what fits to which model: those rules are in
:mod:`.session_config`, :mod:`.conversation` and :mod:`.session`.
"""

from __future__ import annotations

from typing import Any, Final

from .schema import (
    INVALID,
    MISSING,
    Check,
    Json,
    Refused,
    anything,
    array,
    boolean,
    choice,
    integer,
    mapping,
    nullable,
    number,
    record,
    tagged,
    text,
    unsupported_value,
    word_or,
    wrong_type,
)

MAX_EVENT_ID: Final = 512
MAX_ITEM_ID: Final = 32
MAX_INSTRUCTIONS: Final = 1_000_000
VOICES: Final = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")

FORMAT: Final = tagged(
    "type",
    {"audio/pcm": ({"rate": integer(24000, 24000)}, ["rate"]), "audio/pcmu": ({}, []), "audio/pcma": ({}, [])},
)

_TURN_FLAGS: Final[dict[str, Check]] = {"create_response": boolean(), "interrupt_response": boolean()}
TURN_DETECTION: Final = nullable(
    tagged(
        "type",
        {
            "server_vad": (
                {
                    **_TURN_FLAGS,
                    "threshold": number(0.0, 1.0),
                    "prefix_padding_ms": integer(0, 10_000),
                    "silence_duration_ms": integer(0, 10_000),
                    "idle_timeout_ms": nullable(integer(5_000, 30_000)),
                },
                [],
            ),
            "semantic_vad": ({**_TURN_FLAGS, "eagerness": choice("low", "medium", "high", "auto")}, []),
        },
    )
)

NOISE_REDUCTION: Final = nullable(record({"type": choice("near_field", "far_field"), "strength": number(0.0, 1.0)}))

TRANSCRIPTION: Final = nullable(
    record(
        {
            "model": text(256, empty=False),
            "language": text(16),
            "languages": array(text(16, empty=False)),
            "prompt": text(),
            "keywords": array(text(empty=False)),
            "delay": choice("minimal", "low", "medium", "high", "xhigh"),
        }
    )
)

AUDIO_INPUT: Final = record(
    {"format": FORMAT, "noise_reduction": NOISE_REDUCTION, "transcription": TRANSCRIPTION, "turn_detection": TURN_DETECTION}
)


def _voice(value: Any, path: str, lenient: bool) -> None:
    if isinstance(value, str):
        if value not in VOICES:
            raise unsupported_value(path, value, VOICES)
    else:
        record({"id": text(empty=False)}, ["id"])(value, path, lenient)


def _parameters(value: Any, path: str, _lenient: bool) -> None:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    if value and value.get("type") != "object":
        raise Refused(
            INVALID,
            f"Invalid schema for '{path}': schema must be a JSON Schema of 'type: \"object\"', got 'type: {value.get('type')!r}'.",
            path,
            fine="invalid_function_parameters",
        )


_TOOL_FILTER: Final = record({"read_only": boolean(), "tool_names": array(text())})


def _names_or_filter(value: Any, path: str, lenient: bool) -> None:
    (array(text()) if isinstance(value, list) else _TOOL_FILTER)(value, path, lenient)


TOOL: Final = tagged(
    "type",
    {
        "function": (
            {"name": text(pattern="^[a-zA-Z0-9_-]{1,64}$"), "description": text(), "parameters": _parameters},
            ["name"],
        ),
        "mcp": (
            {
                "server_label": text(empty=False),
                "server_url": text(),
                "server_description": text(),
                "authorization": text(),
                "headers": nullable(mapping(text())),
                "allowed_tools": nullable(_names_or_filter),
                "allowed_callers": nullable(array(choice("direct", "programmatic"))),
                "require_approval": nullable(word_or(["always", "never"], record({"always": _TOOL_FILTER, "never": _TOOL_FILTER}))),
                "defer_loading": boolean(),
                "tunnel_id": text(),
            },
            ["server_label"],
        ),
    },
)

TOOL_CHOICE: Final = word_or(
    ["none", "auto", "required"],
    tagged(
        "type",
        {
            "function": ({"name": text(empty=False)}, ["name"]),
            "mcp": ({"server_label": text(empty=False), "name": nullable(text())}, ["server_label"]),
        },
    ),
)


def _max_output_tokens(value: Any, path: str, lenient: bool) -> None:
    if isinstance(value, str):
        if value != "inf":
            raise unsupported_value(path, value, ["inf"])
    else:
        integer(1, 4096)(value, path, lenient)


def _output_modalities(value: Any, path: str, lenient: bool) -> None:
    array(choice("text", "audio"))(value, path, lenient)
    if value not in (["text"], ["audio"]):
        listed = ", ".join(f"'{name}'" for name in value)
        raise Refused(INVALID, f"Invalid modalities: [{listed}]. Supported combinations are: ['text'] and ['audio'].", path)


REASONING: Final = record({"effort": choice("minimal", "low", "medium", "high", "xhigh")})
TRUNCATION: Final = word_or(
    ["auto", "disabled"],
    tagged(
        "type",
        {
            "retention_ratio": (
                {"retention_ratio": number(0.0, 1.0), "token_limits": record({"post_instructions": integer(0)})},
                ["retention_ratio"],
            )
        },
    ),
)
TRACING: Final = nullable(word_or(["auto"], record({"workflow_name": text(), "group_id": text(), "metadata": mapping(anything())})))
INCLUDE: Final = nullable(array(choice("item.input_audio_transcription.logprobs")))
PROMPT: Final = nullable(record({"id": text(empty=False), "version": nullable(text()), "variables": nullable(mapping(anything()))}, ["id"]))
METADATA: Final = nullable(mapping(text(512), most=16, longest_key=64))

_ANSWERING: Final[dict[str, Check]] = {
    "output_modalities": _output_modalities,
    "instructions": text(MAX_INSTRUCTIONS),
    "tools": array(TOOL, 128),
    "tool_choice": TOOL_CHOICE,
    "max_output_tokens": _max_output_tokens,
    "parallel_tool_calls": boolean(),
    "reasoning": REASONING,
    "prompt": PROMPT,
}

REALTIME_SESSION: Final[dict[str, Check]] = {
    **_ANSWERING,
    "model": text(256, empty=False),
    "audio": record({"input": AUDIO_INPUT, "output": record({"format": FORMAT, "voice": _voice, "speed": number(0.25, 1.5)})}),
    "include": INCLUDE,
    "truncation": TRUNCATION,
    "tracing": TRACING,
}
TRANSCRIPTION_SESSION: Final[dict[str, Check]] = {"audio": record({"input": AUDIO_INPUT}), "include": INCLUDE}
SESSION: Final = tagged("type", {"realtime": (REALTIME_SESSION, []), "transcription": (TRANSCRIPTION_SESSION, [])})

# ---------------------------------------------------------------------------------------------------------------------- items


def _part(fields: dict[str, tuple[dict[str, Check], list[str]]]) -> Check:
    return array(tagged("type", fields))


_ITEM_COMMON: Final[dict[str, Check]] = {
    "type": text(),
    "object": choice("realtime.item"),
    "status": choice("completed", "incomplete", "in_progress"),
}
_INPUT_TEXT: Final[tuple[dict[str, Check], list[str]]] = ({"text": text()}, ["text"])
_USER_PARTS: Final = _part(
    {
        "input_text": _INPUT_TEXT,
        "input_audio": ({"audio": text(), "transcript": nullable(text())}, ["audio"]),
        "input_image": (
            {"image_url": text(pattern="(?s)^data:image/(png|jpeg);base64,.*"), "detail": choice("auto", "low", "high")},
            ["image_url"],
        ),
    }
)
_ASSISTANT_PARTS: Final = _part(
    {
        "output_text": ({"text": text()}, ["text"]),
        "output_audio": ({"audio": text(), "transcript": nullable(text())}, []),
    }
)


def item_check(longest_id: int | None) -> Check:
    """The check of a conversation item that a client sends; ``longest_id`` bounds its own id."""
    common = {**_ITEM_COMMON, "id": text(longest_id, empty=False)}

    def message(parts: Check) -> tuple[dict[str, Check], list[str]]:
        return {**common, "content": parts}, ["content"]

    return tagged(
        "type",
        {
            "message": tagged(
                "role",
                {
                    "system": message(_part({"input_text": _INPUT_TEXT})),
                    "user": message(_USER_PARTS),
                    "assistant": message(_ASSISTANT_PARTS),
                },
            ),
            "function_call": (
                {**common, "name": text(empty=False), "arguments": text(), "call_id": text(empty=False)},
                ["name", "arguments"],
            ),
            "function_call_output": ({**common, "call_id": text(empty=False), "output": text()}, ["call_id", "output"]),
        },
    )


# --------------------------------------------------------------------------------------------------------------------- events


def _event_table(longest_item_id: int | None) -> dict[str, Check]:
    item = item_check(longest_item_id)
    reference = tagged("type", {"item_reference": ({"id": text(empty=False)}, ["id"])})

    def input_item(value: Any, path: str, lenient: bool) -> None:
        (reference if isinstance(value, dict) and value.get("type") == "item_reference" else item)(value, path, lenient)

    response = record(
        {
            **_ANSWERING,
            "conversation": choice("auto", "none"),
            "metadata": METADATA,
            "input": array(input_item),
            "audio": record({"output": record({"format": FORMAT, "voice": _voice})}),
        }
    )
    table: dict[str, tuple[dict[str, Check], list[str]]] = {
        "session.update": ({"session": SESSION}, ["session"]),
        "input_audio_buffer.append": ({"audio": text()}, ["audio"]),
        "input_audio_buffer.commit": ({}, []),
        "input_audio_buffer.clear": ({}, []),
        "conversation.item.create": ({"item": item, "previous_item_id": nullable(text())}, ["item"]),
        "conversation.item.delete": ({"item_id": text(empty=False)}, ["item_id"]),
        "conversation.item.retrieve": ({"item_id": text(empty=False)}, ["item_id"]),
        "conversation.item.truncate": (
            {"item_id": text(empty=False), "content_index": integer(0), "audio_end_ms": integer(0)},
            ["item_id", "content_index", "audio_end_ms"],
        ),
        "response.create": ({"response": response}, []),
        "response.cancel": ({"response_id": text(empty=False)}, []),
    }
    common: dict[str, Check] = {"type": text(), "event_id": nullable(text(MAX_EVENT_ID))}
    return {name: record({**fields, **common}, required) for name, (fields, required) in table.items()}


_STRICT: Final = _event_table(MAX_ITEM_ID)
_LONG_IDS: Final = _event_table(None)
EVENT_TYPES: Final = tuple(_STRICT)
TRANSCRIPTION_EVENT_TYPES: Final = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.delete",
    "conversation.item.retrieve",
)
"""What a transcription session takes: it has neither responses nor items from the client."""


def check_event(event: Any, *, transcription: bool = False, lenient_nulls: bool = False, long_item_ids: bool = False) -> Json:
    """Check one client event against the table.

    Args:
        event: what was parsed from the frame.
        transcription: whether it came over a transcription session.
        lenient_nulls: whether null for a field that is not nullable counts as left out (else it is refused).
        long_item_ids: whether ids of items may be longer than 32 characters.

    Returns:
        The event itself.

    Raises:
        Refused: with the vendor's code and the path of the parameter.
    """
    if not isinstance(event, dict):
        raise Refused("invalid_event", "The event must be a JSON object.")
    if "type" not in event:
        raise Refused("invalid_event", "The 'type' field is missing.")
    name = event["type"]
    if not isinstance(name, str):
        raise wrong_type("type", "a string", name)
    allowed = TRANSCRIPTION_EVENT_TYPES if transcription else EVENT_TYPES
    if name not in allowed:
        raise unsupported_value("type", name, allowed)
    (_LONG_IDS if long_item_ids else _STRICT)[name](event, "", lenient_nulls)
    return event


__all__ = ["EVENT_TYPES", "MISSING", "TRANSCRIPTION_EVENT_TYPES", "check_event", "item_check"]
