"""Server events: the fields that we use, read leniently. Names of the old beta dialect are mapped to today's. Pure."""

from __future__ import annotations

import functools
import json
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec


class Content(msgspec.Struct):
    """A part of an item."""

    type: str | None = None
    text: str | None = None
    transcript: str | None = None


class Item(msgspec.Struct):
    """A conversation item: a message, a function call or its output."""

    id: str | None = None
    type: str | None = None
    role: str | None = None
    status: str | None = None
    phase: str | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    content: list[Content] | None = None

    @property
    def text(self) -> str:
        """A message's text; where a server speaks although text was asked for, what its audio says."""
        parts = self.content or ()
        written = "".join(part.text or "" for part in parts if part.type in {"output_text", "text"})
        return written or "".join(part.transcript or "" for part in parts if part.type in {"output_audio", "audio"})


class ErrorInfo(msgspec.Struct):
    """What went wrong, in the server's words; `event_id` is the client event at fault."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None


class StatusDetails(msgspec.Struct):
    """Why a response ended as it did."""

    type: str | None = None
    reason: str | None = None
    error: ErrorInfo | None = None


class CachedTokens(msgspec.Struct):
    """Input tokens that were cached, by modality."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class InputTokens(msgspec.Struct):
    """Input tokens by modality; cached ones are among them."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokens | None = None


class OutputTokens(msgspec.Struct):
    """Output tokens by modality."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class Usage(msgspec.Struct):
    """Tokens of a response or a transcription."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None
    """Of audio, where a transcription is counted by time."""
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None

    @property
    def total(self) -> int:
        """All tokens, cached ones too."""
        return sum(count for _, _, _, count in self.counts())

    @property
    def by_kind(self) -> tuple[int, ...]:
        """The numbers of `counts`."""
        return tuple(count for _, _, _, count in self.counts())

    def counts(self) -> list[tuple[str, str, bool, int]]:
        """(modality, direction, cached, tokens); cached tokens are taken off the others."""
        given = self.input_token_details or InputTokens(text_tokens=self.input_tokens)
        made = self.output_token_details or OutputTokens(text_tokens=self.output_tokens)
        cached = given.cached_tokens_details or CachedTokens(text_tokens=given.cached_tokens)
        text, audio = cached.text_tokens or 0, cached.audio_tokens or 0
        return [
            ("text", "input", False, max(0, (given.text_tokens or 0) - text)),
            ("text", "input", True, text),
            ("audio", "input", False, max(0, (given.audio_tokens or 0) - audio)),
            ("audio", "input", True, audio),
            ("text", "output", False, made.text_tokens or 0),
            ("audio", "output", False, made.audio_tokens or 0),
        ]


class ResponseInfo(msgspec.Struct):
    """A response as the server sees it."""

    id: str | None = None
    status: str | None = None
    status_details: StatusDetails | None = None
    output: list[Item] | None = None
    metadata: dict[str, Any] | None = None
    usage: Usage | None = None
    conversation_id: str | None = None


class TranscribedBy(msgspec.Struct):
    """Which model writes down what is heard."""

    model: str | None = None


class AudioInput(msgspec.Struct):
    """How a session hears."""

    transcription: TranscribedBy | None = None


class SessionAudio(msgspec.Struct):
    """A session's audio."""

    input: AudioInput | None = None


class SessionInfo(msgspec.Struct):
    """The session; `expires_at` in epoch seconds."""

    id: str | None = None
    expires_at: float | None = None
    audio: SessionAudio | None = None

    @property
    def transcribed_by(self) -> str | None:
        """The model that writes down, as the server says: a gateway may have put one of its own in the place of the one asked for."""
        heard = self.audio.input if self.audio is not None else None
        return heard.transcription.model if heard is not None and heard.transcription is not None else None


class RateLimit(msgspec.Struct):
    """What is left of a limit, and when it is whole again."""

    name: str | None = None
    remaining: float | None = None
    reset_seconds: float | None = None


class ServerEvent(msgspec.Struct):
    """Any server event; fields that its type does not have are None."""

    type: str
    event_id: str | None = None
    item_id: str | None = None
    response_id: str | None = None
    audio_start_ms: float | None = None
    audio_end_ms: float | None = None
    call_id: str | None = None
    name: str | None = None
    delta: str | None = None
    text: str | None = None
    arguments: str | None = None
    transcript: str | None = None
    item: Item | None = None
    response: ResponseInfo | None = None
    session: SessionInfo | None = None
    error: ErrorInfo | None = None
    usage: Usage | None = None
    rate_limits: list[RateLimit] | None = None


BETA_NAMES = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "conversation.item.created": "conversation.item.added",
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
}

USED = frozenset(
    {
        "error",
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.deleted",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.failed",
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.done",
        "rate_limits.updated",
    }
)

PASSED_OVER = frozenset(
    {
        "conversation.created",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "conversation.item.input_audio_transcription.segment",
        "input_audio_buffer.cleared",
        "input_audio_buffer.timeout_triggered",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_audio.delta",
        "response.output_audio.done",
    }
)
"""Known, and of no use to us: ignored without being counted as unknown."""

_decoder = msgspec.json.Decoder(ServerEvent)


class NotAnEvent(ValueError):
    """A message that cannot be read as a server event."""


def decode(message: bytes) -> ServerEvent:
    """Reads one message; a field with another kind of value is lost. Raises NotAnEvent if it is no JSON object with a `type`."""
    try:
        event = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        event = _decode_again(message, error)
    event.type = BETA_NAMES.get(event.type, event.type)
    return event


def whole_characters(text: str) -> str:
    """Joins halves of surrogate pairs that lie side by side; a half that stands alone becomes a replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _decode_again(message: bytes, error: Exception) -> ServerEvent:
    """A second try for what msgspec refuses although it can be used.

    A piece of text may end between the halves of a surrogate pair: only a `delta` keeps its half, the next one may bring the other. A field
    that has not the form that we know is lost, and the event is not.
    """
    try:
        document = json.loads(message)
        if not isinstance(document, dict) or not isinstance(document.get("type"), str):
            raise NotAnEvent(type(error).__name__) from None
        delta = document.pop("delta", None)
        if b"\\u" in message:
            document = json.loads(whole_characters(json.dumps(document, ensure_ascii=False)))
        event = fitting(document, ServerEvent)
    except (ValueError, RecursionError):
        raise NotAnEvent(type(error).__name__) from None
    event.delta = delta if isinstance(delta, str) else None
    return event


S = TypeVar("S", bound=msgspec.Struct)

_MOST: Final = 1e15
"""A number beyond it says nothing that we use, and may be too large to reckon with."""


def fitting(document: dict[str, Any], kind: type[S]) -> S:
    """Reads JSON values field by field: one of another form is brought into ours where its meaning is plain, and else is lost."""
    return kind(
        **{name: document[name] if required else _fitting(document.get(name), annotation) for name, required, annotation in _fields(kind)}
    )


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, bool, Any]]:
    return [(field.name, field.required, _of(field.type)) for field in msgspec.structs.fields(kind)]


def _of(annotation: Any) -> Any:
    """The kind of value that a field has, besides None."""
    return (
        next((one for one in get_args(annotation) if one is not NoneType), annotation) if NoneType in get_args(annotation) else annotation
    )


def _fitting(value: Any, kind: Any) -> Any:
    if value is None or isinstance(value, bool):
        return None
    if get_origin(kind) is list:
        (inner,) = get_args(kind)
        return [_fitting(one, inner) for one in value if isinstance(one, dict)] if isinstance(value, list) else None
    if get_origin(kind) is dict:
        return value if isinstance(value, dict) else None
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if isinstance(value, dict):
            return fitting(value, kind)
        return kind(**{_WORDS_OF[kind]: value}) if isinstance(value, str) and kind in _WORDS_OF else None
    if kind is str:
        return value if isinstance(value, str) else str(value) if isinstance(value, int) else None
    if not isinstance(value, int | float) or not -_MOST <= value <= _MOST:  # not a number is none either
        return None
    return round(value) if kind is int else float(value)


_WORDS_OF: Final[dict[type, str]] = {ErrorInfo: "message", StatusDetails: "reason"}
"""What a bare text means where we know an object."""
