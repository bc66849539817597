"""uvicorn's HTTP protocol with bounds on bytes, time and connections, for plain requests and websocket upgrades alike.

uvicorn itself takes headers of any size and waits for ever for the rest of a request. Counted is what comes over the wire, so
chunked framing and headers that never end count too. The application hears of a request when it is whole. One request at a
time: what a client sends before its answer is not read. When there is no room for another connection, the one that has asked
nothing for the longest time goes: sockets that are only held open keep nobody out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from enum import Enum
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from .limits import HttpLimits, HttpRefusal

OnRefused = Callable[[HttpRefusal], None]

_PROXY_PROTOCOL = (b"PROXY ", b"\r\n\r\n\x00\r\nQUIT\n")
"""How a connection begins before which a balancer writes who has called (HAProxy's PROXY protocol, versions 1 and 2)."""
_KEEPALIVE_IDLE = 30
_KEEPALIVE_INTERVAL = 10
_KEEPALIVE_PROBES = 3
_LINGER = 2.0


class _Stage(Enum):
    HEAD = 1
    BODY = 2
    ANSWER = 3  # the request is whole; its answer is not
    OVER = 4  # nothing more is read


class _Stop(Exception):
    """Leaves the parser from inside its callbacks, after the request was refused."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Use `bounded_http` to get the class with its limits."""

    limits: HttpLimits
    on_refused: OnRefused
    unasked: dict[BoundedHttp, None]
    """This port's connections without a whole request, in the order in which they came or got their last answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stage = _Stage.HEAD
        self._taken = 0  # bytes of the head, or of the body with its framing
        self._ready: tuple[RequestResponseCycle, Any] | None = None  # a request that still lacks its body
        self._deadline: asyncio.TimerHandle | None = None

    # connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections and not self._displace():
            self._stage = _Stage.OVER
            self.on_refused(HttpRefusal.CONNECTIONS)
            transport.abort()
            return
        self.unasked[self] = None
        _tune(transport, self.limits.stall_seconds)
        self._within(self.limits.head_seconds, HttpRefusal.HEAD_TIMEOUT)

    def _displace(self) -> bool:
        """Ends the connection that has asked nothing for the longest time; False if there is none."""
        longest = next(iter(self.unasked), None)
        if longest is None:
            return False
        del self.unasked[longest]
        longest._stage = _Stage.OVER
        longest.on_refused(HttpRefusal.DISPLACED)
        longest.transport.abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or was sent away."""
        self.unasked.pop(self, None)
        self._stage = _Stage.OVER
        self._in_time()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """No further request came in time. What the peer has not read of the last answer is not waited for."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    # bytes

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, never more than the bounds allow."""
        self._unset_keepalive_if_required()
        while data and self._stage is not _Stage.OVER:
            if self._stage is _Stage.ANSWER:
                if data.strip(b"\r\n"):
                    self.on_refused(HttpRefusal.PIPELINED)
                    self._last_answer()
                return
            head = self._stage is _Stage.HEAD
            if head and self._deadline is None:
                self._within(self.limits.head_seconds, HttpRefusal.HEAD_TIMEOUT)
            room = (self.limits.head_bytes if head else 2 * self.limits.body_bytes) - self._taken
            if room <= 0:
                self._refuse(431, HttpRefusal.HEAD_TOO_BIG) if head else self._refuse(413, HttpRefusal.BODY_TOO_BIG)
                return
            if head and not self._taken and data.startswith(_PROXY_PROTOCOL):
                self._taken = 1
                self._refuse(400, HttpRefusal.PROXY_PROTOCOL)
                return
            # a head is fed in pieces that end with it at the latest, so that what follows is counted as body
            piece = self._head_piece(data, room) if head else data[:room]
            self._taken += len(piece)
            data = data[len(piece) :]
            if self._feed(piece, data):
                return

    def _head_piece(self, data: bytes, room: int) -> bytes:
        end = data.find(b"\n\r\n")
        upto = len(data) if end < 0 else end + 3
        return data[: min(upto, room)]

    def _feed(self, piece: bytes, rest: bytes) -> bool:
        """Feeds the parser; True if the connection is no longer ours to read."""
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                at = upgrade.args[0] if upgrade.args else len(piece)
                self._hand_over(piece[at:] + rest)
                return True
            self._last_answer()  # any other upgrade is declined by answering the request as it is
            return True
        except httptools.HttpParserError:
            if self._stage is not _Stage.OVER:
                self._refuse(400, HttpRefusal.MALFORMED)
            return True
        return False

    def _hand_over(self, rest: bytes) -> None:
        self.unasked.pop(self, None)
        self._in_time()
        self._stage = _Stage.OVER
        self.flow.resume_reading()
        transport = self.transport
        self.handle_websocket_upgrade()
        if rest and not transport.is_closing():
            transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]  # the websocket's

    # the parser's callbacks

    def on_message_begin(self) -> None:
        """A request line begins."""
        if self._stage is _Stage.ANSWER:
            self.on_refused(HttpRefusal.PIPELINED)
            self._last_answer()
            raise _Stop
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or a trailer after a chunked body, which is not wanted."""
        if self._stage is _Stage.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: what it announces is checked before the application hears of it."""
        if self._stage is _Stage.HEAD:
            self._stage = _Stage.BODY
            self._taken = 0
            self._within(self.limits.body_seconds, HttpRefusal.BODY_TIMEOUT)
            self._check_announced()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._ready = cycle, app
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_announced(self) -> None:
        upgrade = self.parser.should_upgrade() and self._should_upgrade()
        for name, value in self.headers:
            if name == b"content-length":
                size = int(value) if value.isdigit() and len(value) < 19 else self.limits.body_bytes + 1
                if size > self.limits.body_bytes:
                    self._refuse(413, HttpRefusal.BODY_TOO_BIG)
                    raise _Stop
                if upgrade and size:
                    self._refuse(400, HttpRefusal.MALFORMED)
                    raise _Stop
            elif name == b"transfer-encoding" and upgrade:
                self._refuse(400, HttpRefusal.MALFORMED)
                raise _Stop

    def on_body(self, body: bytes) -> None:
        """A part of the body, without its framing."""
        if self._ready is None:
            return
        kept = self._ready[0].body
        kept += body
        if len(kept) > self.limits.body_bytes:
            self._refuse(413, HttpRefusal.BODY_TOO_BIG)
            raise _Stop

    def on_message_complete(self) -> None:
        """The request is whole: the application's turn."""
        self.unasked.pop(self, None)
        self._in_time()
        self._stage = _Stage.ANSWER
        super().on_message_complete()
        if self._ready is not None:
            ready, self._ready = self._ready, None
            super()._start_asgi_task(*ready)

    def on_response_complete(self) -> None:
        """The answer is out."""
        if self._stage is _Stage.ANSWER:
            self._stage = _Stage.HEAD
            self._taken = 0
            self.unasked[self] = None
        super().on_response_complete()

    # refusing

    def _last_answer(self) -> None:
        """The request in progress gets its answer, and the connection ends with it."""
        self._stage = _Stage.OVER
        self._in_time()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def _refuse(self, status: int, refusal: HttpRefusal) -> None:
        """Ends the connection before the application has heard of the request; with an answer if there was one."""
        asked = self._taken > 0 or self._stage is _Stage.BODY
        self._stage = _Stage.OVER
        self._ready = None
        self.unasked.pop(self, None)
        self._in_time()
        self.on_refused(refusal)
        if asked and not self.transport.is_closing():
            text = f"{refusal}\n".encode()
            head = [STATUS_LINE[status]]
            head += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
            head.append(b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text))
            self.transport.write(b"".join(head) + text)
            if self.transport.can_write_eof():
                # closing at once would reset the connection under a client that still sends, and take the answer from it
                self.transport.write_eof()
                self._deadline = self.loop.call_later(_LINGER, self.transport.abort)
                return
        self.transport.close()

    # time

    def _within(self, seconds: float, refusal: HttpRefusal) -> None:
        self._in_time()
        self._deadline = self.loop.call_later(seconds, self._refuse, 408, refusal)

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded_http(limits: HttpLimits, on_refused: OnRefused) -> type[BoundedHttp]:
    """The protocol class with its limits; `on_refused` is called once per refusal and counts it."""
    return type("BoundedHttp", (BoundedHttp,), {"limits": limits, "on_refused": staticmethod(on_refused), "unasked": {}})


def _tune(transport: asyncio.BaseTransport, stall_seconds: float) -> None:
    """Small frames go out at once, and a peer that is no longer there is noticed without a word from us."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": _KEEPALIVE_IDLE,
        "TCP_KEEPINTVL": _KEEPALIVE_INTERVAL,
        "TCP_KEEPCNT": _KEEPALIVE_PROBES,
        "TCP_USER_TIMEOUT": int(stall_seconds * 1000),
    }
    for name, value in wanted.items():
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):  # an option that this system does not have
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
