"""How the stand-in behaves when nothing goes wrong: keys, paths, delays, answer styles, and the other reading of what is unverified."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, get_args, get_origin, get_type_hints

Json = dict[str, Any]


class BehaviourError(ValueError):
    """A setting does not exist or has a value that it cannot have; the text names it."""


class AnswerStyle(StrEnum):
    """In which shape the model gives its answer."""

    FINE = "fine"
    """Function-call arguments in deltas of 3 to 8 characters."""
    WHOLE = "whole"
    """Function-call arguments in one delta."""
    PREAMBLE = "preamble"
    """A message item with phase ``commentary`` first, then the function call in fine deltas."""
    TEXT = "text"
    """Output text although a function was to be called."""


class Refusal(StrEnum):
    """How a client is refused at the handshake."""

    REFUSE = "refuse"
    """With an HTTP status."""
    OPEN = "open"
    """The socket opens, the first frame is an ``error`` event, then it is closed with a code."""


@dataclass(slots=True)
class Behaviour:
    """Settings of the stand-in; all can be changed while it runs and count from the next event on.

    Defaults are the strict reading of the reference; the fields of the last block are the other reading of what it calls unverified.
    """

    api_keys: tuple[str, ...] = ("sk-test",)
    """Keys that open a session (Bearer; on Azure's path also the ``api-key`` header)."""
    deployments: dict[str, str] = field(default_factory=dict)
    """Azure deployments (and a compatible server's models): name to the model or transcription model behind it."""

    first_token_ms: int = 180
    """From a response's creation to its first output."""
    delta_ms: int = 8
    """Between two deltas."""
    answer_style: AnswerStyle = AnswerStyle.FINE
    rate_limit_events: bool = True
    """Whether ``rate_limits.updated`` follows ``response.created``."""
    rate_limit_requests: int = 1000
    """Responses a minute and key; one more fails with rate_limit_exceeded. 0: no limit."""
    transcription_delay_ms: int = 300
    """From a turn's commit to the first piece of its transcript."""
    transcription_delta_ms: int = 20
    """Between two pieces of a transcript."""
    session_seconds: float = 3600.0
    """Longest life of a session."""
    max_event_bytes: int = 24 * 1024 * 1024
    """Largest frame; a larger one closes the socket with 1009."""
    max_append_bytes: int = 15 * 1024 * 1024
    """Most audio bytes of one append."""
    max_instruction_tokens: int = 16_384
    """Most tokens of instructions and tools together."""
    quiet_dbfs: float = -60.0
    """Level that counts as speech at threshold 0; threshold 1 is ``loudness_span_db`` above it (so 0.5 is -40 dBFS)."""
    loudness_span_db: float = 40.0
    semantic_silence_ms: dict[str, int] = field(default_factory=lambda: {"low": 2400, "medium": 1200, "auto": 1200, "high": 600})
    """Silence that ends a turn under semantic_vad, by eagerness."""
    keep_audio: bool = True
    """Whether every byte heard is kept (8000 a second); otherwise what no turn needs is forgotten, the hash and the counts stay."""
    max_closed_sessions: int = 1000
    """Closed sessions that are kept for reports; the oldest is forgotten."""
    seed: int | None = None
    """Makes ids and cuts of deltas the same in each run."""

    beta_header: Refusal = Refusal.REFUSE
    """A client that sends ``OpenAI-Beta``: HTTP 400, or beta_api_shape_disabled and close 4000 (seen in 2026)."""
    bad_key: Refusal = Refusal.REFUSE
    """A client with a key that is not known: HTTP 401, or invalid_api_key and close 3000 (seen in 2024)."""
    reasoning_tokens: int = 0
    """Tokens that a reasoning model spends before its output; they count for max_output_tokens and in the usage."""
    default_silence_ms: int = 200
    """Silence of the default turn detection (200 in the session.created that was seen, 500 in the vendor's text)."""
    lenient_nulls: bool = False
    """Whether null for a field that is not nullable counts as left out."""
    fine_error_codes: bool = False
    """Whether errors have finer codes (invalid_type, integer_above_max_value …) where the vendor's other services have them."""
    unknown_models: bool = False
    """Whether a model that is not known is taken as the newest small one."""
    long_item_ids: bool = False
    """Whether a client's item ids may be longer than 32 characters."""
    vad_for_all_transcription: bool = False
    """Whether the transcription models without turn detection take it nevertheless."""
    ignore_model_gates: bool = False
    """Whether ``reasoning`` and ``parallel_tool_calls`` are ignored, not refused, where the model has none."""
    transcribe_inside_conversations: bool = True
    """Whether gpt-transcribe, gpt-live-transcribe and gpt-realtime-whisper can be the input transcription of a conversation session."""
    preamble_phase: bool = True
    """Whether a preamble's item has the field ``phase`` (not in the vendor's types)."""

    def to_json(self) -> Json:
        """The settings by their JSON names; keys are counted, not shown."""
        out: Json = {}
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            out[_camel(part.name)] = list(value) if isinstance(value, tuple) else value
        out["apiKeys"] = len(self.api_keys)
        return out

    def change(self, settings: Json) -> None:
        """Take over some settings, given by their JSON or Python names; all or none.

        Raises:
            BehaviourError: a name is not known or a value does not fit.
        """
        if not isinstance(settings, dict):
            raise BehaviourError("behaviour: an object of settings is expected")
        taken: dict[str, Any] = {}
        for name, value in settings.items():
            attribute = _snake(name)
            if attribute not in _TYPES:
                raise BehaviourError(f"behaviour: '{name}' is not a setting; settings are {', '.join(map(_camel, _TYPES))}")
            taken[attribute] = _fit(name, value, _TYPES[attribute])
        for attribute, value in taken.items():
            setattr(self, attribute, value)

    @classmethod
    def of(cls, settings: Json) -> Behaviour:
        """The defaults with some settings changed; errors as :meth:`change`."""
        behaviour = cls()
        behaviour.change(settings)
        return behaviour


_TYPES: Final[dict[str, Any]] = get_type_hints(Behaviour)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


def _fit(name: str, value: Any, wanted: Any) -> Any:
    origin = get_origin(wanted)
    if origin is tuple:
        if isinstance(value, list | tuple) and all(isinstance(element, str) for element in value):
            return tuple(value)
        raise BehaviourError(f"behaviour: {name} must be a list of strings")
    if origin is dict:
        inner = get_args(wanted)[1]
        if isinstance(value, dict) and all(type(element) is inner for element in value.values()):
            return dict(value)
        raise BehaviourError(f"behaviour: {name} must be an object of {inner.__name__} values")
    kinds = get_args(wanted) or (wanted,)
    if value is None and type(None) in kinds:
        return None
    kind = kinds[0]
    if issubclass(kind, StrEnum):
        try:
            return kind(value)
        except ValueError:
            raise BehaviourError(f"behaviour: {name} is one of {', '.join(kind)}, not {value!r}") from None
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is not kind or (kind is int and value < 0):
        raise BehaviourError(f"behaviour: {name} must be {'a whole number from 0' if kind is int else kind.__name__}, not {value!r}")
    return value
