"""The socket of one session: reads frames, sends what the session says, waits for it, and carries out faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol, runtime_checkable

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from .effects import CarryOut, Close, Effect, Play, Send, SendLater, SendText
from .faults import Fault, Kind
from .schema import Json
from .session import RealtimeSession
from .speaking import ResponseRun

MAX_WAITING_EVENTS = 20_000
"""Events that may wait for a client that does not read; one more cuts the connection."""
CLOSE_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 30.0
"""How long one frame may wait for a client that does not read; then the connection is cut."""


@runtime_checkable
class _Abortable(Protocol):
    """A transport that can be cut: uvloop's are no subclasses of asyncio's."""

    def abort(self) -> None: ...


def wall_ms() -> float:
    """Milliseconds since 1970."""
    return time.time() * 1000


class Session:
    """A session with its socket, as tests see it: ``protocol`` holds configuration, conversation and ledger."""

    def __init__(self, protocol: RealtimeSession, about: Json) -> None:
        self.protocol = protocol
        self.about = about
        """What was seen of the upgrade: path, query, headers without secrets."""
        self.close_code: int | None = None
        """Code of the socket's end (1006: no close frame); None while it lives."""
        self.closed_by: str | None = None
        """``client``, ``server`` or ``fault``."""
        self.closed_at_ms: float | None = None
        self.overflowed = False
        self._ws: web.WebSocketResponse | None = None
        self._transport: asyncio.BaseTransport | None = None
        self._waiting: deque[str | Close] = deque()
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalled = False
        self._slow_ms = 0
        self.done = asyncio.Event()
        """Set when the socket has ended."""

    @property
    def id(self) -> str:
        """The session's id."""
        return self.protocol.id

    @property
    def open(self) -> bool:
        """Whether the socket lives."""
        return self.close_code is None

    async def run(self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport | None, seconds: float) -> None:
        """Serve the socket until it ends."""
        self._ws, self._transport = ws, transport
        self._own(self._write(ws))
        self._own(self._expire(seconds))
        self.protocol.open()
        self._carry_out_effects()
        try:
            async for message in ws:
                await self._take(ws, message)
        except ConnectionError:
            pass
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._ended(ws.close_code if ws.close_code is not None else 1006, "client")

    def _ended(self, code: int, by: str) -> None:
        if self.close_code is None:
            self.close_code, self.closed_by, self.closed_at_ms = int(code), self.closed_by or by, wall_ms()
        self._waiting.clear()
        self.done.set()

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, ws: web.WebSocketResponse, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT:
                self.protocol.text(message.data, wall_ms())
                self._carry_out_effects()
            case WSMsgType.BINARY:
                self.protocol.binary()
                self._carry_out_effects()
            case WSMsgType.PING:
                self.protocol.ledger.pings += 1
                if not self._stalled:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(SEND_TIMEOUT_S):
                            await ws.pong(message.data)

    # ---------------------------------------------------------------------------------------------------------------- effects

    def _carry_out_effects(self) -> None:
        for effect in self.protocol.take():
            self._carry_out_effect(effect)

    def _carry_out_effect(self, effect: Effect) -> None:
        match effect:
            case Send(event):
                self._say(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
            case SendText(text):
                self._say(text)
            case Play(run, wait_ms):
                self._own(self._play(run, wait_ms))
            case SendLater(events):
                self._own(self._send_later(events))
            case CarryOut(fault):
                if fault.ms and fault.kind is not Kind.SLOW:
                    self._own(self._carry_out_later(fault))
                else:
                    self._carry_out(fault)
            case Close():
                self._say(effect)

    def _say(self, what: str | Close) -> None:
        if len(self._waiting) >= MAX_WAITING_EVENTS:
            self.overflowed = True
            self.drop()
            return
        self._waiting.append(what)
        self._news.set()

    async def _write(self, ws: web.WebSocketResponse) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                if self._slow_ms:
                    await asyncio.sleep(self._slow_ms / 1000)
                if self._stalled:
                    self._waiting.clear()
                    break
                what = self._waiting.popleft()
                if isinstance(what, Close):
                    self.closed_by = "server"
                    await self._close(ws, what)
                    return
                try:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await ws.send_str(what)
                except ConnectionError:
                    return
                except TimeoutError:
                    self.overflowed = True
                    self.drop()
                    return

    async def _close(self, ws: web.WebSocketResponse, close: Close) -> None:
        if self.close_code is None:
            self.close_code, self.closed_at_ms = close.code, wall_ms()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await ws.close(code=close.code, message=close.reason.encode()[:123])
        except (TimeoutError, ConnectionError):
            self.drop()

    async def _play(self, run: ResponseRun, wait_ms: int | None) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while wait_ms is not None:
            # Waits add up from the first one on, so that the time the loop takes does not stretch a response.
            due += wait_ms / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            wait_ms = self.protocol.step(run, wall_ms())
            self._carry_out_effects()

    async def _send_later(self, events: tuple[tuple[int, Json], ...]) -> None:
        for wait_ms, event in events:
            await asyncio.sleep(wait_ms / 1000)
            self.protocol.late(event)
            self._carry_out_effects()

    async def _expire(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.protocol.expire()
        self._carry_out_effects()

    # ----------------------------------------------------------------------------------------------------------------- faults

    async def _carry_out_later(self, fault: Fault) -> None:
        await asyncio.sleep(fault.ms / 1000)
        self._carry_out(fault)

    def _carry_out(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.DROP:
                self.drop()
            case Kind.STALL:
                self._stalled = True
            case Kind.SLOW:
                self._slow_ms = fault.ms
            case _:
                self.protocol.carry_out(fault)
                self._carry_out_effects()

    def faults_changed(self) -> None:
        """Other faults were set."""
        self._slow_ms = 0
        self.protocol.faults_changed()
        self._carry_out_effects()

    def drop(self) -> None:
        """Cut the connection without a close frame."""
        self.closed_by = self.closed_by or "fault"
        if isinstance(self._transport, _Abortable):
            self._transport.abort()

    def say_close(self, close: Close) -> None:
        """Close the socket after what waits to be sent."""
        self._say(close)

    async def close(self, code: int = WSCloseCode.GOING_AWAY, reason: str = "") -> None:
        """Close the socket from the server's side."""
        if self.open and self._ws is not None:
            self.closed_by = self.closed_by or "server"
            await self._close(self._ws, Close(int(code), reason))

    # ----------------------------------------------------------------------------------------------------------------- report

    def to_json(self) -> Json:
        """Everything about the session, for a report."""
        protocol = self.protocol
        return {
            "id": self.id,
            "kind": protocol.kind,
            **self.about,
            "openedAtMs": protocol.opened_at_ms,
            "closedAtMs": self.closed_at_ms,
            "open": self.open,
            "closeCode": self.close_code,
            "closedBy": self.closed_by,
            "overflowed": self.overflowed,
            "config": protocol.config,
            "conversation": protocol.conversation.to_json(),
            "format": protocol.format_name,
            "audioMs": protocol.audio_ms,
            **protocol.ledger.to_json(),
        }
