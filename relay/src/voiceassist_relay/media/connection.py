"""One media websocket: bytes in, audio to the call's sink, and nothing to Twilio but pings, pongs and a close.

uvicorn hands the connection over with the upgrade request's bytes. `websockets`' sans-I/O object does the handshake and all
that is not plain audio; what is decided is decided by admission (before `101`) and by the stream's protocol (after it). Reading
never pauses: a relay that reads slowly makes Twilio throw audio away (31930).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.server import ServerProtocol

from voiceassist_crds.config import Checks
from voiceassist_crds.names import PROBE_HEADER, CallSid
from voiceassist_crds.reasons import Refusal

from ..config.snapshot import CurrentSnapshot
from ..interfaces import Calls, CallSink
from ..logs import call_hash
from ..metrics.relay_metrics import RelayMetrics
from ..rate_limits import Rate, TokenBucket
from .admission import UPGRADES, Admitted, Denied, Load, Probed, Upgrade, admit, denied
from .frame_decoder import MAX_MESSAGE_BYTES, OTHER_MESSAGES, OTHER_MESSAGES_PER_SECOND, FrameDecoder
from .stream import Audio, Ignored, Note, Opening, Received, Refused, StartTerms, Stopped, StreamProtocol

SIGNATURE_HEADER = "X-Twilio-Signature"
_LOOK_AGAIN = 20.0
"""Seconds after which a stream that sends no pings looks whether the configuration wants some now."""
_OTHERS = Rate(OTHER_MESSAGES_PER_SECOND, OTHER_MESSAGES)
UNREAD_BYTES = 65_536
"""Pings and pongs that a peer may leave unread before it is dropped."""

_CLOSE_CODES = {
    Refusal.BINARY: CloseCode.UNSUPPORTED_DATA,
    Refusal.NOT_UTF8: CloseCode.INVALID_DATA,
    Refusal.TOO_BIG: CloseCode.MESSAGE_TOO_BIG,
    Refusal.PROTOCOL_ERROR: CloseCode.PROTOCOL_ERROR,
    Refusal.INTERNAL_ERROR: CloseCode.INTERNAL_ERROR,
}

_BY_THE_BRIDGE = frozenset({Refusal.REPLACED.value, Refusal.SUPERSEDED.value})

log = structlog.get_logger("voiceassist.media")
_silent = logging.Logger("voiceassist.media.wire", logging.CRITICAL + 1)
"""`websockets` would log each connection; refusals are ours to log, and the rest is the call's story."""


@dataclass(frozen=True, slots=True)
class MediaTimes:
    """Bounds on waiting, in seconds.

    `idle` is long on purpose: whether Twilio sends frames on silence, mute or hold is not documented, so a quiet stream is no
    dead stream. A dead peer is noticed by TCP keepalive, which the server sets on every socket; `idle` only ends what a proxy
    keeps open for ever.
    """

    start: float = 10.0
    close: float = 5.0
    idle: float = 3600.0


def _unnoticed() -> None:
    """For an event loop that does not want to know of frames."""


@dataclass(frozen=True, slots=True)
class MediaDependencies:
    """What all media connections of a process share."""

    current: CurrentSnapshot
    calls: Calls
    metrics: RelayMetrics
    times: MediaTimes
    clock: Callable[[], float]
    epoch: Callable[[], float]
    upgrades: TokenBucket
    lines: TokenBucket = field(default_factory=lambda: TokenBucket(Rate(5, 50)))
    """Log lines about refusals; further ones are only counted in the metric."""
    came: Callable[[], None] = _unnoticed
    """Told of each piece of what a stream sends."""


def media_protocol(
    current: CurrentSnapshot,
    calls: Calls,
    metrics: RelayMetrics,
    *,
    times: MediaTimes | None = None,
    upgrades: Rate = UPGRADES,
    clock: Callable[[], float] = time.monotonic,
    epoch: Callable[[], float] = time.time,
    came: Callable[[], None] = _unnoticed,
) -> type[asyncio.Protocol]:
    """The class for `uvicorn.Config(ws=...)`. `upgrades`: how many are looked at per second, and at once; `came`: told of each frame.

    `clock` gives the moments of frames: it must run as the loop's own does (seconds of the monotonic clock; uvloop's `time()`
    itself stands still during a callback). `epoch` is for expiry only.
    """
    needs = MediaDependencies(current, calls, metrics, times or MediaTimes(), clock, epoch, TokenBucket(upgrades), came=came)

    class BoundMediaSocket(MediaSocket):
        """A media websocket of this process."""

        __slots__ = ()

        def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: asyncio.AbstractEventLoop | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
            super().__init__(needs, server_state.connections)

    return BoundMediaSocket


class MediaSocket(asyncio.Protocol):
    """A websocket from its upgrade request to its end. Also the `MediaConnection` that the bridge closes."""

    __slots__ = (
        "_call_sid",
        "_came",
        "_clock",
        "_closing",
        "_connections",
        "_deaf",
        "_decoder",
        "_last",
        "_loop",
        "_needs",
        "_opening",
        "_others",
        "_pinger",
        "_reserved",
        "_settled",
        "_sink",
        "_stream",
        "_timer",
        "_transport",
        "_wire",
    )

    def __init__(self, needs: MediaDependencies, connections: set[Any]) -> None:
        self._needs = needs
        self._clock = needs.clock
        self._came = needs.came
        self._connections = connections
        self._opening: ServerProtocol | None = ServerProtocol(max_size=MAX_MESSAGE_BYTES, logger=_silent)
        self._wire: Protocol = self._opening
        self._decoder: FrameDecoder | None = None  # there after 101
        self._stream: StreamProtocol | None = None  # there after 101, unless it is a probe
        self._call_sid: CallSid | None = None
        self._sink: CallSink | None = None
        self._reserved = False  # a place is reserved that has not become a call
        self._settled = False  # the upgrade's outcome is counted
        self._deaf = False  # what still arrives has no effect
        self._closing = False  # we have begun the closing handshake
        self._others = TokenBucket(_OTHERS)
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pinger: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection over from the HTTP protocol."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports derive from no class of asyncio
        self._loop = asyncio.get_running_loop()
        self._connections.add(self)
        self._arm(self._needs.times.start, self._start_overdue)

    def data_received(self, data: bytes) -> None:
        """Frames, after the request's head. No await and no log line between here and the sink."""
        decoder = self._decoder
        if decoder is None:
            self._handshake(data)
            return
        clock, came = self._clock, self._came  # what is kept in an attribute is called by a name: `self.x()` is looked up anew each time
        arrived = self._last = clock()
        came()
        messages = decoder.feed(data)
        stream = self._stream
        if stream is not None and not self._deaf:
            try:
                for message in messages:
                    event = stream.receive(message)
                    if type(event) is Audio and (sink := self._sink) is not None:
                        frame = sink.frame
                        frame(event.inbound, event.payload, arrived)
                        if event.lost or event.hole or event.unknown_fields:
                            self._remark(event)
                    else:
                        self._take(stream, event, arrived)
                    if self._deaf:
                        break
            except Exception:
                log.exception("stream failed", call=self._tag)
                self._refuse(Refusal.INTERNAL_ERROR)
        if decoder.touched:
            decoder.touched = False
            decoder.grant(arrived)
            self._answered(decoder)

    def eof_received(self) -> None:
        """The peer sends no more; the transport closes itself."""
        self._gone()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is gone, whoever ended it."""
        self._connections.discard(self)
        self._disarm()
        if self._pinger is not None:
            self._pinger.cancel()
            self._pinger = None
        self._gone()

    def shutdown(self) -> None:
        """uvicorn asks every connection to end. A call goes on: the relay's drain decides when it ends."""

    # the bridge's side

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake; idempotent. The sink hears `ended("closed")` when the connection is over."""
        if not self._closing and reason in _BY_THE_BRIDGE:
            self._settle(Refusal(reason))
        self._close(code, reason)

    def position(self, inbound: bool) -> int:
        """Where a track's audio so far ends on the stream's clock, in ms; -1 where that is not known."""
        return -1 if self._stream is None else self._stream.position(inbound)

    @property
    def heard_at(self) -> float:
        """When the latest bytes came, in seconds of the loop's clock."""
        return self._last

    # before 101

    def _handshake(self, data: bytes) -> None:
        wire, needs = self._opening, self._needs
        if self._deaf or wire is None:
            return
        wire.receive_data(data)
        request = next((event for event in wire.events_received() if isinstance(event, Request)), None)
        if request is None:
            if wire.handshake_exc is not None:
                self._deny(wire, denied(Refusal.BAD_HANDSHAKE))
            return
        upgrade = Upgrade(request.path, tuple(request.headers.get_all(SIGNATURE_HEADER)))
        decision = admit(
            upgrade,
            needs.current(),
            Load(needs.calls.full, needs.calls.refusing),
            needs.upgrades,
            needs.clock(),
        )
        if isinstance(decision, Denied):
            self._deny(wire, decision)
            return
        call_sid = decision.call_sid if isinstance(decision, Admitted) else None
        response = wire.accept(request)
        if response.status_code != 101:
            self._deny(wire, Denied(Refusal.BAD_HANDSHAKE, response.status_code, call_sid=call_sid), response)
            return
        if call_sid is not None and not needs.calls.reserve():
            self._deny(wire, denied(Refusal.FULL, call_sid))
            return
        self._call_sid, self._reserved = call_sid, call_sid is not None
        if isinstance(decision, Probed) and decision.answer:
            response.headers[PROBE_HEADER] = decision.answer
        wire.send_response(response)
        self._flush()
        self._opening, self._wire = None, Protocol(SERVER, max_size=MAX_MESSAGE_BYTES, logger=_silent)  # the request's head is not kept
        self._decoder = FrameDecoder(self._wire)
        if isinstance(decision, Probed):
            self._settle(Refusal.PROBE)
            self._close(CloseCode.NORMAL_CLOSURE, "")
        else:
            self._stream = StreamProtocol()

    def _deny(self, wire: ServerProtocol, decision: Denied, response: Response | None = None) -> None:
        self._call_sid = decision.call_sid
        self._refused(decision.refusal, decision.status)
        if response is None:
            response = wire.reject(decision.status, f"{decision.refusal}\n{decision.detail}")
        if decision.retry_after is not None:
            response.headers["Retry-After"] = str(decision.retry_after)
        self._deaf = True
        self._transport.write(response.serialize())
        self._transport.close()
        self._arm(self._needs.times.close, self._transport.abort)

    # after 101

    def _remark(self, audio: Audio) -> None:
        if audio.lost:
            self._needs.metrics.gap("sequence", audio.lost)
        if audio.hole:
            self._needs.metrics.gap("timestamp")
        self._unknown(audio.unknown_fields)

    def _take(self, stream: StreamProtocol, event: Received, arrived: float) -> None:
        """All that is no audio."""
        match event:
            case Opening():
                self._unknown(event.unknown_fields)
                self._open(stream, event)
            case Stopped():
                self._unknown(event.unknown_fields)
                if event.lost:
                    self._needs.metrics.gap("sequence", event.lost)
                self._end("stop")
                self._close(CloseCode.NORMAL_CLOSURE, "stop")
            case Refused():
                self._refuse(event.refusal)
            case Ignored():
                if not self._others.take(arrived):
                    self._refuse(Refusal.TOO_MANY)
                    return
                self._unknown(event.unknown_fields)
                if event.note is Note.EXPECTED:
                    return
                if event.inbound is not None:
                    self._needs.metrics.frames("customer" if event.inbound else "agent", event.note.value)
                elif event.note is not Note.DUPLICATE:
                    self._unknown(1)

    def _open(self, stream: StreamProtocol, opening: Opening) -> None:
        needs, call_sid = self._needs, self._call_sid
        if call_sid is None:
            return
        snapshot = needs.current()
        config = snapshot.config
        terms = StartTerms(call_sid, config.twilio.account_sid, snapshot.secrets.auth_tokens, config.checks is not Checks.OFF)
        start = stream.accept(opening, terms, needs.epoch())
        if isinstance(start, Refused):
            self._refuse(start.refusal)
            return
        self._reserved = False  # the place is the registry's from here on, whatever comes of it
        self._sink = needs.calls.open(start, self)
        if not self._closing:
            self._settle(Refusal.ACCEPTED)
            self._arm(needs.times.idle, self._look)
            self._ping_later()

    def _answered(self, decoder: FrameDecoder) -> None:
        """The sans-I/O object took part: send its pongs or its close, and note an end."""
        if decoder.failure is not None and not self._deaf:
            self._refuse(decoder.failure)
        elif decoder.closed:
            self._gone()
            self._close(CloseCode.NORMAL_CLOSURE, "")
        self._flush()
        if self._transport.get_write_buffer_size() > UNREAD_BYTES:
            self._transport.abort()

    def _start_overdue(self) -> None:
        if self._opening is not None:
            self._deny(self._opening, Denied(Refusal.BAD_HANDSHAKE, 408))
        else:
            self._refuse(Refusal.START_TIMEOUT)

    def _look(self) -> None:
        """Looks whether anything came lately; cheaper than a timer that every frame moves."""
        left = self._last + self._needs.times.idle - self._needs.clock()
        if left > 0:
            self._arm(left, self._look)
        else:
            self._end("idle")
            self._close(CloseCode.NORMAL_CLOSURE, "idle")

    # ends

    def _refuse(self, refusal: Refusal) -> None:
        """Ends a stream for a fault of the peer's, or of ours; a second fault changes nothing."""
        if self._deaf:
            return
        code = _CLOSE_CODES.get(refusal, CloseCode.POLICY_VIOLATION)
        self._refused(refusal, code)
        self._end(refusal.value)
        self._close(code, refusal.value)

    def _refused(self, refusal: Refusal, status: int) -> None:
        self._settled = True
        self._needs.metrics.upgrade(refusal)
        if self._call_sid is not None:
            self._needs.calls.refused(self._call_sid, refusal)
        if self._needs.lines.take(self._needs.clock()):
            log.info("stream refused", reason=refusal.value, status=int(status), call=self._tag)

    def _gone(self) -> None:
        """The connection is over: an end of the call, or of an upgrade that never became one."""
        if not self._settled and self._decoder is not None:
            self._refused(Refusal.GONE, CloseCode.ABNORMAL_CLOSURE)
        self._deaf = True
        self._end("closed" if self._closing else "socket")

    def _close(self, code: int, reason: str) -> None:
        if self._closing:
            return
        self._closing = self._deaf = True
        if self._wire.state is OPEN:
            self._wire.send_close(code, reason.encode()[:123].decode(errors="ignore"))
        self._flush()
        self._arm(self._needs.times.close, self._transport.abort)

    def _end(self, reason: str) -> None:
        self._release()
        sink, self._sink = self._sink, None
        if sink is not None:
            self._deaf = True
            sink.ended(reason)

    def _release(self) -> None:
        if self._reserved:
            self._reserved = False
            self._needs.calls.release()

    def _settle(self, outcome: Refusal) -> None:
        self._settled = True
        self._needs.metrics.upgrade(outcome)

    # small things

    @property
    def _tag(self) -> str:
        return call_hash(self._call_sid) if self._call_sid else ""

    def _unknown(self, count: int) -> None:
        for _ in range(count):
            self._needs.metrics.unknown("twilio")

    def _flush(self) -> None:
        for chunk in self._wire.data_to_send():
            if self._transport.is_closing():
                return
            if chunk:
                self._transport.write(chunk)
            elif self._transport.can_write_eof():
                with contextlib.suppress(OSError):
                    self._transport.write_eof()

    def _arm(self, seconds: float, action: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, action)

    def _ping_later(self) -> None:
        seconds = self._needs.current().config.limits.stream_ping_seconds
        self._pinger = self._loop.call_later(seconds or _LOOK_AGAIN, self._ping, bool(seconds))

    def _ping(self, wanted: bool) -> None:
        """A sign of life for the proxies between. Whether a pong comes is not looked at: Twilio does not say that it sends any."""
        if self._closing or self._wire.state is not OPEN:
            return
        if wanted and self._transport.get_write_buffer_size() < UNREAD_BYTES:
            self._wire.send_ping(b"")
            self._flush()
        self._ping_later()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
