"""Twilio's media stream messages as msgspec structs: only the fields that are used, read once.

Twilio sends every number as a string; both forms are read. The payload stays base64: it is checked for its shape and passed
on as it came. Source: Twilio's documentation of Media Streams' websocket messages.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=-1, le=2**53)]
"""A number of a message; -1 where it is absent."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_BACKSLASH = ord("\\")
"""As a number: for bytes in bytes, CPython first makes a TypeError and throws it away."""


class Media(Struct, gc=False, rename="camel"):
    """20 ms of a track, as a rule; any length is taken. `timestamp` is in ms since the stream began."""

    payload: str
    track: str = ""
    timestamp: Count = -1


class Message(Struct, gc=False, rename="camel"):
    """Any message, with `media` decoded along."""

    event: str
    sequence_number: Count = -1
    stream_sid: str = ""
    media: Media | None = None


class Envelope(Struct, gc=False, rename="camel"):
    """What is left to read of a message whose other fields do not fit."""

    event: str = ""
    sequence_number: Any = -1

    def number(self) -> int:
        """The sequence number, if there is one that can be read; else -1."""
        text = str(self.sequence_number)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1


class MediaFormat(Struct, rename="camel"):
    """The audio's format; Twilio documents one only."""

    encoding: str
    sample_rate: int
    channels: int


class Start(Struct, rename="camel"):
    """The body of `start`."""

    account_sid: str
    call_sid: str
    stream_sid: str
    tracks: tuple[str, ...] = ()
    media_format: MediaFormat | None = None
    custom_parameters: dict[str, Any] = {}


class StartMessage(Struct, rename="camel"):
    """The `start` message, read a second time for its body."""

    start: Start


MULAW = MediaFormat("audio/x-mulaw", 8000, 1)

decode = msgspec.json.Decoder(Message, strict=False).decode
decode_envelope = msgspec.json.Decoder(Envelope, strict=False).decode
decode_start = msgspec.json.Decoder(StartMessage, strict=False).decode
_decode_any = msgspec.json.Decoder().decode

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoders raise for a text that is not JSON; `msgspec.ValidationError` among them for one that does not fit."""

_FIELDS = frozenset({"event", "sequenceNumber", "streamSid", "protocol", "version", "start", "media", "stop", "dtmf", "mark"})
_BODY_FIELDS = {
    "start": frozenset({"accountSid", "callSid", "streamSid", "tracks", "mediaFormat", "customParameters"}),
    "media": frozenset({"track", "chunk", "timestamp", "payload"}),
    "stop": frozenset({"accountSid", "callSid"}),
}


def unknown_fields(text: bytes | bytearray, event: str) -> int:
    """How many fields of a message, and of the body named after its event, Twilio's documentation does not name."""
    try:
        message = _decode_any(text)
    except UNREADABLE:  # not UTF-8 in a field that is not used, which the frame decoder lets nobody send
        return 1
    body = message.get(event)
    inner = body.keys() - _BODY_FIELDS[event] if event in _BODY_FIELDS and isinstance(body, dict) else ()
    return len(message.keys() - _FIELDS) + len(inner)


def is_audio(payload: str, text: bytes | bytearray) -> bool:
    """Whether a payload can be base64, by its outline: not empty, whole groups of four, no other alphabet.

    The characters themselves are looked at only where the message has an escape: without one a JSON string cannot hold
    anything that would break out of the JSON that the payload is put in next.
    """
    if not payload or len(payload) % 4 or not payload.isascii():
        return False
    return _BACKSLASH not in text or _BASE64.fullmatch(payload) is not None


def duration_ms(payload: str) -> int:
    """Length of a payload's audio: 8 bytes of mu-law per ms, 3 bytes in 4 characters."""
    return len(payload) * 3 // 32
