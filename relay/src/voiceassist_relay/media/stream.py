"""The order of a media stream (pure): connected, start, media, stop; what is taken, what is counted, what ends it.

A stream's sequence numbers cover all its messages. A message whose number is not higher than the last one is a repetition or
out of order: it is dropped. A number that was skipped is a message lost; a timestamp that is later than the track's audio so
far is a hole. Neither stops the stream.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from voiceassist_crds.names import TOKEN_PARAMETER, CallSid, StreamSid
from voiceassist_crds.reasons import Refusal

from ..auth import read_stream_token
from ..errors import TokenRefused
from ..interfaces import StreamClaims, StreamStart
from .messages import MULAW, UNREADABLE, Message, Start, decode, decode_envelope, decode_start, duration_ms, is_audio, unknown_fields

_COMMON_CHARACTERS = 216
"""Base64 of 160 bytes: 20 ms, the one common size."""
_COMMON_MS = duration_ms("=" * _COMMON_CHARACTERS)
HOLE_MS = 20
"""A timestamp this much later than expected is a hole; less is rounding."""

_STREAM_SID = re.compile(r"MZ[0-9a-f]{32}")
_MAX_TRACKS = 4
_QUIET = frozenset({"connected", "dtmf", "mark"})


class Note(StrEnum):
    """Why a message was ignored."""

    EXPECTED = "expected"
    UNKNOWN = "unknown"
    DUPLICATE = "duplicate"
    MALFORMED = "malformed"


class Audio(msgspec.Struct, frozen=True, gc=False):
    """A piece of a track. `lost`: messages missing before it; `hole`: whether the track's timestamps jumped."""

    inbound: bool
    payload: bytes
    lost: int = 0
    hole: bool = False
    unknown_fields: int = 0


@dataclass(frozen=True, slots=True)
class Opening:
    """A well-formed `start`, not yet verified: answer with `StreamProtocol.accept`."""

    start: Start
    unknown_fields: int = 0


@dataclass(frozen=True, slots=True)
class Stopped:
    """The stream's regular end. `lost`: messages missing before it."""

    lost: int = 0
    unknown_fields: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The stream ends here, for this reason."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message without effect; `inbound` says the track of a dropped piece of audio."""

    note: Note
    inbound: bool | None = None
    unknown_fields: int = 0


Received = Audio | Opening | Stopped | Refused | Ignored


@dataclass(frozen=True, slots=True)
class StartTerms:
    """What a `start` is held against. Without `auth_tokens` no token fits; `checked` False takes any or none."""

    call_sid: CallSid
    account_sid: str
    auth_tokens: Sequence[str]
    checked: bool = True


class StreamProtocol:
    """One stream, from its upgrade to its end."""

    __slots__ = ("_due", "_live", "_lost", "_over", "_seen", "_sequence", "_stream_sid")

    def __init__(self) -> None:
        self._live = False
        self._over = False
        self._stream_sid = ""
        self._sequence = -1
        self._lost = 0
        self._due = [-HOLE_MS, -HOLE_MS]  # ms at which each track's audio so far ends: outbound, inbound
        self._seen = [False, False]

    def position(self, inbound: bool) -> int:
        """Where a track's audio so far ends, in ms of the stream's clock; -1 where no message has said."""
        return max(-1, self._due[inbound])

    def receive(self, text: bytes | bytearray) -> Received:
        """Takes one text message. Never raises, whatever the text is. After a refusal or a stop, nothing has an effect."""
        if self._over:
            return Ignored(Note.EXPECTED)
        try:
            message = decode(text)
        except msgspec.ValidationError:
            return self._misfit(text)
        except UNREADABLE:
            return self._end(Refusal.NOT_JSON)
        media = message.media
        if (  # the common case: the next frame of a track whose fields have been counted
            media is not None
            and self._live
            and message.sequence_number == self._sequence + 1
            and not self._lost
            and message.stream_sid == self._stream_sid
            and message.event == "media"
            and len(payload := media.payload) == _COMMON_CHARACTERS
            and 0 <= (at := media.timestamp) < self._due[inbound := media.track == "inbound"] + HOLE_MS
            and (inbound or media.track == "outbound")
            and is_audio(payload, text)
        ):
            self._sequence += 1
            self._due[inbound] = at + _COMMON_MS
            return Audio(inbound, payload.encode())
        if message.event == "media":
            return self._media(message, text) if self._live else self._end(Refusal.MEDIA_BEFORE_START)
        if message.event == "start":
            return self._end(Refusal.SECOND_START) if self._live else self._start(message, text)
        return self._other(message, text)

    def accept(self, opening: Opening, terms: StartTerms, now: float) -> StreamStart | Refused:
        """Verifies a `start` at `now` (epoch seconds): account, call and token fit each other and the path. Audio may follow."""
        start = opening.start
        refusal = None
        if start.account_sid != terms.account_sid:
            refusal = Refusal.OTHER_ACCOUNT
        elif start.call_sid != terms.call_sid:
            refusal = Refusal.OTHER_CALL
        else:
            claims = _claims(start, terms, now)
            if isinstance(claims, StreamClaims):
                self._live = True
                self._stream_sid = start.stream_sid
                return StreamStart(terms.call_sid, StreamSid(start.stream_sid), start.tracks, claims)
            refusal = claims
        self._over = True
        return Refused(refusal)

    def _media(self, message: Message, text: bytes | bytearray) -> Received:
        media = message.media
        if media is None:
            return Ignored(Note.MALFORMED)
        inbound = media.track == "inbound"
        if message.sequence_number >= 0 and not self._advance(message.sequence_number):
            return Ignored(Note.DUPLICATE, inbound)
        if (not inbound and media.track != "outbound") or (message.stream_sid and message.stream_sid != self._stream_sid):
            return Ignored(Note.UNKNOWN)
        payload = media.payload
        if not is_audio(payload, text):
            return Ignored(Note.MALFORMED, inbound)
        hole = False
        if (at := media.timestamp) >= 0:
            due = self._due[inbound]
            hole = at >= due + HOLE_MS and due >= 0
            self._due[inbound] = at + duration_ms(payload)
        unknown = 0
        if not self._seen[inbound]:  # fields are counted in the first message of each track: the others are like it
            self._seen[inbound] = True
            unknown = unknown_fields(text, "media")
        lost, self._lost = self._lost, 0
        return Audio(inbound, payload.encode(), lost, hole, unknown)

    def _start(self, message: Message, text: bytes | bytearray) -> Received:
        try:
            start = decode_start(text).start
        except UNREADABLE:
            return self._end(Refusal.BAD_START)
        fits = (
            _STREAM_SID.fullmatch(start.stream_sid) is not None
            and message.stream_sid in ("", start.stream_sid)
            and start.media_format in (None, MULAW)
            and len(start.tracks) <= _MAX_TRACKS
        )
        if not fits:
            return self._end(Refusal.BAD_START)
        if message.sequence_number >= 0:
            self._sequence = message.sequence_number
        return Opening(start, unknown_fields(text, "start"))

    def _other(self, message: Message, text: bytes | bytearray) -> Received:
        fresh = message.sequence_number < 0 or self._advance(message.sequence_number)
        if message.event == "stop":
            if not self._live:
                return self._end(Refusal.BAD_START)
            self._over = True
            return Stopped(self._lost, unknown_fields(text, "stop"))
        if message.event not in _QUIET:
            return Ignored(Note.UNKNOWN)
        return Ignored(Note.EXPECTED if fresh else Note.DUPLICATE, unknown_fields=unknown_fields(text, message.event))

    def _misfit(self, text: bytes | bytearray) -> Received:
        """A message whose known fields have the wrong type."""
        try:
            envelope = decode_envelope(text)
        except UNREADABLE:
            return self._end(Refusal.NOT_JSON)
        live = self._live
        match envelope.event:
            case "start":
                return self._end(Refusal.SECOND_START if live else Refusal.BAD_START)
            case "media" if not live:
                return self._end(Refusal.MEDIA_BEFORE_START)
            case "stop" if not live:
                return self._end(Refusal.BAD_START)
        self._advance(envelope.number())
        if envelope.event == "stop":
            self._over = True
            return Stopped(self._lost)
        return Ignored(Note.MALFORMED if envelope.event == "media" else Note.UNKNOWN)

    def _advance(self, sequence: int) -> bool:
        last = self._sequence
        if sequence <= last:
            return False
        if last >= 0:
            self._lost += sequence - last - 1
        self._sequence = sequence
        return True

    def _end(self, refusal: Refusal) -> Refused:
        self._over = True
        return Refused(refusal)


def _claims(start: Start, terms: StartTerms, now: float) -> StreamClaims | Refusal:
    token: Any = start.custom_parameters.get(TOKEN_PARAMETER, "")
    try:
        claims = read_stream_token(terms.auth_tokens, token if isinstance(token, str) else ".", now)
    except TokenRefused as error:
        if terms.checked:
            return error.refusal
        return StreamClaims(terms.call_sid, terms.account_sid, generation=1, exp=0)
    if claims.call != terms.call_sid:
        return Refusal.TOKEN_OTHER_CALL
    if claims.account != terms.account_sid:
        return Refusal.TOKEN_INVALID
    return claims
