"""Client frames, decoded as they arrive (pure): the one common shape by own code, everything else by `websockets`.

Twilio sends one text frame per message: final, masked, with a 7 or 16 bit length. That shape is cut out and unmasked here.
Any other frame (control, fragment, 64 bit length, binary, or one that breaks the protocol) goes byte by byte to the sans-I/O
object that also did the handshake, which answers it or fails the connection; at the frame's end the own code takes over again.
A text that is not UTF-8 ends the connection with 1007 in either way, wherever in the text it is: `websockets` leaves that to its user.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Sequence

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled part for this platform
    from websockets.utils import apply_mask

from voiceassist_crds.reasons import Refusal

MAX_MESSAGE_BYTES = 65_536
"""Largest message that is taken; a larger one is refused with 1009."""

OTHER_FRAMES_PER_SECOND = 400.0
"""Pings and fragments that a stream may have in the long run: both tracks with every message in three fragments are 300."""
OTHER_FRAMES = 1000
"""Pings and fragments that may come at once: each costs as much as ten common frames, and holds up the other calls."""
OTHER_MESSAGES_PER_SECOND = 20.0
"""Messages without audio that a stream may have in the long run: far more than Twilio sends."""
OTHER_MESSAGES = 1000
"""Messages without audio that may come at once."""

_FINAL_TEXT = 0x81
_MASKED = 0x80
_OPCODES = frozenset(Opcode)
_LENGTH_16 = _MASKED | 126
_LENGTH_64 = _MASKED | 127
_COMMON = _FINAL_TEXT << 8 | _LENGTH_16
_COMMON_BODY = 8
_header = struct.Struct(">HH").unpack_from
_utf_8 = codecs.getincrementaldecoder("utf-8")
_NOTHING: Sequence[bytes | bytearray] = ()


class FrameDecoder:
    """Turns received bytes into text messages. `wire` is past its handshake and has `MAX_MESSAGE_BYTES` as its limit.

    After a `feed`: take the messages; if `touched`, look at `failure` and send what `wire.data_to_send()` has (pongs, a close).
    """

    __slots__ = (
        "_between",
        "_characters",
        "_fragments",
        "_granted",
        "_held",
        "_limit",
        "_passing",
        "_spare",
        "_wanted",
        "closed",
        "failure",
        "touched",
        "wire",
    )

    def __init__(self, wire: Protocol) -> None:
        self.wire = wire
        self.failure: Refusal | None = None
        """Why the peer's bytes ended the connection: binary, not_utf8, too_big, too_many or protocol_error."""
        self.closed = False
        """Whether no further message can come: the peer's close was seen or the connection has failed."""
        self.touched = False
        """Whether `wire` took part since this was last set to False, and so may have something to send."""
        self._spare = OTHER_FRAMES  # frames of another shape that are taken before the connection is failed
        self._granted = 0.0
        self._limit = MAX_MESSAGE_BYTES if wire.max_message_size is None else wire.max_message_size
        self._held = bytearray()  # the beginning of a frame; never more than one frame of the common shape
        self._wanted = 0  # bytes that `_held` must have before another look is worth it
        self._passing = 0  # bytes of the frame in progress that still go to `wire`
        self._fragments: bytearray | None = None
        self._characters = _utf_8()  # reads the fragments as they come, as a character may lie in two
        self._between = True  # nothing is held, passing or in fragments: the next byte begins a message

    def feed(self, data: bytes) -> Sequence[bytes | bytearray]:
        """The messages that `data` completes, in order. Never raises, whatever the bytes are."""
        size = len(data) - _COMMON_BODY
        if self._between and 0 <= size <= self._limit and _header(data) == (_COMMON, size):  # what is read is one message, as a rule
            message = apply_mask(data[_COMMON_BODY:], data[4:_COMMON_BODY])
            if message.isascii() or _is_utf_8(message):
                return (message,)
            self._fail(CloseCode.INVALID_DATA, Refusal.NOT_UTF8)
            self._between = False
            return _NOTHING
        messages = self._take(data)
        self._between = not (self._held or self._passing or self.closed) and self._fragments is None
        return messages

    def _take(self, data: bytes) -> Sequence[bytes | bytearray]:
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return _NOTHING
            data = bytes(self._held)
            self._held.clear()
        messages: list[bytes | bytearray] = []
        at, end = 0, len(data)
        while at < end:
            if self._passing:
                upto = min(end, at + self._passing)
                self._passing -= upto - at
                self._pass(data[at:upto], messages)
                at = upto
                continue
            if self.closed:
                self.wire.receive_data(data[at:])  # which throws it away
                break
            # a new frame begins at `at`: is its header here?
            if end - at < 2:
                self._hold(data, at, 2)
                break
            first, length = data[at], data[at + 1]
            if length < _MASKED or (first != _FINAL_TEXT and first & 0x0F not in _OPCODES):
                self._passing = end - at  # which fails the connection now, without waiting for the rest of the header
                continue
            if length == _LENGTH_16:
                if end - at < 4:
                    self._hold(data, at, 4)
                    break
                body, size = at + 8, data[at + 2] << 8 | data[at + 3]
            elif length == _LENGTH_64:
                if end - at < 10:
                    self._hold(data, at, 10)
                    break
                body, size = at + 14, int.from_bytes(data[at + 2 : at + 10], "big")
            else:
                body, size = at + 6, length & 0x7F
            after = body + size
            if first != _FINAL_TEXT or length == _LENGTH_64 or size > self._limit or self._fragments is not None:
                self._passing = after - at
                self._spare -= 1
                if self._spare < 0:
                    self._fail(CloseCode.POLICY_VIOLATION, Refusal.TOO_MANY)
            elif end < after:
                self._hold(data, at, after - at)
                break
            else:
                message = apply_mask(data[body:after], data[body - 4 : body])
                at = after
                if message.isascii() or _is_utf_8(message):
                    messages.append(message)
                else:
                    self._fail(CloseCode.INVALID_DATA, Refusal.NOT_UTF8)
        return messages

    def grant(self, now: float) -> None:
        """Lets in further frames of another shape, as many as are due at `now` (seconds of a steady clock); to be called when `touched`."""
        more = int((now - self._granted) * OTHER_FRAMES_PER_SECOND)
        if more > 0:
            self._spare = min(OTHER_FRAMES, self._spare + more)
            self._granted = now

    def _fail(self, code: CloseCode, failure: Refusal) -> None:
        self.wire.fail(code, failure.value)
        self.failure = failure
        self.touched = self.closed = True
        self._passing = 0
        self._fragments = None

    def _hold(self, data: bytes, at: int, wanted: int) -> None:
        self._held += data[at:] if at else data
        self._wanted = wanted

    def _pass(self, data: bytes, messages: list[bytes | bytearray]) -> None:
        wire = self.wire
        self.touched = True
        wire.receive_data(data)
        for frame in wire.events_received():
            if not isinstance(frame, Frame):
                continue
            if frame.opcode is Opcode.BINARY:
                wire.fail(CloseCode.UNSUPPORTED_DATA, "text only")
                self.failure = Refusal.BINARY
                break
            if frame.opcode in (Opcode.TEXT, Opcode.CONT) and not self._reads(frame):
                wire.fail(CloseCode.INVALID_DATA, Refusal.NOT_UTF8.value)
                self.failure = Refusal.NOT_UTF8
                break
            if frame.opcode is Opcode.TEXT:
                if frame.fin:
                    messages.append(frame.data)  # type: ignore[arg-type]  # what its parser makes is bytes or bytearray
                else:
                    self._fragments = bytearray(frame.data)
            elif frame.opcode is Opcode.CONT and self._fragments is not None:
                self._fragments += frame.data
                if frame.fin:
                    messages.append(self._fragments)
                    self._fragments = None
        if wire.parser_exc is not None and self.failure is None:
            too_big = wire.close_sent is not None and wire.close_sent.code == CloseCode.MESSAGE_TOO_BIG
            self.failure = Refusal.TOO_BIG if too_big else Refusal.PROTOCOL_ERROR
        if self.failure is not None or wire.close_rcvd is not None:
            self.closed = True
            self._passing = 0
            self._fragments = None

    def _reads(self, frame: Frame) -> bool:
        """Whether this frame goes on with a text of whole UTF-8 characters; the last one may be cut unless the text is at its end."""
        try:
            self._characters.decode(frame.data, frame.fin)
        except UnicodeDecodeError:
            return False
        return True


def _is_utf_8(message: bytes | bytearray) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
