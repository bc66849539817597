"""Streams that die: started again by themselves, or the agent is told.

Who notices: the relay whose socket was cut; Twilio by a status callback, which any relay may get, late, twice or not at all; and other
relays, which see that one is gone. The Document decides what it means; doing it twice harms nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import is_call_sid

from ..errors import RequestRefused, TwilioError, UnknownCallState
from ..logs import call_hash
from ..sync.agent_status import CALL_ENDED, CUT, LOST, NOT_CONNECTED, AgentStatus, Told
from ..sync.call_documents import CONFLICTS, CallDocuments, Seen
from ..sync.document_rules import Ignore, Restart, TellAgent, call_over, did_not_come, stream_cut, stream_died, under_way
from ..sync.document_rules import owner_gone as by_owner
from ..sync.move_rules import in_gap
from ..twilio.call_streams import TwilioStreams
from .dependencies import FunctionDependencies
from .peer_relays import Asked, PeerRelays
from .relay_watch import Awaited
from .start import SUPERSEDED, StreamStarter

STOPPED_EVENT: Final = "stream-stopped"
ERROR_EVENT: Final = "stream-error"
CUT_EVENT: Final = "cut"
"""None of Twilio's: this relay lost the socket."""
GONE_EVENT: Final = "gone"
"""None of Twilio's: the relay that had the call is no more; its address is where a stream's error is told else."""
WARNING: Final = "31930"
"""Twilio threw audio away because we read too slowly; the stream goes on."""
LATE_SECONDS: Final = 60.0
"""A moment longer ago, or still to come, is of a clock that differs: what it tells does not count."""
MAX_REMEMBERED: Final = 4096
AT_ONCE: Final = 16
"""Calls for which this relay asks Twilio at the same time: a relay that dies with 150 sends as many callbacks in one moment."""

log = structlog.get_logger("voiceassist.functions")


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """What a callback says."""

    account: str
    call_sid: str
    stream_name: str
    event: str
    error: str
    since: float = 0.0
    """Epoch seconds of the event by whoever saw it; for GONE_EVENT when that relay last answered. 0: not known."""

    @property
    def matters(self) -> bool:
        """Whether it can change anything."""
        return self.event in {STOPPED_EVENT, ERROR_EVENT} and not self.error.startswith(WARNING) and is_call_sid(self.call_sid)


def read_event(form: dict[str, str]) -> StreamEvent:
    """The callback's fields that count; missing ones are empty."""

    def text(name: str) -> str:
        return form.get(name, "")[:400]

    return StreamEvent(
        text("AccountSid"), text("CallSid"), text("StreamName"), text("StreamEvent"), text("StreamError"), _epoch(text("Timestamp"))
    )


def _epoch(timestamp: str) -> float:
    """ISO 8601, with an offset, as epoch seconds; 0 for anything else."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return 0.0
    return moment.timestamp() if moment.tzinfo is not None else 0.0


class StreamCallbacks:
    """Works on callbacks in the background, each once."""

    def __init__(
        self,
        deps: FunctionDependencies,
        documents: CallDocuments,
        streams: TwilioStreams,
        status: AgentStatus,
        peers: PeerRelays,
        starts: StreamStarter,
        suspect: Callable[[str], None],
    ) -> None:
        """`suspect` is told the address of a relay where nothing listens, and which had a stream that has died."""
        self._deps, self._documents, self._streams = deps, documents, streams
        self._status, self._peers, self._starts, self._suspect = status, peers, starts, suspect
        self._known: OrderedDict[str, None] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._cut: set[StreamEvent] = set()

    def accept(self, event: StreamEvent, idempotency_token: str) -> bool:
        """Takes a verified callback; False when there is too much to do. One that was seen here before changes nothing."""
        if not event.matters or event.account != self._deps.current().config.twilio.account_sid:
            return True
        token = idempotency_token[:100]
        if token and token in self._known:
            return True
        if not self._deps.background.spawn("stream callback", self._handle(event)):
            return False
        if token:
            self._known[token] = None
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return True

    def cut(self, call_sid: str, stream_name: str) -> bool:
        """This relay lost the socket of a live stream that nobody had asked to end; False when there is too much to do."""
        account = self._deps.current().config.twilio.account_sid
        event = StreamEvent(account, call_sid, stream_name, CUT_EVENT, "", self._deps.now())
        return self._deps.background.spawn("stream cut", self._after_cut(event))

    def awaited(self) -> list[str]:
        """The SIDs of the calls whose streams were cut here, and whose next ones this relay sees to still."""
        return list(dict.fromkeys(event.call_sid for event in self._cut))

    async def owner_gone(self, call_sid: str, owner: str, since: float) -> Awaited | None:
        """The relay `owner` (host:port) had this call, and is no more since then (epoch seconds): it is started again. Returns the stream
        that is awaited then, asked for by this or by a callback that was quicker: it too may be led to the relay that is no more."""
        event = StreamEvent(self._deps.current().config.twilio.account_sid, call_sid, "", GONE_EVENT, owner, since)
        try:
            if (again := await self._work_on(event)) is not None:
                return _awaited(again)
            seen = await self._documents.read(call_sid)
            if seen is not None and seen.document.state is CallState.LIVE and seen.document.owner == owner:
                return Awaited(0, self._deps.now())  # others wrote again and again meanwhile
            return _awaited(seen.document) if seen else None
        except UnknownCallState:
            return Awaited(0, self._deps.now())  # a newer relay is about something with it, or was, when it died
        except (TwilioError, RequestRefused) as error:
            log.error("call of a relay that is gone not started again", call=call_hash(call_sid), error=str(error))
            return Awaited(0, self._deps.now())

    async def not_there_yet(self, call_sid: str, generation: int) -> Awaited | None:
        """Asks for another stream if that of `generation` is at no relay yet. Returns what is awaited then: the new one, or one that
        somebody else asked for; the same, from now on, if it could not be done."""

        def decide(found: CallDocument | None) -> CallDocument | None:
            return did_not_come(found, generation, call_sid=call_sid, now=self._deps.now())

        try:
            seen = await self._documents.read(call_sid)
            if seen is None or decide(seen.document) is None:
                return _awaited(seen.document) if seen is not None else None  # it need not wait until others have been asked for
            async with self._slots:
                before, document = await self._documents.settle(call_sid, decide, lambda wanted: wanted)
                if before is None or document is None:
                    return _awaited(before) if before is not None else None
                await self._streams.stop_quietly(call_sid, before.stream_name)
                await self._restart(call_sid, document)
        except UnknownCallState:
            return None
        except (TwilioError, RequestRefused) as error:
            log.error("call of a relay that is gone not started again", call=call_hash(call_sid), error=str(error))
            return Awaited(generation, self._deps.now())
        return _awaited(document)

    async def _after_cut(self, event: StreamEvent) -> None:
        """While this is under way, other relays are told of the call: they go on with it if this one is gone."""
        self._cut.add(event)
        ends = False
        try:
            await self._handle(event)
        except asyncio.CancelledError:
            ends = True  # the whole relay does, and may be asked once more
            raise
        finally:
            if not ends:
                self._cut.discard(event)

    async def _handle(self, event: StreamEvent) -> None:
        try:
            again = await self._work_on(event)
            if event.event == CUT_EVENT and again is not None and (awaited := _awaited(again)) is not None:
                await self._until_it_comes(event.call_sid, awaited)
        except UnknownCallState as error:
            log.warning("callback let go, a newer relay has the call", call=call_hash(event.call_sid), state=error.state)
        except (TwilioError, RequestRefused) as error:
            log.error("callback not carried out", call=call_hash(event.call_sid), error=str(error))

    async def _work_on(self, event: StreamEvent) -> CallDocument | None:
        """Returns the Document by which it has asked for another stream, if any. Raises TwilioError, RequestRefused, UnknownCallState."""
        hashed = call_hash(event.call_sid)
        for attempt in range(CONFLICTS):
            seen = await self._when_known(event.call_sid)
            decision = self._decide(event, seen)
            if isinstance(decision, Ignore) or seen is None:
                return None
            if attempt == 0:
                log.info("stream died", call=hashed, stream_event=event.event, error=event.error[:20], state=seen.document.state.value)
                if await self._wait(event, seen.document):
                    continue  # the Document may say something else by now
            done, again = await self._carry_out(event, seen, decision)
            if done:
                return again
        log.error("callback given up", call=hashed)
        return None

    async def _when_known(self, call_sid: str) -> Seen | None:
        """The Document. While a newer relay is about something with the call it is waited for: what it does may need this callback, or
        make it pointless. Raises UnknownCallState if that lasts too long."""
        deadline = self._deps.monotonic() + self._deps.timing.unknown_state_seconds
        while True:
            try:
                return await self._documents.read(call_sid)
            except UnknownCallState:
                if self._deps.monotonic() >= deadline:
                    raise
            await asyncio.sleep(self._deps.timing.own_report_seconds)

    def _decide(self, event: StreamEvent, seen: Seen | None, *, owner_gone: bool = False) -> Ignore | Restart | TellAgent:
        document, now = seen.document if seen else None, self._deps.now()
        since = event.since if now - LATE_SECONDS <= event.since <= now else now
        if event.event == CUT_EVENT:
            return stream_cut(document, event.stream_name, call_sid=event.call_sid, now=now, since=since)
        if event.event == GONE_EVENT:
            return by_owner(document, event.error, call_sid=event.call_sid, now=now, since=event.since)
        return stream_died(document, event.stream_name, event.event, call_sid=event.call_sid, now=now, since=since, owner_gone=owner_gone)

    async def _wait(self, event: StreamEvent, document: CallDocument) -> bool:
        """Waits where waiting helps; tells whether it did."""
        timing = self._deps.timing
        if document.state is CallState.LIVE and event.event == STOPPED_EVENT:
            # An end in good order: the relay with the audio has seen it too, and says why.
            await asyncio.sleep(timing.own_report_seconds)
            return True
        if document.state is CallState.STARTING and document.restarts > 0:
            await asyncio.sleep(timing.restart_seconds[min(document.restarts, len(timing.restart_seconds)) - 1])
            return True
        return False

    async def _carry_out(self, event: StreamEvent, seen: Seen, decision: Ignore | Restart | TellAgent) -> tuple[bool, CallDocument | None]:
        """Writes what was decided and acts on it; False if it is to be decided anew: the Document has changed, or may have. With the
        Document by which another stream was asked for, if one was."""
        owner_gone = event.event == GONE_EVENT
        async with self._slots:
            goes_on = await self._streams.in_progress(event.call_sid)
        if goes_on and isinstance(decision, TellAgent) and not decision.restarts_used_up:
            asked = await self._peers.has(event.call_sid, seen.document)
            if asked is Asked.DONE and in_gap(seen.document):
                await asyncio.sleep(self._deps.timing.gap_seconds)  # its relay has stopped it to make room for the next one
                return False, None  # should that relay die in the gap, no other callback comes
            if asked is Asked.GONE:
                self._suspect(seen.document.owner)
            # That stream is over, wherever it was: who cannot be asked does not have it.
            owner_gone = asked in {Asked.GONE, Asked.NEVER, Asked.UNKNOWN}
            decision = self._decide(event, seen, owner_gone=owner_gone)
        if isinstance(decision, Restart) and goes_on:
            async with self._slots:
                done = await self._start_again(event.call_sid, seen, decision.document, owner_gone=owner_gone)
            return done, decision.document if done else None
        return await self._end(event, seen, decision, goes_on), None

    async def _end(self, event: StreamEvent, seen: Seen, decision: Ignore | Restart | TellAgent, goes_on: bool) -> bool:
        """Where no other stream is asked for."""
        was_live = seen.document.state is not CallState.STARTING
        match decision:
            case Restart(gone=gone):
                if not await self._documents.write(event.call_sid, gone, seen):
                    return False
                self._deps.metrics.stream_restarted("call_over")
                await self._status.tell(event.call_sid, gone, CALL_ENDED)
            case TellAgent(document=lost, restarts_used_up=True):
                if not await self._documents.write(event.call_sid, lost, seen):
                    return False
                self._deps.metrics.stream_restarted("given_up")
                await self._status.tell(event.call_sid, lost, (LOST if was_live else NOT_CONNECTED) if goes_on else CALL_ENDED)
            case TellAgent(document=lost):
                return await self._lost(event, seen, lost, goes_on)
        return True

    async def _start_again(self, call_sid: str, seen: Seen, again: CallDocument, *, owner_gone: bool) -> bool:
        """Asks for the next stream; False if somebody else was quicker."""
        before = seen.document
        if not await self._documents.write(call_sid, again, seen):
            return False
        if owner_gone:
            self._deps.metrics.stream_lost("relay")  # no relay is left that would count it
            self._deps.background.spawn("tell cut", self._status.tell(call_sid, before, CUT))
        if before.state is not CallState.STARTING:
            await self._streams.stop_quietly(call_sid, before.stream_sid or before.stream_name)
        await self._restart(call_sid, again)
        return True

    async def _until_it_comes(self, call_sid: str, awaited: Awaited) -> None:
        """Asks for further streams while none has come anywhere, and tells the agent in the end: where many sockets are cut at once, the
        ingress controller is away, and neither the next stream nor Twilio's word of its failure gets in."""
        first, *others = self._deps.timing.came_seconds
        wait, last = first, (others or [first])[-1]
        for patience in (*others, last):
            await asyncio.sleep(wait)
            further = await self.not_there_yet(call_sid, awaited.generation)
            if further is None:
                return
            awaited, wait = further, max(patience / 2, patience - max(0.0, self._deps.now() - further.asked_at))
        await asyncio.sleep(wait)
        await self._starts.never_came(call_sid, awaited.generation)

    async def _restart(self, call_sid: str, document: CallDocument) -> None:
        try:
            created = await self._starts.create_stream(call_sid, document, self._deps.timing.restart)
        except RequestRefused as refused:
            if refused.code == SUPERSEDED:
                return  # stopped, or started by somebody else: there is nothing to tell
            over = refused.code == "call_ended"
            self._deps.metrics.stream_restarted("call_over" if over else "refused")
            log.warning("stream not started again", call=call_hash(call_sid), code=refused.code)
            seen = await self._documents.read(call_sid)
            if seen is not None and seen.document.generation == document.generation and seen.document.state is CallState.LOST:
                await self._status.tell(call_sid, document, CALL_ENDED if over else NOT_CONNECTED)
            return
        self._deps.metrics.stream_restarted("started")
        self._starts.follow(call_sid, created, created=True)

    async def _lost(self, event: StreamEvent, seen: Seen, lost: CallDocument, goes_on: bool) -> bool:
        document, what = self._ending(event, seen.document, lost, goes_on)
        if not await self._documents.write(event.call_sid, document, seen):
            return False
        if not goes_on:
            await self._status.tell(event.call_sid, document, what)
            return True
        await asyncio.gather(
            self._status.tell(event.call_sid, document, what),
            self._streams.stop_quietly(event.call_sid, seen.document.stream_sid or seen.document.stream_name),
        )
        return True

    def _ending(self, event: StreamEvent, before: CallDocument, lost: CallDocument, goes_on: bool) -> tuple[CallDocument, Told]:
        over = None if goes_on else call_over(before, event.stream_name)
        return (lost, LOST) if over is None else (over, CALL_ENDED)


def _awaited(document: CallDocument) -> Awaited | None:
    asked_at = under_way(document)
    return None if asked_at is None else Awaited(document.generation, asked_at)
