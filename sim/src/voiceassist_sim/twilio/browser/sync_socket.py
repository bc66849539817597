"""The sockets at ``tsock.us1.twilio.com``: carries `Connection`'s effects out, lets faults strike, and hands changes of Sync to all.

A socket is written by one task from a bounded queue; a reader that falls so far behind is cut.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import WSMsgType, web

from ..account import Account
from ..errors import TwilioError, server_error, too_many_requests
from ..faults import HANG_SECONDS, FaultKind, Strike
from ..sync_model import Change
from ..taskrouter import TaskRouterEvent
from .behaviour import SocketBehaviour
from .conferences import Conferences
from .connection import SYNC_PRODUCT, Ask, Close, Connection, Effect, Send
from .holders import Holders
from .insights import LiveQueries
from .socket_faults import NotificationFaultKind, NotificationFaults
from .sync_requests import SyncRequests
from .violations import Rule, Violation, Violations

QUEUE_LENGTH: Final = 5_000
TICK_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 10.0
"""So long after it was told to leave a client is cut."""


class SyncSocket:
    """One socket."""

    def __init__(self, sockets: SyncSockets, websocket: web.WebSocketResponse, request: web.Request) -> None:
        self._sockets = sockets
        self._websocket = websocket
        self._transport = request.transport
        self._queue: asyncio.Queue[Send | Close] = asyncio.Queue(QUEUE_LENGTH)
        self._tasks: set[asyncio.Task[None]] = set()
        self.opened = sockets.account.clock()
        self.deaf = False
        """Half open: what comes is not read, and nothing is sent."""
        self.connection = Connection(
            sockets.account.sync,
            sockets.requests,
            sockets.behaviour,
            check=sockets.holders.check,
            violate=self._violate,
            queries=LiveQueries(sockets.account, sockets.conferences),
            new_sid=sockets.account.sids,
        )

    @property
    def identity(self) -> str:
        """Who is behind it; empty before a successful init."""
        return self.connection.holder.identity if self.connection.holder else ""

    async def run(self) -> None:
        """Until it is over."""
        writer = asyncio.create_task(self._write(), name="tsock writer")
        try:
            async for message in self._websocket:
                if self.deaf:
                    continue
                if message.type is WSMsgType.BINARY:
                    self.carry_out(self.connection.receive(message.data))
                elif message.type is WSMsgType.TEXT:
                    self.carry_out(self.connection.receive_text())
        finally:
            for task in (writer, *self._tasks):
                task.cancel()
            await asyncio.gather(writer, *self._tasks, return_exceptions=True)

    def carry_out(self, effects: list[Effect]) -> None:
        """Do what the protocol says, in its order."""
        for effect in effects:
            if isinstance(effect, Ask):
                self._ask(effect)
            elif isinstance(effect, Send):
                self._send(effect)
            else:
                self._put(effect)

    def cut(self) -> None:
        """Cut the line without a word."""
        if self._transport is not None:
            self._transport.abort()

    def as_json(self) -> dict[str, Any]:
        """As the control API gives it."""
        return {
            "identity": self.identity,
            "products": list(self.connection.products),
            "opened": self.opened,
            "deaf": self.deaf,
            "subscribed": sorted(self.connection.subscribed),
        }

    # Inside

    def _ask(self, ask: Ask) -> None:
        strike = self._sockets.account.faults.strike(ask.method, ask.path)
        if strike.rule is None and not strike.wait_before and not strike.wait_after:
            self.carry_out(self.connection.perform(ask, self._sockets.account.clock()))
            return
        task = asyncio.create_task(self._ask_struck(ask, strike), name="tsock request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_struck(self, ask: Ask, strike: Strike) -> None:
        rule, clock = strike.rule, self._sockets.account.clock
        await asyncio.sleep(strike.wait_before)
        if rule is not None and not rule.processed:
            if rule.kind is FaultKind.HANG:
                await asyncio.sleep(HANG_SECONDS)
            elif rule.kind is FaultKind.CUT:
                self.cut()
            else:
                error = _error(rule.kind, rule.status, rule.code, rule.message)
                backoff = None if rule.retry_after is None else rule.retry_after * 1000
                self.carry_out(self.connection.refuse(ask, error, backoff_ms=backoff, transport=rule.transport))
            return
        if rule is not None and rule.kind is FaultKind.HOLD and not rule.after:
            await self._sockets.account.holds.hold()
        effects = self.connection.perform(ask, clock())
        await asyncio.sleep(strike.wait_after)
        if rule is None or rule.kind is FaultKind.HOLD:
            if rule is not None and rule.after:
                await self._sockets.account.holds.hold()
            self.carry_out(effects)
        elif rule.kind is FaultKind.CUT:
            self.cut()
        elif rule.kind is FaultKind.STORED_THEN_500:
            self.carry_out(self.connection.refuse(ask, _error(rule.kind, rule.status, rule.code, rule.message), transport=rule.transport))

    def _send(self, send: Send) -> None:
        rule = self._sockets.notification_faults.strike(send.about, self.identity) if send.about is not None else None
        if rule is None or send.about is None:
            self._put(send)
        elif rule.kind is NotificationFaultKind.DELAY:
            asyncio.get_running_loop().call_later(rule.seconds, self._put, send)
        elif rule.kind is NotificationFaultKind.DOUBLE:
            self._put(send)
            self._put(self.connection.again(send.about))

    def _put(self, effect: Send | Close) -> None:
        if self._queue.full():
            self.cut()
        else:
            self._queue.put_nowait(effect)

    async def _write(self) -> None:
        clock = self._sockets.account.clock
        try:
            while True:
                effect = await self._queue.get()
                if self.deaf or self._websocket.closed:
                    continue
                if isinstance(effect, Close):
                    await self._websocket.close(code=effect.code)
                    return
                self.connection.sent(effect, clock())
                await self._websocket.send_bytes(effect.data)
        except ConnectionError:
            self.cut()

    def _violate(self, rule: Rule, detail: str) -> None:
        self._sockets.violations.add(Violation(self._sockets.account.clock(), rule, self.connection.product, detail))


class SyncSockets:
    """All sockets."""

    def __init__(self, account: Account, conferences: Conferences) -> None:
        self.account = account
        self.conferences = conferences
        conferences.listeners.append(self._watch)
        self.behaviour = SocketBehaviour()
        self.holders = Holders(account)
        self.requests = SyncRequests(account.sync, account.settings, self.behaviour)
        self.violations = Violations()
        self.notification_faults = NotificationFaults()
        self._sockets: set[SyncSocket] = set()
        self._ticker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen to the account."""
        self.account.on_change.append(self._changed)
        self.account.taskrouter.listeners.append(self._moved)
        self._ticker = asyncio.create_task(self._tick(), name="tsock ticker")

    async def close(self) -> None:
        """Listen no more and cut all sockets."""
        self.account.on_change.remove(self._changed)
        self.account.taskrouter.listeners.remove(self._moved)
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        self.cut(product=None)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One websocket."""
        strike = self.account.faults.strike("GET", "/tsock/wsconnect")
        await asyncio.sleep(strike.wait_before)
        if strike.rule is not None:
            raise _error(strike.rule.kind, strike.rule.status, strike.rule.code, strike.rule.message)
        websocket = web.WebSocketResponse(max_msg_size=1 << 20, timeout=2.0)
        await websocket.prepare(request)
        socket = SyncSocket(self, websocket, request)
        self._sockets.add(socket)
        try:
            await socket.run()
        finally:
            self._sockets.discard(socket)
        return websocket

    # On request

    # Each of these: of one reader (``identity``, ``None``: of all), of clients of one product (``None``: of any); gives how many they were.

    def sockets(self, identity: str | None = None, product: str | None = SYNC_PRODUCT) -> list[SyncSocket]:
        """The open sockets."""
        return [
            one for one in self._sockets if identity in (None, one.identity) and (product is None or product in one.connection.products)
        ]

    def cut(self, identity: str | None = None, product: str | None = SYNC_PRODUCT) -> int:
        """Cut them without a word."""
        chosen = self.sockets(identity, product)
        for one in chosen:
            one.cut()
        return len(chosen)

    def offload(self, identity: str | None = None, product: str | None = SYNC_PRODUCT, *, backoff_ms: int | None = 2000) -> int:
        """Send them to another server: ``close`` 308."""
        return self.tell_to_leave(308, identity, product, reason="Offloading", backoff_ms=backoff_ms)

    def tell_to_leave(
        self,
        code: int,
        identity: str | None = None,
        product: str | None = SYNC_PRODUCT,
        *,
        reason: str = "",
        backoff_ms: int | None = None,
    ) -> int:
        """Send them ``close`` with a code: 401, 406, 410 (the token is over), 417, or another."""
        chosen = self.sockets(identity, product)
        for one in chosen:
            one.carry_out(one.connection.close(code, reason, backoff_ms=backoff_ms))
        return len(chosen)

    def about_to_expire(self, identity: str | None = None, product: str | None = SYNC_PRODUCT) -> int:
        """Tell them that their token ends soon."""
        chosen = self.sockets(identity, product)
        for one in chosen:
            one.carry_out(one.connection.about_to_expire())
        return len(chosen)

    def deafen(self, deaf: bool = True, identity: str | None = None, product: str | None = SYNC_PRODUCT) -> int:
        """Let them be half open: nothing is read, nothing is sent, until they are cut or this is taken back."""
        chosen = self.sockets(identity, product)
        for one in chosen:
            one.deaf = deaf
        return len(chosen)

    # Inside

    def _changed(self, change: Change) -> None:
        for one in list(self._sockets):
            one.carry_out(one.connection.deliver(change))

    def _moved(self, _: TaskRouterEvent) -> None:
        self._watch()

    def _watch(self) -> None:
        for one in list(self._sockets):
            one.carry_out(one.connection.watch())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self.account.clock()
            for one in list(self._sockets):
                if not one.deaf:
                    one.carry_out(one.connection.tick(now))


def _error(kind: FaultKind, status: int, code: int | None, message: str | None) -> TwilioError:
    if kind is FaultKind.TOO_MANY:
        return too_many_requests(message or "Too Many Requests", code or 20429)
    usual = server_error(status) if kind is not FaultKind.REFUSE else TwilioError(status, 20000 + status, "Refused")
    return TwilioError(status, code or usual.code, message or usual.message)
