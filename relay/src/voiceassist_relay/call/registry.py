"""The calls of this relay: places, live calls, and what happens when one ends. One call's failure touches no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.names import CallSid
from voiceassist_crds.reasons import Refusal

from ..budget_count import Level
from ..interfaces import CallSink, MediaConnection, StreamStart
from ..logs import call_hash
from ..metrics.relay_metrics import RelayMetrics

REMEMBERED_CALLS = 1000
"""So many of the last calls are known to have been here; the oldest is forgotten."""

log = structlog.get_logger("voiceassist.calls")


class Bridge(CallSink, Protocol):
    """A call from its verified `start` until its last suggestion is stored."""

    start: StreamStart

    @property
    def over(self) -> bool:
        """Whether the stream has ended; what is finished may still be on its way to Sync."""

    @property
    def in_force(self) -> bool:
        """Whether the call is this relay's: not while another one has still to hand it over."""

    async def run(self) -> None:
        """Carries the call to its end, flush included."""

    def replaced(self) -> None:
        """A newer connection of the same call has come; this one ends without changing the call's Document."""

    def hang_up(self, reason: str) -> None:
        """The relay ends the call's assist: closes the stream and flushes."""

    def pause(self) -> None:
        """No audio goes to the model any more."""

    def resume(self) -> None:
        """Audio goes to the model again."""

    def refresh(self) -> None:
        """The call's Document has changed."""

    @property
    def heard_at(self) -> float:
        """When the latest bytes of the stream came, in seconds of the loop's clock."""

    def check_owner(self) -> None:
        """The stream has been silent: the call may be another relay's by now."""

    def use(self, config: RelayConfig) -> None:
        """A new configuration is in force."""

    @property
    def answering(self) -> bool:
        """Whether a response of the model is asked for or under way."""

    def allow(self, level: Level) -> None:
        """What the budget leaves of the call."""


BeginCall = Callable[[StreamStart, MediaConnection], Bridge]


class _Nowhere:
    """Takes the frames of a connection that lost against a newer generation."""

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        pass

    def ended(self, reason: str) -> None:
        pass


class Registry:
    """Implements `interfaces.Calls` for the media side."""

    def __init__(self, begin: BeginCall, metrics: RelayMetrics, max_calls: Callable[[], int]) -> None:
        self._begin, self._metrics, self._max_calls = begin, metrics, max_calls
        self._calls: dict[CallSid, Bridge] = {}
        self._tasks: dict[asyncio.Task[None], Bridge] = {}
        self._had: dict[CallSid, None] = {}
        self._refusals: dict[str, Refusal] = {}
        self._reserved = 0
        self.refusing = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        """Calls that are not over yet, flushing ones included."""
        return len(self._tasks)

    def __iter__(self) -> Iterator[Bridge]:
        return iter(list(self._calls.values()))

    @property
    def full(self) -> bool:
        """Whether another call would be one too many."""
        return len(self._tasks) + self._reserved >= self._max_calls()

    def reserve(self) -> bool:
        """Takes a place before an upgrade; False when full."""
        if self.full:
            return False
        self._reserved += 1
        return True

    def release(self) -> None:
        """Gives a reserved place back."""
        self._reserved -= 1

    def refused(self, call_sid: CallSid, refusal: Refusal) -> None:
        """A stream of this call was not let in, or was sent away. Of so many calls the latest reason is known."""
        self._refusals.pop(call_sid, None)
        self._refusals[call_sid] = refusal
        if len(self._refusals) > REMEMBERED_CALLS:
            del self._refusals[next(iter(self._refusals))]

    def refusal(self, call_sid: str) -> Refusal | None:
        """Why a stream of this call was last refused here."""
        return self._refusals.get(call_sid)

    def open(self, start: StreamStart, connection: MediaConnection) -> CallSink:
        """Begins a call on a reserved place.

        Of two connections of one call the higher generation wins. Of two of one generation the newer wins if it carries the same
        stream; a second stream of a generation that is live is nobody's, and is sent away.
        """
        self._reserved -= 1
        old = self._calls.get(start.call_sid)
        if old is not None and not old.over:
            theirs, ours = start.claims.generation, old.start.claims.generation
            if theirs < ours or (theirs == ours and start.stream_sid != old.start.stream_sid):
                connection.close(1008, "superseded")
                return _Nowhere()
            old.replaced()
        bridge = self._begin(start, connection)
        self._calls[start.call_sid] = bridge
        self._remember(start.call_sid)
        task = asyncio.get_running_loop().create_task(bridge.run(), name=f"call {call_hash(start.call_sid)}")
        self._tasks[task] = bridge
        self._empty.clear()
        task.add_done_callback(self._done)
        self._metrics.active_calls.set(len(self._tasks))
        return bridge

    def _done(self, task: asyncio.Task[None]) -> None:
        bridge = self._tasks.pop(task)
        if self._calls.get(bridge.start.call_sid) is bridge:
            del self._calls[bridge.start.call_sid]
        self._metrics.active_calls.set(len(self._tasks))
        if not self._tasks:
            self._empty.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("call failed", call=call_hash(bridge.start.call_sid), error=type(error).__name__, exc_info=error)
            bridge.hang_up("error")

    def find(self, call_sid: str) -> Bridge | None:
        """The live call with this SID, if its audio is here; not one that only flushes, nor one that another relay has still."""
        bridge = self._calls.get(CallSid(call_sid))
        return None if bridge is None or bridge.over or not bridge.in_force else bridge

    def here(self) -> list[str]:
        """The SIDs of the live calls whose audio is here, newest first."""
        return [sid for sid, bridge in reversed(self._calls.items()) if not bridge.over and bridge.in_force]

    def coming(self, call_sid: str) -> bool:
        """Whether the call's next stream is here, and another relay has still to hand the call over."""
        bridge = self._calls.get(CallSid(call_sid))
        return bridge is not None and not bridge.over and not bridge.in_force

    def had(self, call_sid: str) -> bool:
        """Whether this process has or had the call's audio, among the last calls: then it counts, or has counted, its end."""
        return call_sid in self._had

    def _remember(self, call_sid: CallSid) -> None:
        self._had.pop(call_sid, None)
        self._had[call_sid] = None
        if len(self._had) > REMEMBERED_CALLS:
            del self._had[next(iter(self._had))]

    def use(self, config: RelayConfig) -> None:
        """A new configuration is in force. A call that cannot take it ends; the others go on."""
        for bridge in list(self._calls.values()):
            try:
                bridge.use(config)
            except Exception:
                log.exception("call failed", call=call_hash(bridge.start.call_sid))
                bridge.hang_up("error")

    @property
    def answering(self) -> int:
        """Calls for which a response of the model is asked for or under way."""
        return sum(bridge.answering for bridge in self._calls.values())

    def allow(self, level: Level) -> None:
        """What the budget leaves of every call."""
        for bridge in list(self._calls.values()):
            try:
                bridge.allow(level)
            except Exception:
                log.exception("call failed", call=call_hash(bridge.start.call_sid))
                bridge.hang_up("error")

    async def wait_empty(self, timeout: float) -> bool:
        """Waits until no call is left, at most `timeout` seconds; tells whether none is."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def hang_up(self, reason: str, *, but: Callable[[str], bool] = lambda _: False) -> None:
        """Ends every call `but` those."""
        for bridge in list(self._tasks.values()):
            if not but(bridge.start.call_sid):
                bridge.hang_up(reason)

    async def hang_up_all(self, reason: str, grace: float) -> None:
        """Ends every call; after `grace` seconds what is left is cancelled."""
        self.hang_up(reason)
        if not await self.wait_empty(grace):
            tasks = list(self._tasks)
            log.warning("calls cancelled that did not end in time", calls=len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
