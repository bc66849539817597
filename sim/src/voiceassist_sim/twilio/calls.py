"""The account's calls and the streams forked from them, with the rules of who may be forked when; pure, with the time passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from .errors import TwilioError, bad_parameter, conflict, not_found
from .settings import Settings
from .sids import is_sid
from .stream_order import StreamOrder
from .streams.request import Recording

HangUp = Literal["recording"] | float | None
ENDED: Final = frozenset({"completed", "canceled", "failed", "busy", "no-answer"})
MAX_CALLS: Final = 10_000
"""Above this the oldest ended calls are forgotten."""


@dataclass(slots=True)
class ForkedStream:
    """One stream of a call; ``active`` until it was stopped, failed, or its call ended."""

    sid: str
    order: StreamOrder
    updated: float
    active: bool = True


@dataclass(slots=True)
class Call:
    """One call; times are epoch seconds, but ``began_playing``: the event loop's at which its recording began, ``None`` until it does.

    ``hang_up``: the call completes when the recording is over, or after so many seconds; ``None``: when somebody completes it.
    """

    sid: str
    recording: Recording
    created: float
    updated: float
    status: str
    from_number: str = "+15550100001"
    to_number: str = "+15550100002"
    started: float | None = None
    ended: float | None = None
    began_playing: float | None = None
    task_sid: str = ""
    hang_up: HangUp = None
    streams: dict[str, ForkedStream] = field(default_factory=dict)

    def active_streams(self) -> list[ForkedStream]:
        """The streams that run, oldest first."""
        return [stream for stream in self.streams.values() if stream.active]


class Calls:
    """All calls of an account.

    ``on_stop`` is called once for every stream that is ended from this side (stopped, or its call ended), ``on_ended`` once for every call.
    """

    def __init__(
        self,
        new_sid: Callable[[str], str],
        settings: Settings,
        *,
        on_stop: Callable[[ForkedStream], None],
        on_ended: Callable[[Call], None],
    ) -> None:
        self._new_sid = new_sid
        self._settings = settings
        self._on_stop = on_stop
        self._on_ended = on_ended
        self._calls: dict[str, Call] = {}

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def add(self, recording: Recording, now: float, *, status: str = "in-progress") -> Call:
        """A new call."""
        call = Call(self._new_sid("CA"), recording, now, now, "queued")
        self._calls[call.sid] = call
        self.set_status(call, status, now)
        if len(self._calls) > MAX_CALLS:
            self._forget()
        return call

    def get(self, sid: str, path: str = "") -> Call:
        """The call; 404/20404 if there is none."""
        try:
            return self._calls[sid]
        except KeyError:
            raise not_found(path or f"/Calls/{sid}") from None

    def set_status(self, call: Call, status: str, now: float) -> None:
        """Let a call change its state; when it ends, so do its streams. A call that is over stays so."""
        if call.status in ENDED:
            return
        call.status, call.updated = status, now
        if status == "in-progress" and call.started is None:
            call.started = now
        if status in ENDED:
            call.ended = now
            for stream in call.active_streams():
                self._end(stream, now)
            self._on_ended(call)

    def update_status(self, call: Call, status: str, now: float) -> None:
        """What REST asks for: ``completed`` ends a call, ``canceled`` only one not yet answered; 400/21220 if it is over.

        Raises TwilioError.
        """
        if call.status in ENDED:
            raise TwilioError(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status == "completed" or call.status in ("queued", "ringing"):
            self.set_status(call, status, now)

    def fork(self, call: Call, order: StreamOrder, now: float) -> ForkedStream:
        """A new stream.

        Refused: a call that is not in progress (404/20404), a name that an active stream of this call has (409/20409), and a stream with
        which more than four tracks of the call were forked (400/20001: the vendor's catalogue has no code for it).

        Raises TwilioError.
        """
        if call.status != "in-progress":
            if self._settings.lenient.ended_call_21220:
                raise TwilioError(400, 21220, "Call is not in-progress")
            raise TwilioError(404, 20404, f"Call {call.sid} is not in-progress")
        active = call.active_streams()
        if order.name and not self._settings.lenient.stream_name_reuse and any(stream.order.name == order.name for stream in active):
            raise conflict(f"An active stream of this call is already named {order.name[:80]!r}")
        most = self._settings.max_forked_tracks
        if sum(stream.order.tracks for stream in active) + order.tracks > most:
            raise bad_parameter(f"At most {most} tracks of a call can be forked at the same time")
        stream = ForkedStream(self._new_sid("MZ"), order, now)
        call.streams[stream.sid] = stream
        return stream

    def stop(self, call: Call, ref: str, now: float, path: str) -> ForkedStream:
        """Stop a stream by SID, or by name while it runs; 404/20404 if there is none that runs."""
        if is_sid(ref, "MZ"):
            found = call.streams.get(ref)
        else:
            named = [stream for stream in call.streams.values() if stream.order.name == ref]
            found = next((stream for stream in reversed(named) if stream.active), named[-1] if named else None)
        if found is None or not (found.active or self._settings.lenient.stop_stopped_stream):
            raise not_found(path)
        if found.active:
            self._end(found, now)
        return found

    @staticmethod
    def ended_by_itself(stream: ForkedStream, now: float) -> None:
        """A stream is over without anybody having stopped it: its socket failed, or was closed by the other side."""
        if stream.active:
            stream.active, stream.updated = False, now

    def _end(self, stream: ForkedStream, now: float) -> None:
        stream.active, stream.updated = False, now
        self._on_stop(stream)

    def _forget(self) -> None:
        for sid in [call.sid for call in self._calls.values() if call.status in ENDED][: MAX_CALLS // 10]:
            del self._calls[sid]
