"""The client's end of the websocket: writes text frames cheaply and leaves the rest to the sans-I/O core of `websockets`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from random import getrandbits
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

from .codes import StreamCode, StreamFailed

BODY_KEPT: Final = 4096
_MAX_MESSAGE: Final = 64 * 1024


class Wire(asyncio.Protocol):
    """One websocket to the server, from the request line to the end.

    ``on_frame`` gets every frame from the server, ``on_violation`` the text of a breach of the websocket protocol, ``on_lost``
    the end of the TCP connection: the error, or ``None`` after an orderly end.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        query: str | None,
        on_frame: Callable[[Frame], None],
        on_violation: Callable[[str], None],
        on_lost: Callable[[Exception | None], None],
    ) -> None:
        self._ws = ClientProtocol(parse_uri(url), max_size=_MAX_MESSAGE)
        self._headers = headers
        self._query = query
        self._on_frame = on_frame
        self._on_violation = on_violation
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._violated = False
        self.closed = asyncio.Event()
        """Set when the TCP connection is gone."""
        self.received_bytes = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the upgrade request."""
        self._transport = cast(asyncio.Transport, transport)
        request = self._ws.connect()
        if self._query is not None:
            request.path += ("&" if "?" in request.path else "?") + self._query
        for name, value in self._headers.items():
            request.headers[name] = value
        self._ws.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Parse what the server sent; everything but the answer to the upgrade goes to the owner."""
        self.received_bytes += len(data)
        self._ws.receive_data(data)
        self._deliver()

    def eof_received(self) -> None:
        """The server sends no more: asyncio closes our side too."""
        self._ws.receive_eof()
        self._deliver()

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone."""
        if not self._answer.done():
            self._answer.set_result(None)
        self.closed.set()
        self._on_lost(exc)

    def _deliver(self) -> None:
        for event in self._ws.events_received():
            if isinstance(event, Frame):
                self._on_frame(event)
            elif isinstance(event, Response) and not self._answer.done():
                self._answer.set_result(event)
        if self._ws.handshake_exc is not None and not self._answer.done():
            self._answer.set_result(None)
        if isinstance(self._ws.parser_exc, ProtocolError | UnicodeDecodeError) and not self._violated:
            self._violated = True
            self._on_violation(str(self._ws.parser_exc))
        self._flush()

    def _flush(self) -> None:
        chunks = self._ws.data_to_send()
        if self._transport is None or self._transport.is_closing():
            return
        for chunk in chunks:
            if chunk:
                self._transport.write(chunk)
            elif self._transport.can_write_eof():
                self._transport.write_eof()

    # the owner's side

    async def handshake(self) -> None:
        """Wait for the answer to the upgrade.

        Raises:
            StreamFailed: 31920 with the status and body of an answer that is not a right 101.
        """
        response = await self._answer
        if response is not None and self._ws.handshake_exc is None:
            return  # even if the server has closed it again since then
        if response is None:
            raise StreamFailed(StreamCode.HANDSHAKE, "the server ended the connection without an HTTP answer")
        detail = f"the server answered {response.status_code} instead of 101"
        if response.status_code == 101:
            detail = f"the server's 101 is not a right one: {self._ws.handshake_exc}"
        raise StreamFailed(StreamCode.HANDSHAKE, detail, status=response.status_code, body=bytes(response.body or b"")[:BODY_KEPT])

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._ws.state is OPEN and self._transport is not None and not self._transport.is_closing()

    @property
    def connected(self) -> bool:
        """Whether there is, or was, a TCP connection."""
        return self._transport is not None

    @property
    def unsent(self) -> int:
        """Bytes that the kernel did not take yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send_text(self, data: bytes, fragments: int = 1) -> None:
        """Send a text message, in so many websocket frames; nothing happens on a closed websocket."""
        if fragments == 1:
            self._send(0x81, data)
            return
        size = max(1, -(-len(data) // fragments))
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        for index, part in enumerate(parts):
            opcode = Opcode.TEXT if index == 0 else Opcode.CONT
            self._send(int(opcode) | (0x80 if index == len(parts) - 1 else 0), part)

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""
        self._send(0x82, data)

    def ping(self) -> None:
        """Send a ping."""
        self._send(0x89, b"")

    def close(self, code: int) -> None:
        """Send a close frame, if none was sent yet."""
        if self.open:
            self._ws.send_close(code)
            self._flush()

    def abort(self) -> None:
        """Drop the TCP connection at once; what was not sent yet is lost."""
        if self._transport is not None:
            self._transport.abort()

    def freeze(self) -> None:
        """Read nothing any more, and so answer nothing."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _send(self, first: int, data: bytes) -> None:
        transport = self._transport
        if transport is None or self._ws.state is not OPEN or transport.is_closing():
            return
        size = len(data)
        if size < 126:
            head = bytes((first, 0x80 | size))
        elif size < 65536:
            head = bytes((first, 0xFE, size >> 8, size & 0xFF))
        else:
            head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
        key = getrandbits(32).to_bytes(4, "big")
        transport.write(head + key + apply_mask(data, key))
