"""SessionConnection: one socket to the model from dialling to its end: opening, settings, liveness. What is said over it is its owner's."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from voiceassist_crds.proxies import STRAIGHT, Proxies

from ..metrics.relay_metrics import RelayMetrics
from .core.failures import (
    FIELD_CODES,
    Failure,
    Passing,
    SessionFailed,
    from_close,
    from_error,
    from_refused_close,
    from_update,
    is_about_type,
    label,
)
from .core.limits import SessionLimits
from .core.liveness import Liveness
from .core.server_events import PASSED_OVER, USED, ErrorInfo, NotAnEvent, ServerEvent, decode
from .core.session_settings import SessionSettings
from .providers import Endpoint
from .websocket import Lost, ModelConnection, connect

UPDATE_ID = "va_update"
_ABOUT_WHAT_WE_SENT = frozenset({1002, 1003, 1007, 1008, 1009, 1011})
"""Close codes that what was sent can be the cause of (RFC 6455, 7.4.1)."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Over:
    """Why a connection ended: a label for the metrics, and what it means for the call."""

    label: str
    failure: Failure


class NotTaken(Exception):
    """The server refused something that can be done without: `what` is `turn_detection` (we commit, then) or `type` (of the session)."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


class SessionConnection:
    """One session's socket. After `open` every event goes to `on_event`; `on_over` is called once when it dies by itself."""

    def __init__(self, settings: SessionSettings, metrics: RelayMetrics, limits: SessionLimits, on_over: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        """The settings that it was opened with."""
        self.live = Liveness(limits, loop.time())
        self.over: Over | None = None
        life = settings.model.session_seconds
        self._longest = limits.session_life if life is None else float(life)
        self.expires_in = self._longest
        """Seconds of life from its opening on."""
        self.transcribed_by: str | None = None
        """The model that writes down, as the server said when the settings came into force."""
        self.opened_at = loop.time()
        self.on_event: Callable[[ServerEvent, float], None] | None = None
        self.on_writable: Callable[[bool], None] | None = None
        self.on_acknowledged: Callable[[], None] | None = None
        """Called when the server has answered a ping."""
        self.writable = True
        """Whether the socket takes bytes; if not it holds some back."""
        self._metrics = metrics
        self._limits = limits
        self._on_over = on_over
        self._time = loop.time
        self._connection: ModelConnection | None = None
        self._ready: asyncio.Future[None] = loop.create_future()
        self._transcribes = False
        self.refused_audio = False
        """Whether the server closed a session that stood as one does that cannot take what it was sent."""
        self._refusal: ErrorInfo | None = None
        """The latest error that the server sent before the session stood."""

    async def open(self, endpoint: Endpoint, update: bytes, tls: ssl.SSLContext | None, proxies: Proxies = STRAIGHT) -> None:
        """Dials, sends the settings and waits until they are in force. Raises SessionFailed or NotTaken."""
        try:
            self._connection = await connect(endpoint, self, self._limits, tls, proxies)
            self.opened_at = self._time()
            self._transcribes = b'"type":"transcription"' in update
            self._connection.send(update)
            async with asyncio.timeout(self._limits.update):
                await self._ready
        except TimeoutError:
            self.abort()
            failure = Passing("no session.updated")
            raise SessionFailed(failure if self._refusal is None else from_close(None, "", self._refusal)) from None
        except BaseException:
            self.abort()
            raise

    # what the connection reports

    def message(self, data: bytes) -> None:
        """One message of the server. Nothing that it says may break more than this connection."""
        try:
            event = decode(data)
        except NotAnEvent:
            self._metrics.unknown("model")
            return
        if event.type not in USED:
            if event.type not in PASSED_OVER:
                self._metrics.unknown("model")
            return
        now = self._time()
        try:
            if self._ready.done():
                if self.on_event is not None:
                    self.on_event(event, now)
            else:
                self._setting_up(event)
        except Exception:
            _log.exception("model_event_failed", type=event.type)
            self._end(Over("error", Passing("error")))

    def acknowledged(self) -> None:
        """The server answered a ping: what was sent before that ping it has read, which is not to say that it has worked on it."""
        if self._connection is not None:
            self.live.heard(self._connection.heard_at)
        if self.on_acknowledged is not None:
            self.on_acknowledged()

    def on_buffer(self, yes: bool) -> None:
        """The socket's buffer ran full, or took up again."""
        self.writable = yes
        if self.on_writable is not None:
            self.on_writable(yes)

    def lost(self, lost: Lost) -> None:
        """The socket is gone."""
        stood = self._ready.done()
        self.refused_audio = stood and lost.code in _ABOUT_WHAT_WE_SENT
        failure = from_close(lost.code, lost.reason) if stood else from_refused_close(lost.code, lost.reason, self._refusal)
        self._end(Over(failure.label if isinstance(failure, Passing) else "error", failure))

    # what the owner does

    def send(self, message: bytes) -> None:
        """Writes one client event; nothing once the connection is over."""
        if self._connection is not None and self.over is None:
            self._connection.send(message)

    @property
    def writer(self) -> Callable[[bytes], None]:
        """The hot path: takes frames that are masked already, without a step between.

        Raises RuntimeError before the connection is open.
        """
        if self._connection is None:
            raise RuntimeError("the connection is not open")
        return self._connection.writer

    def check(self, now: float) -> None:
        """Once a second: ping, and whether what is expected came."""
        if self._connection is None or self.over is not None or not self._ready.done():
            return
        self.live.heard(self._connection.heard_at)
        missing = self.live.overdue(now)
        if missing is not None:
            _log.info("model_stalled", missing=missing)
            self._end(Over("stalled", Passing("stalled")))
        elif self.live.ping_due(now):
            self._connection.ping()

    def kill(self) -> None:
        """Ends it at once, with all that the socket still holds, and tells the owner."""
        self._end(Over("closed", Passing("closed")))

    def abort(self) -> None:
        """Ends it at once; the owner hears no more."""
        if self.over is None:
            self.over = Over("closed", Passing("closed"))
        if self._connection is not None:
            self._connection.abort()

    async def close(self) -> None:
        """Ends it politely; the owner hears no more."""
        if self.over is None:
            self.over = Over("closed", Passing("closed"))
        if self._connection is not None:
            await self._connection.close()

    @property
    def heard_at(self) -> float:
        """Loop time of the last byte from the server."""
        return self.opened_at if self._connection is None else self._connection.heard_at

    # inside

    def _setting_up(self, event: ServerEvent) -> None:
        if event.session is not None and event.session.expires_at is not None:
            # epoch seconds of the server's clock; a life that makes no sense is not believed
            left = event.session.expires_at - time.time()
            if 0 < left < self._longest:
                self.expires_in = left
        if event.type == "session.updated":
            self.transcribed_by = event.session.transcribed_by if event.session is not None else None
            self._ready.set_result(None)
        elif event.type == "error" and event.error is not None:
            error = event.error
            self._refusal = error
            self._metrics.model_error(label(error.code, error.type))
            about_settings = error.event_id == UPDATE_ID or error.code in FIELD_CODES
            if about_settings and "urn detection is not supported" in (error.message or ""):
                self._ready.set_exception(NotTaken("turn_detection"))
            elif about_settings and self._transcribes and is_about_type(error):
                self._ready.set_exception(NotTaken("type"))
            elif (failure := from_error(error)) is not None:
                self._ready.set_exception(SessionFailed(failure))
            elif about_settings:
                self._ready.set_exception(SessionFailed(from_update(error)))

    def _end(self, over: Over) -> None:
        if self.over is not None:
            return
        self.over = over
        if self._connection is not None:
            self._connection.abort()
        if not self._ready.done():
            self._ready.set_exception(SessionFailed(over.failure))
        else:
            self._on_over()
