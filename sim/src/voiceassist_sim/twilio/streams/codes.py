"""Twilio's error codes for media streams: which code stands for which failure.

Source: the error catalogue, as listed in the project's notes on Media Streams (failure behaviour).
"""

from __future__ import annotations

from enum import IntEnum


class StreamCode(IntEnum):
    """What can go wrong with a stream, by the number that Twilio reports (in ``StreamError`` and in its debugger)."""

    TIMEOUT = 31901
    REFUSED = 31902
    BROKEN_PIPE = 31903
    TLS = 31910
    HANDSHAKE = 31920
    SERVER_CLOSED = 31921
    SCHEME = 31922
    MALFORMED_URL = 31923
    PROTOCOL = 31924
    OVERFLOW = 31930

    @property
    def meaning(self) -> str:
        """One sentence for a person who reads the code in a log or a callback."""
        return _MEANINGS[self]


_MEANINGS: dict[StreamCode, str] = {
    StreamCode.TIMEOUT: "Stream - WebSocket connection timeout",
    StreamCode.REFUSED: "Stream - WebSocket connection refused",
    StreamCode.BROKEN_PIPE: "Stream - WebSocket connection broken pipe",
    StreamCode.TLS: "Stream - TLS protocol error",
    StreamCode.HANDSHAKE: "Stream - WebSocket handshake error",
    StreamCode.SERVER_CLOSED: "Stream - WebSocket closed by the server",
    StreamCode.SCHEME: "Stream - URL scheme is not wss",
    StreamCode.MALFORMED_URL: "Stream - malformed URL",
    StreamCode.PROTOCOL: "Stream - WebSocket protocol error",
    StreamCode.OVERFLOW: "Stream - buffer overflow, audio was discarded",
}


class StreamFailed(Exception):
    """A stream could not open or could not go on; ``code`` says why, ``detail`` says what was seen.

    ``status`` and ``body`` hold the server's answer to the upgrade when there was one (the body cut to 4 KiB).
    """

    def __init__(self, code: StreamCode, detail: str, *, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(f"{int(code)} {code.meaning}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.body = body

    def reported(self, *, as_text: bool) -> str:
        """The failure as the field ``StreamError`` of a status callback: the number, or a sentence."""
        return f"{self.code.meaning}: {self.detail}" if as_text else str(int(self.code))


class StreamRefused(StreamFailed):
    """The handshake did not end in a stream: what `open_stream` raises, with the server's status and body if it gave one."""
