"""Connection: one websocket to the model as an asyncio protocol; handshake and uncommon frames by `websockets`, the common ones here."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol as Wire
from websockets.protocol import Side, State
from websockets.speedups import apply_mask
from websockets.uri import WebSocketURI, parse_uri

from voiceassist_crds.messages import StatusReason
from voiceassist_crds.proxies import STRAIGHT, Proxies
from voiceassist_crds.retry_after import retry_after

from ..egress import ProxyRefused, tunnel
from .core.failures import Passing, SessionFailed, from_handshake, unsendable_key
from .core.limits import SessionLimits
from .providers import Endpoint

MAX_MESSAGE = 1 << 20
"""Bytes of one incoming message; a `session.updated` with the longest instructions has a fifth of that."""
_MAX_HEAD = 1 << 14
_CERTIFICATE_WAIT = 15.0  # nothing that mends itself within seconds
_TEXT = 0x81  # a text message in one frame


def _keys(count: int) -> list[bytes]:
    pool = os.urandom(4 * count)
    return [pool[at : at + 4] for at in range(0, 4 * count, 4)]


masks: Iterator[bytes] = chain.from_iterable(map(_keys, repeat(1024)))
"""Masking keys: unpredictable, as RFC 6455 (5.3) wants them; drawn from the system a thousand at a time."""


def text_frame(message: bytes) -> bytes:
    """One masked text frame."""
    mask, size = next(masks), len(message)
    if size < 126:
        head = bytes((_TEXT, 0x80 | size))
    elif size < 65536:
        head = b"\x81\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + size.to_bytes(8, "big")
    return head + mask + apply_mask(message, mask)


@dataclass(frozen=True, slots=True)
class Lost:
    """How a connection ended: the peer's close code and reason, if it gave any."""

    code: int | None
    reason: str


class Receiver(Protocol):
    """Who a connection reports to. Every method returns at once."""

    def message(self, data: bytes) -> None:
        """One whole text message."""

    def acknowledged(self) -> None:
        """The server answered a ping: it has read what was sent before that ping."""

    def on_buffer(self, yes: bool) -> None:
        """The socket's buffer ran full, or took up again."""

    def lost(self, lost: Lost) -> None:
        """The open connection is over; called once."""


class _Nobody:
    """Who a connection that is gone reports to."""

    def message(self, data: bytes) -> None: ...
    def acknowledged(self) -> None: ...
    def on_buffer(self, yes: bool) -> None: ...
    def lost(self, lost: Lost) -> None: ...


_NOBODY = _Nobody()


def _nowhere(data: bytes) -> None:
    """Where a connection that is gone writes to."""


class ModelConnection(asyncio.Protocol):
    """A client's end. `heard_at` is the loop time of the latest bytes."""

    def __init__(self, uri: WebSocketURI, endpoint: Endpoint, receiver: Receiver, limits: SessionLimits) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.heard_at = loop.time()
        self._time = loop.time
        self._receiver = receiver
        self._limits = limits
        opening = ClientProtocol(uri, max_size=MAX_MESSAGE)
        request = opening.connect()
        for name, value in endpoint.headers:
            request.headers[name] = value
        opening.send_request(request)
        self._ws: Wire = opening
        """First of the handshake, then one that knows nothing of it: a call would keep both heads for an hour."""
        self._open = False
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._head = b""
        self.status: int | None = None
        """Of the answer to the handshake, as soon as it is seen."""
        self._parts: list[bytes] = []
        self._told = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS where it is used, are up."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of the class, and have its methods
        self._stream.set_write_buffer_limits(high=self._limits.write_buffer_bytes)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes from the socket."""
        self.heard_at = self._time()
        if self._open:
            self._frames(data)
        else:
            self._handshake(data)

    def pause_writing(self) -> None:
        """The buffer is full."""
        if self._open and not self._told:
            self._receiver.on_buffer(False)

    def resume_writing(self) -> None:
        """The buffer drained."""
        if self._open and not self._told:
            self._receiver.on_buffer(True)

    def eof_received(self) -> bool | None:
        """The peer will send no more."""
        return None

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        if not self.opened.done():
            self._ws.receive_eof()
            self._answered()
        if not self.opened.done():
            self.opened.set_exception(SessionFailed(Passing("closed")))
        if not self.ended.done():
            self.ended.set_result(None)
        self._tell(Lost(None, type(error).__name__ if error is not None else ""))
        # in a ring with its link and its transport, it would stay until the collector comes by, and a call's memory would grow
        self._receiver, self._transport = _NOBODY, None

    # our side

    @property
    def _stream(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("not connected")
        return self._transport

    @property
    def writer(self) -> Callable[[bytes], None]:
        """The transport's own `write`, for frames that are masked already: the hot path. Nothing is written once it is gone."""
        return _nowhere if self._transport is None else self._transport.write

    def send(self, message: bytes) -> None:
        """Writes one text message; nothing once the connection is closing."""
        if self._told or self._transport is None or self._transport.is_closing() or self._ws.state is not State.OPEN:
            return
        self._transport.write(text_frame(message))

    def ping(self) -> None:
        """Sends a ping; any byte that comes after it is as good as its pong."""
        if not self._told and self._ws.state is State.OPEN:
            self._ws.send_ping(b"va")
            self._flush()

    def abort(self) -> None:
        """Ends at once, throwing away what was not sent; the receiver hears no more."""
        self._told = True
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """The closing handshake, within its time; the receiver hears no more."""
        self._told = True
        transport = self._transport
        if transport is None:
            return
        try:
            if self._ws.state is State.OPEN:
                self._ws.send_close(1000)
                self._flush()
            async with asyncio.timeout(self._limits.close):
                await asyncio.shield(self.ended)
        except TimeoutError:
            pass
        finally:
            transport.abort()

    # the handshake

    def _handshake(self, data: bytes) -> None:
        """Everything up to the blank line is for `websockets`; what follows a 101 are frames."""
        if self.status is None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0 and len(self._head) <= _MAX_HEAD:
                return
            status = self._head[9:12]
            self.status = int(status) if status.isdigit() else 0
            data, rest, self._head = self._head, b"", b""
            if self.status == 101 and end >= 0:
                data, rest = data[: end + 4], data[end + 4 :]
            self._ws.receive_data(data)
            self._answered()
            if self._open and rest:
                self._frames(rest)
        else:
            self._ws.receive_data(data)
            self._answered()

    def _answered(self) -> None:
        self._flush()
        self._ws.events_received()
        error = self._ws.handshake_exc
        if self.opened.done():
            return
        if self._ws.state is State.OPEN:
            self._open = True
            self._ws = Wire(Side.CLIENT, max_size=MAX_MESSAGE)
            self.opened.set_result(None)
        elif isinstance(error, InvalidStatus):
            response = error.response
            wait = retry_after(response.headers.get("Retry-After"), time.time())
            failure = from_handshake(response.status_code, bytes(response.body or b""), wait)
            self.opened.set_exception(SessionFailed(failure))
        elif error is not None:
            status = self.status or 0  # a refusal whose body breaks off is one all the same
            failure = from_handshake(status, b"", None) if status >= 400 else Passing("handshake")
            self.opened.set_exception(SessionFailed(failure))

    # frames

    def _frames(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= 2:
            length, body = data[at + 1] & 0x7F, at + 2
            if length == 126:
                length, body = int.from_bytes(data[body : body + 2], "big"), body + 2
            elif length == 127:
                length, body = int.from_bytes(data[body : body + 8], "big"), body + 8
            if length > MAX_MESSAGE:
                self._broken("message too big", 1009)
                return
            end = body + length
            if end > size or body > size:
                break
            if data[at] == _TEXT and data[at + 1] < 0x80 and not self._parts:
                self._receiver.message(data[body:end])
            else:
                self._uncommon(data[at:end])
            at = end
            if self._told:
                return
        self._rest = data[at:]

    def _uncommon(self, frame: bytes) -> None:
        """Fragments, pings, pongs, closes and whatever breaks the protocol."""
        self._ws.receive_data(frame)
        events = self._ws.events_received()
        self._flush()
        for event in events:
            if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.CONT}:
                self._parts.append(bytes(event.data))
                if sum(map(len, self._parts)) > MAX_MESSAGE:
                    self._broken("message too big", 1009)
                elif event.fin:
                    whole, self._parts = b"".join(self._parts), []
                    self._receiver.message(whole)
            elif isinstance(event, Frame) and event.opcode is Opcode.PONG and not self._told:
                self._receiver.acknowledged()
        if self._ws.state is not State.OPEN and not self._told:
            closed = self._ws.close_rcvd
            self._tell(Lost(closed.code, closed.reason) if closed is not None else Lost(None, "protocol error"))
            self._stream.close()

    def _broken(self, reason: str, code: int) -> None:
        self._ws.fail(code, reason)
        self._flush()
        self._tell(Lost(None, reason))
        self._stream.close()

    def _flush(self) -> None:
        for chunk in self._ws.data_to_send():
            if chunk and self._transport is not None and not self._transport.is_closing():
                self._transport.write(chunk)

    def _tell(self, lost: Lost) -> None:
        if not self._told:
            self._told = True
            if self._open:
                self._receiver.lost(lost)


def network_trouble(error: OSError) -> str:
    """What the operating system says of a connection that could not be made."""
    if isinstance(error, ProxyRefused):
        return error.answer
    if isinstance(error, socket.gaierror):
        return "the name is not known"
    return (os.strerror(error.errno) if error.errno else "") or type(error).__name__


async def connect(
    endpoint: Endpoint, receiver: Receiver, limits: SessionLimits, tls: ssl.SSLContext | None, proxies: Proxies = STRAIGHT
) -> ModelConnection:
    """Dials, through a proxy where `proxies` names one, and shakes hands. Raises SessionFailed."""
    try:
        uri = parse_uri(endpoint.url)
    except InvalidURI:
        raise SessionFailed(from_handshake(404, b"", None)) from None
    try:
        connection = ModelConnection(uri, endpoint, receiver, limits)
    except (ValueError, WebSocketException):
        # a header that cannot be sent, and its text has the key in it
        raise SessionFailed(unsendable_key()) from None
    try:
        await _open(connection, uri, limits, tls, proxies)
    except BaseException:
        connection.abort()
        raise
    return connection


async def _open(
    connection: ModelConnection, uri: WebSocketURI, limits: SessionLimits, tls: ssl.SSLContext | None, proxies: Proxies
) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limits.connect):
            proxy = proxies.of(uri.host, uri.port)
            if proxy is None:
                await loop.create_connection(lambda: connection, uri.host, uri.port, ssl=tls if uri.secure else None)
            else:
                name, context = (uri.host, tls) if uri.secure else (None, None)
                through = await tunnel(proxy, uri.host, uri.port)
                await loop.create_connection(lambda: connection, sock=through, ssl=context, server_hostname=name)
            await connection.opened
    except TimeoutError:
        status = connection.status or 0  # a refusal whose body does not end is one all the same
        failure = from_handshake(status, b"", None) if status >= 400 else Passing("timeout")
        raise SessionFailed(failure) from None
    except ssl.SSLError as error:
        raise SessionFailed(from_tls(error)) from None
    except OSError as error:
        raise SessionFailed(Passing(f"network: {network_trouble(error)}")) from None


def from_tls(error: ssl.SSLError) -> Passing:
    """No encrypted connection could be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Passing(f"certificate: {getattr(error, 'verify_message', 'not valid')}", _CERTIFICATE_WAIT, StatusReason.MODEL_MISCONFIGURED)
    return Passing(f"tls: {getattr(error, 'reason', None) or 'error'}")
