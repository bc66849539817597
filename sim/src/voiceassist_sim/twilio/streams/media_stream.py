"""One media stream from dial to end: owns the websocket, the schedule and the account of what was sent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from websockets.frames import Close, Frame, Opcode

from .address import check_url
from .callbacks import StatusCallbacks, StreamEvent
from .codes import StreamCode, StreamFailed, StreamRefused
from .dialer import Dialer
from .faults import StreamFaults
from .ledger import Ledger, SentFrame
from .opening import dial
from .pacer import pacer
from .playout import Emission, Kind, Playout
from .report import Incidents, Received, Schedule, ServerClose, describe
from .request import SAMPLE_RATE, Recording, StreamRequest
from .wire import Wire

StreamState = Literal["connecting", "streaming", "stopped", "failed"]

_CLOSING: Final = 2.0
"""Seconds for the end of the websocket once a close frame was sent or received."""
_IDLE: Final = 0.02
"""Seconds between looks at the faults while nothing is sent."""


class MediaStream:
    """A unidirectional stream as Twilio makes it.

    ``started_at``: the loop's time when the recording (the call) began; a stream plays from the current position, in whole
    frames of the call, and each frame is sent when its last sample was spoken. ``None``: the recording begins with the stream.
    ``on_ended`` is called once, as soon as no more audio will flow: before the socket is closed and the callbacks are delivered.
    ``until_ms``: the stream stops by itself after so much audio.
    """

    def __init__(
        self,
        request: StreamRequest,
        *,
        recording: Recording,
        started_at: float | None,
        auth_token: Callable[[], str],
        dialer: Dialer,
        faults: StreamFaults,
        on_ended: Callable[[MediaStream], None],
        until_ms: float | None = None,
    ) -> None:
        self.request = request
        self.state: StreamState = "connecting"
        self.failure: StreamFailed | None = None
        self.ledger = Ledger(request)
        self.faults = faults
        self._recording = recording
        self._started_at = started_at
        self._auth_token = auth_token
        self._dialer = dialer
        self._on_ended = on_ended
        self._until_ms = until_ms
        self._task: asyncio.Task[None] | None = None
        self._dialling: asyncio.Task[Wire] | None = None
        self._ran = False
        self._stop_asked = False
        self._opened = asyncio.Event()
        self._over = asyncio.Event()
        self._server_done = asyncio.Event()
        self._ended = asyncio.Event()
        self._callbacks = StatusCallbacks(request, dialer, auth_token)
        self._wire: Wire | None = None
        self._playout: Playout | None = None
        self._beat: int | None = None
        self._due: float | None = None
        self._dialled_at: float | None = None
        self._opened_at: float | None = None
        self._stopped_at: float | None = None
        self._early: StreamFailed | None = None
        self._next_ping = 0.0
        self._half_open = False
        self._late = 0
        self._latest = 0.0
        self._messages = 0
        self._received = Received()
        self._incidents = Incidents()
        self._server_close: ServerClose | None = None

    # life

    def start(self) -> None:
        """Run in a task that the stream itself holds."""
        self._task = asyncio.get_running_loop().create_task(self.run(), name=f"stream {self.request.stream_sid}")

    async def run(self) -> None:
        """Dial, play and close; returns when the socket is closed and the callbacks are delivered. Once per stream.

        What goes wrong on the wire is no exception: it is in ``failure``, ``state`` and ``stats``.

        Raises RuntimeError.
        """
        if self._ran:
            raise RuntimeError("a MediaStream runs once; make another")
        self._ran = True
        try:
            try:
                await self._play()
            finally:
                self._settle("stopped")
            await self._hang_up()
            await self._callbacks.drain()
        finally:
            self._callbacks.cancel()
            self._drop()
            self._ended.set()

    async def opened(self) -> None:
        """Wait until the websocket is open.

        Raises:
            StreamRefused: it did not open; ``code``, ``status`` and ``body`` say why.
        """
        await self._opened.wait()
        if self._opened_at is None:
            failure = self.failure or StreamFailed(StreamCode.HANDSHAKE, "the stream was stopped before it opened")
            raise StreamRefused(failure.code, failure.detail, status=failure.status, body=failure.body)

    async def ended(self) -> None:
        """Wait until the socket is closed and the callbacks are delivered."""
        if self._task is not None:
            await asyncio.shield(self._task)
        else:
            await self._ended.wait()

    async def stop(self) -> None:
        """Send ``stop``, then wait for the end of the socket and of the callbacks (each bounded). More than once is fine."""
        self.begin_stop()
        if self._ran or self._task is not None:
            await self.ended()

    def begin_stop(self) -> None:
        """Send ``stop`` without waiting for what follows."""
        self._stop_asked = True
        if self._dialling is not None and self.state == "connecting":
            self._dialling.cancel()
        if self.state == "streaming":
            if self._playout is not None and not self._half_open:
                self._send(self._playout.stop())
            self._settle("stopped")
        elif not self._ran:
            self._settle("stopped")
            if self._task is None:
                self._ended.set()

    async def __aenter__(self) -> MediaStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # what was seen

    @property
    def sent_frames(self) -> list[SentFrame]:
        """(track, position in the recording in ms, loop time) of each frame sent, as far as the ledger keeps them."""
        return self.ledger.sent_frames()

    @property
    def stats(self) -> dict[str, Any]:
        """Everything countable about the stream, ready for JSON: no custom parameters, no audio."""
        return describe(
            self.request,
            state=self.state,
            failure=self.failure,
            ledger=self.ledger,
            playout=self._playout,
            received=self._received,
            incidents=self._incidents,
            server_close=self._server_close,
            callbacks=self._callbacks.deliveries,
            messages=self._messages,
            schedule=Schedule(self._late, self._latest),
            dialled_at=self._dialled_at,
            opened_at=self._opened_at,
            stopped_at=self._stopped_at,
        )

    # playing

    async def _play(self) -> None:
        if self._stop_asked:
            return
        loop = asyncio.get_running_loop()
        self._dialled_at = loop.time()
        try:
            code = check_url(self.request.url)
            if code is not None and not (code == StreamCode.HANDSHAKE and self.faults.drop_query):
                raise StreamFailed(StreamCode(code), "Twilio does not take this address")
            self._dialling = loop.create_task(self._dial())
            wire = await self._dialling
        except StreamFailed as failure:
            self._fail(failure)
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stop_asked and task is not None and not task.cancelling():
                return
            raise
        if self._stop_asked:
            return
        self._wire = wire
        self._begin()
        await self._over.wait()

    async def _dial(self) -> Wire:
        return await dial(
            self.request,
            self._dialer,
            self.faults,
            self._auth_token(),
            on_frame=self._frame,
            on_violation=self._violation,
            on_lost=self._lost,
        )

    def _begin(self) -> None:
        now = asyncio.get_running_loop().time()
        self._opened_at = now
        self.state = "streaming"
        self._opened.set()
        self._post("stream-started")
        self._playout = Playout(self.request, self._recording, self.faults)
        self._send(self._playout.connected())
        self._next_ping = now
        if self._early is not None:
            self._fail(self._early)
        else:
            self._beat = pacer().add(now, self._tick)

    def _tick(self) -> float | None:
        now = asyncio.get_running_loop().time()
        faults, playout, wire = self.faults, self._playout, self._wire
        if self.state != "streaming" or playout is None or wire is None or self._opened_at is None:
            return None
        age = (now - self._opened_at) * 1000
        if faults.cut_now or (faults.cut_at_ms is not None and age >= faults.cut_at_ms):
            self._fail(StreamFailed(StreamCode.BROKEN_PIPE, "cut by a fault"))
            wire.abort()
            return None
        if self._half_open or faults.half_open_now or (faults.half_open_at_ms is not None and age >= faults.half_open_at_ms):
            self._half_open = True
            wire.freeze()
            return now + _IDLE
        if faults.ping_every_ms and now >= self._next_ping:
            self._next_ping = now + faults.ping_every_ms / 1000
            wire.ping()
        if not playout.started and playout.train.media_made >= faults.media_before_start:
            if faults.no_start or age < faults.start_delay_ms:
                return now + _IDLE
            self._send(playout.start())
        if self._due is None:
            return self._align(playout, now)
        return self._slot(playout, now, self._due)

    def _align(self, playout: Playout, now: float) -> float:
        """Take up the recording where the call is now, at the next whole frame; it is due when its last sample is spoken."""
        begin = now if self._started_at is None else self._started_at
        first = max(0, math.ceil((now - begin) * SAMPLE_RATE / self.faults.frame_bytes - 1e-6)) * self.faults.frame_bytes
        playout.train.begin_at(first)
        self._due = begin + (first + playout.coming) / SAMPLE_RATE
        return self._due

    def _slot(self, playout: Playout, now: float, due: float) -> float | None:
        late = now - due
        slot = playout.slot()
        length = slot.samples / SAMPLE_RATE
        if late > length > 0:
            self._late += 1
        self._latest = max(self._latest, late)
        self._send(slot.emissions, now)
        if self._until_ms is not None and playout.train.elapsed_ms >= self._until_ms:
            self.begin_stop()
            return None
        self._due = due + playout.coming / SAMPLE_RATE / self.faults.flood
        return self._due

    def _send(self, emissions: Iterable[Emission], now: float = 0.0) -> None:
        wire, faults = self._wire, self.faults
        if wire is None:
            return
        for kind, data, frame in emissions:
            if frame is not None and wire.unsent > faults.send_buffer_bytes:
                self.ledger.discarded(frame)
                self._incidents.warn(StreamCode.OVERFLOW, "the server reads too slowly")
                continue
            if kind is Kind.TEXT:
                wire.send_text(data, faults.fragments)
            else:
                wire.send_binary(data)
            self._messages += 1
            if frame is not None:
                self.ledger.sent(frame, now or asyncio.get_running_loop().time())

    # what the server does

    def _frame(self, frame: Frame) -> None:
        self._received.count(frame)
        if frame.opcode is Opcode.CLOSE:
            close = Close.parse(frame.data) if frame.data else Close(1005, "")
            self._server_close = ServerClose(int(close.code), close.reason, self.state in {"connecting", "streaming"})
            self._server_done.set()
            self._break(StreamFailed(StreamCode.SERVER_CLOSED, f"close {int(close.code)} {close.reason!r}"))
        elif frame.opcode not in (Opcode.PING, Opcode.PONG):  # control frames are no messages (RFC 6455, 5.5)
            self._violation(f"the server sent a {frame.opcode.name.lower()} frame on a unidirectional stream")

    def _violation(self, detail: str) -> None:
        if self.state in {"stopped", "failed"}:  # too late to end the stream, still an error
            self._incidents.error(StreamCode.PROTOCOL, detail)
        self._break(StreamFailed(StreamCode.PROTOCOL, detail))

    def _lost(self, error: Exception | None) -> None:
        self._server_done.set()
        if error is not None:
            self._break(StreamFailed(StreamCode.BROKEN_PIPE, f"{type(error).__name__}: {error}"))
        else:
            self._break(StreamFailed(StreamCode.SERVER_CLOSED, "the TCP connection ended without a close frame"))

    # the end

    def _break(self, failure: StreamFailed) -> None:
        """The connection failed; before the stream has begun the first such failure is kept until then."""
        if self._wire is None:
            self._early = self._early or failure
        else:
            self._fail(failure)

    def _fail(self, failure: StreamFailed) -> None:
        if self.state in {"connecting", "streaming"}:
            self.failure = failure
            self._incidents.error(failure.code, failure.detail)
            self._settle("failed")

    def _settle(self, state: StreamState) -> None:
        """No more audio: fix the state, leave the pacer, tell the owner. Only the first time counts."""
        if self.state in {"stopped", "failed"}:
            return
        loop = asyncio.get_running_loop()
        was, self.state = self.state, state
        self._stopped_at = loop.time()
        if self._beat is not None:
            pacer().remove(self._beat)
        if self.failure is not None:
            self._post("stream-error", self.failure)
        if was == "streaming" and (self.failure is None or self.faults.stopped_after_error):
            self._post("stream-stopped")
        self._over.set()
        self._opened.set()
        try:
            self._on_ended(self)
        except Exception as error:  # the owner's fault must not break the socket's end
            loop.call_exception_handler({"message": "on_ended of a stream failed", "exception": error})

    def _post(self, event: StreamEvent, failure: StreamFailed | None = None) -> None:
        if not self.faults.no_callbacks:
            self._callbacks.post(event, failure.reported(as_text=self.faults.error_text) if failure else None)

    def _drop(self) -> None:
        wire, dialling = self._wire, self._dialling
        if wire is None and dialling is not None and dialling.done() and not dialling.cancelled() and dialling.exception() is None:
            wire = dialling.result()  # the dial succeeded in the moment in which the stream was given up
        if wire is not None:
            wire.abort()

    async def _hang_up(self) -> None:
        wire = self._wire
        if wire is None or wire.closed.is_set():
            return
        if self._half_open:
            wire.abort()
        elif self.state == "stopped":
            if not (self.faults.close_at_stop or self.faults.no_stop):
                await _within(self.faults.close_wait_ms / 1000, self._server_done)
            wire.close(1000)
        else:
            wire.close(1002)
        if not await _within(_CLOSING, wire.closed):
            wire.abort()
            await _within(_CLOSING, wire.closed)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
