"""Server events: the fields that we use, read leniently. Names of the old beta dialect are mapped to today's. Pure."""

from __future__ import annotations

import json
from typing import Any

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
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None

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


class SessionInfo(msgspec.Struct):
    """The session; `expires_at` in epoch seconds."""

    id: str | None = None
    expires_at: float | None = None


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
        "conversation.item.deleted",
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
    """Reads one message. Raises NotAnEvent if it is no JSON object with a `type`, or a field has another kind of value."""
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

    A piece of text may end between the halves of a surrogate pair: only a `delta` keeps its half, the next one may bring the other. What is
    only counted may have any form, and a code may be a number.
    """
    try:
        document = json.loads(message)
        if not isinstance(document, dict):
            raise NotAnEvent(type(error).__name__) from None
        delta = document.pop("delta", None)
        if b"\\u" in message:
            document = json.loads(whole_characters(json.dumps(document, ensure_ascii=False)))
        _without_counted(document)
        return msgspec.convert(document | {"delta": delta}, ServerEvent)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise NotAnEvent(type(error).__name__) from None


def _without_counted(document: dict[str, Any]) -> None:
    """Takes out what is only counted, or only a hint, where it has not the form that we know; codes become texts."""
    response = document.get("response")
    response = response if isinstance(response, dict) else {}
    details = response.get("status_details")
    for holder, name, kind in (
        (document, "usage", Usage | None),
        (response, "usage", Usage | None),
        (response, "metadata", dict[str, Any] | None),
        (document, "rate_limits", list[RateLimit] | None),
    ):
        try:
            msgspec.convert(holder.get(name), kind)
        except msgspec.ValidationError:
            del holder[name]
    for fault in (document.get("error"), details.get("error") if isinstance(details, dict) else None):
        if isinstance(fault, dict):
            fault.update({name: str(value) for name, value in fault.items() if isinstance(value, int | float)})
