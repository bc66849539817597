"""Starts the stream of a call: the Document first, then the stream at Twilio, everything else after the answer.

The order makes it safe. Whoever has written a generation into the Document, and nobody else, creates that generation's stream,
once; an answer that leaves open whether it was created is followed by another generation, never by a second attempt at the same.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from voiceassist_crds.config import Checks
from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import suggestions_map, sync_stream

from ..call_quota import Place
from ..errors import RequestRefused, TwilioError, TwilioRefused, TwilioUnclear, UnknownCallState
from ..logs import call_hash
from ..sync.agent_status import CALL_ENDED, AgentStatus, never_came
from ..sync.call_documents import CONFLICTS, CallDocuments, contended
from ..sync.document_rules import (
    AlreadyRunning,
    ChangeWorker,
    Create,
    Held,
    Superseded,
    TakeOver,
    Waits,
    create_failed,
    create_unclear,
    decide_start,
    is_running,
    may_be_held,
    still_wanted,
    succeed,
    watch_ended,
)
from ..twilio.call_streams import TwilioStreams
from ..twilio.error_answers import stream_refused
from ..twilio.person import Person
from ..twilio.retry import RetryPolicy
from ..twilio.taskrouter import Assignments
from .access import held_by_another
from .dependencies import FunctionDependencies
from .peer_relays import Asked, PeerRelays

log = structlog.get_logger("voiceassist.functions")

Decision = Create | AlreadyRunning | TakeOver | ChangeWorker | Waits
SUPERSEDED: Final = "superseded"
"""Code of the refusal where a call was stopped, or started by somebody else, while its stream was asked for."""
_NAME_IN_USE = 409


class Outcome(StrEnum):
    """What a start did."""

    STARTED = "started"
    RESTARTED = "restarted"
    RUNNING = "running"
    TRANSFERRED = "transferred"
    WATCHING = "watching"


@dataclass(frozen=True, slots=True)
class Started:
    """A call's assist after a start."""

    call_sid: str
    document: CallDocument
    outcome: Outcome

    def as_json(self) -> dict[str, Any]:
        """As the plugin gets it: `map` and `stream` are names of Sync objects."""
        return {
            "state": shown_state(self.document),
            "outcome": self.outcome.value,
            "callSid": self.call_sid,
            "generation": self.document.generation,
            "streamName": self.document.stream_name,
            "map": suggestions_map(self.call_sid),
            "stream": self.document.sync_stream,
        }


def shown_state(document: CallDocument) -> str:
    """The Document's state in the plugin's words: a running stream whose audio is held back is `paused`."""
    return "paused" if document.paused and is_running(document) else document.state.value


class StreamStarter:
    """Starts by workers, and automatic ones after a stream died before it began."""

    def __init__(
        self,
        deps: FunctionDependencies,
        documents: CallDocuments,
        streams: TwilioStreams,
        status: AgentStatus,
        peers: PeerRelays,
        assignments: Assignments,
    ) -> None:
        self._deps, self._documents, self._streams, self._status, self._peers = deps, documents, streams, status, peers
        self._assignments = assignments

    async def start(self, call_sid: str, task_sid: str, person: Person) -> Started:
        """A start by a worker who may. Raises RequestRefused, TwilioError or UnknownCallState."""
        limit = self._deps.limit
        place = limit.reserve(call_sid)
        begins = False
        try:
            decision = await self._decide(call_sid, task_sid, person, full=place is Place.FULL)
            started = await self._started(call_sid, decision, person)
            begins = isinstance(decision, Create | TakeOver)
        finally:
            if place is Place.TAKEN and not begins:
                limit.forget(call_sid)
        return started

    async def _started(self, call_sid: str, decision: Decision, person: Person) -> Started:
        document = decision.document
        match decision:
            case Create():
                document, outcome = await self.create_stream(call_sid, document), Outcome.STARTED
            case TakeOver(previous=previous):
                # What may be left of the earlier stream would spend tracks and send audio to nobody.
                self._later("stop earlier", self._streams.stop_quietly(call_sid, previous.stream_sid or previous.stream_name))
                document, outcome = await self.create_stream(call_sid, document), Outcome.RESTARTED
                if previous.sync_stream != document.sync_stream:
                    self._later("hand over", self._hand_over(call_sid, document, previous))
            case ChangeWorker(previous=previous):
                self.handed_over(call_sid, document, previous)
                return Started(call_sid, document, Outcome.TRANSFERRED)
            case Waits():
                return await self.watch(call_sid, document, person)
            case AlreadyRunning():
                outcome = Outcome.RUNNING
        self.follow(call_sid, document, created=isinstance(decision, Create | TakeOver))
        return Started(call_sid, document, outcome)

    async def succession(self, call_sid: str, document: CallDocument) -> None:
        """Hands the call to the worker who waits for it, if the one in charge has left it. Raises RequestRefused, TwilioError."""
        holders = await self._assignments.holders(document.task_sid)
        if document.successor is not None and document.successor.task_sid != document.task_sid:
            holders |= await self._assignments.holders(document.successor.task_sid)
        name = self._new_stream(call_sid)

        def decide(found: CallDocument | None) -> CallDocument | None:
            return None if found is None else succeed(found, holders, sync_stream=name)

        before, after = await self._documents.settle(call_sid, decide, lambda wanted: wanted)
        if before is not None and after is not None:
            self.handed_over(call_sid, after, before)

    def handed_over(self, call_sid: str, document: CallDocument, previous: CallDocument) -> None:
        """Leaves to the background what follows a change of worker, or the end of a watch: who reads, and on which Stream."""
        self._later("hand over", self._hand_over(call_sid, document, previous))

    async def end_watch(self, call_sid: str, person: Person) -> bool:
        """Ends somebody's reading along: takes the permission back, and gives the call a Stream whose name they do not know. Whether they
        read along. Raises RequestRefused, TwilioError."""
        if not await self._status.end_watch(call_sid, person.identity):
            return False
        name = self._new_stream(call_sid)

        def decide(found: CallDocument | None) -> CallDocument | None:
            return None if found is None else watch_ended(found, identity=person.identity, sync_stream=name)

        before, after = await self._documents.settle(call_sid, decide, lambda wanted: wanted)
        if before is not None and after is not None:
            self.handed_over(call_sid, after, before)
        return True

    async def _hand_over(self, call_sid: str, document: CallDocument, previous: CallDocument) -> None:
        done = await self._status.hand_over(call_sid, document)
        if document.state is CallState.LIVE:
            asked = await self._peers.tell(call_sid, document, "refresh")
            if asked is not Asked.DONE:  # an older relay: the status item goes on naming the Stream that it writes to
                log.warning("the relay with the audio keeps its Stream", call=call_hash(call_sid), asked=asked.name, readers_changed=done)
        elif previous.sync_stream != document.sync_stream:
            await self._status.remove_stream(previous.sync_stream)

    async def watch(self, call_sid: str, document: CallDocument, person: Person) -> Started:
        """Lets somebody read along; nothing else changes. Raises TwilioError."""
        await self._status.make_readable(call_sid, person.identity, self._deps.timing.ask)
        return Started(call_sid, document, Outcome.WATCHING)

    async def create_stream(self, call_sid: str, document: CallDocument, policy: RetryPolicy | None = None) -> CallDocument:
        """Creates the stream of a generation that the caller has just written, and of the next ones while that stays unclear; with the
        patience of who waits at a browser, if none is given.

        Returns the Document whose stream was created. Raises RequestRefused, UnknownCallState; the Document then says lost (or what
        somebody else has made of it), so that a later start works.
        """
        loop, policy, failures = asyncio.get_running_loop(), policy or self._deps.timing.ask, 0

        async def is_wanted() -> None:
            """Twilio may hold a creation back for longer than others wait for its stream."""
            try:
                seen = await self._documents.read(call_sid)
            except TwilioError:
                return
            if not still_wanted(None if seen is None else seen.document, generation=document.generation):
                raise _superseded()

        began = loop.time()
        try:
            while True:
                try:
                    await self._streams.create(call_sid, document, policy=policy, before_repeat=is_wanted)
                except (TwilioUnclear, TwilioRefused) as error:
                    if isinstance(error, TwilioRefused) and error.status != _NAME_IN_USE:
                        raise
                    failures += 1
                    delay = policy.delay(failures, random.random(), error.retry_after, loop.time() - began)  # noqa: S311 - jitter
                    if delay is None:
                        raise
                    log.warning("stream creation unclear", call=call_hash(call_sid), generation=document.generation, status=error.status)
                    decision = await self._next(call_sid, document.generation)
                    if isinstance(decision, AlreadyRunning):
                        return decision.document
                    doubtful, document = document.stream_name, decision  # written first, so that the end of the other ends nothing else
                    await self._streams.stop_quietly(call_sid, doubtful)
                    await asyncio.sleep(delay)
                else:
                    return document
        except TwilioError as error:
            live = await self._give_up(call_sid, document.generation)
            if isinstance(error, TwilioUnclear) and live is not None:
                return live
            if isinstance(error, TwilioUnclear):
                self._later("stop unclear", self._streams.stop_quietly(call_sid, document.stream_name))
            raise stream_refused(error, self._deps.current().secrets) from error
        except (RequestRefused, UnknownCallState):
            await self._give_up(call_sid, document.generation)
            raise

    def follow(self, call_sid: str, document: CallDocument, *, created: bool) -> None:
        """Leaves to the background what the audio need not wait for."""
        if created:
            self._later("confirm stream", self._confirm(call_sid, document))
            seconds = self._deps.timing.starting_seconds
            asyncio.get_running_loop().call_later(seconds, self._look_for, call_sid, document.generation)
        self._later("follow start", self._status.follow_start(call_sid, document, document.identity))

    async def _decide(self, call_sid: str, task_sid: str, person: Person, *, full: bool) -> Decision:
        """Decides and writes until both fit together. The first attempt takes the call for a new one: that saves a read. `full`: there is
        no place for one."""
        name = self._new_stream(call_sid)
        seen = await self._documents.read(call_sid) if full else None
        for _ in range(CONFLICTS):
            document = seen.document if seen else None
            decision = decide_start(
                document,
                call_sid=call_sid,
                sync_stream=name,
                worker=person.worker,
                identity=person.identity,
                task_sid=task_sid,
                now=self._deps.now(),
                owner_gone=await self._owner_gone(call_sid, document),
                held_by_other=await self._held_by_other(document, person.worker),
            )
            if isinstance(decision, Held):
                raise held_by_another()
            if full and (isinstance(decision, Create) or (isinstance(decision, TakeOver) and decision.previous.state is CallState.STOPPED)):
                raise _too_many(self._deps.limit.refused())
            written = isinstance(decision, AlreadyRunning) or (isinstance(decision, Waits) and not decision.changed)
            if written or await self._documents.write(call_sid, decision.document, seen):
                return decision
            seen = await self._documents.read(call_sid)
        raise contended()

    def _new_stream(self, call_sid: str) -> str:
        return sync_stream(call_sid, "" if self._deps.current().config.twilio.legacy_stream else self._deps.suffix())

    async def _held_by_other(self, document: CallDocument | None, worker: str) -> bool:
        if document is None or not may_be_held(document, worker=worker) or self._deps.current().config.checks is not Checks.ALL:
            return False
        return document.worker in await self._assignments.holders(document.task_sid)

    async def _owner_gone(self, call_sid: str, document: CallDocument | None) -> bool:
        if document is None or document.state is not CallState.LIVE:
            return False
        return await self._peers.has(call_sid, document) in {Asked.GONE, Asked.NEVER, Asked.OVER}

    async def _next(self, call_sid: str, generation: int) -> CallDocument | AlreadyRunning:
        """Writes the generation after an unclear one, unless that has gone live. Raises RequestRefused if somebody else has gone on
        meanwhile."""

        def decide(found: CallDocument | None) -> CallDocument | AlreadyRunning | Superseded | None:
            return None if found is None else create_unclear(found, call_sid, generation=generation, now=self._deps.now())

        def wanted(decision: CallDocument | AlreadyRunning | Superseded | None) -> CallDocument | None:
            return decision if isinstance(decision, CallDocument) else None

        _, decision = await self._documents.settle(call_sid, decide, wanted)
        if isinstance(decision, CallDocument | AlreadyRunning):
            return decision
        raise _superseded()

    async def _give_up(self, call_sid: str, generation: int) -> CallDocument | None:
        """Writes that the generation is lost; if its stream is live after all, returns the Document that says so.

        If it cannot be written, the deadline frees the call.
        """

        def decide(found: CallDocument | None) -> CallDocument | None:
            return None if found is None else create_failed(found, generation=generation)

        try:
            before, _ = await self._documents.settle(call_sid, decide, lambda wanted: wanted)
        except (TwilioError, RequestRefused, UnknownCallState):
            log.warning("call's state not written", call=call_hash(call_sid), generation=generation)
            return None
        return before if before is not None and before.state is CallState.LIVE and before.generation == generation else None

    async def _confirm(self, call_sid: str, document: CallDocument) -> None:
        """Stops the stream just created if it is not asked for any more: a stop, or a later start, may have come in between."""
        try:
            seen = await self._documents.read(call_sid)
        except UnknownCallState:
            return  # a newer relay has gone on from here, and knows what it wants
        if not still_wanted(seen.document if seen else None, generation=document.generation):
            await self._streams.stop_quietly(call_sid, document.stream_name)

    def _look_for(self, call_sid: str, generation: int) -> None:
        """Long after a stream was created: unless it came to this relay, somebody has to look whether it came anywhere. That a call was
        here says nothing of its later streams."""
        if generation > 1 or not self._deps.calls.had(call_sid):
            self._later("look for stream", self.never_came(call_sid, generation))

    async def never_came(self, call_sid: str, generation: int) -> None:
        """Tells the agent of a stream that is `starting` still: no relay saw it, and no callback told its end. Raises nothing."""

        def decide(found: CallDocument | None) -> CallDocument | None:
            return None if found is None else create_failed(found, generation=generation)

        try:
            _, lost = await self._documents.settle(call_sid, decide, lambda wanted: wanted)
        except (TwilioError, RequestRefused, UnknownCallState) as error:
            log.warning("a start is not looked after", call=call_hash(call_sid), generation=generation, error=type(error).__name__)
            return
        if lost is None:
            return
        if not await self._streams.in_progress(call_sid):
            await self._status.tell(call_sid, lost, CALL_ENDED)
            return
        refusal = self._deps.calls.refusal(call_sid)
        report = self._deps.public_address.report(self._deps.monotonic())
        dialled = report.as_header() if report is not None else None
        log.error("stream never came", call=call_hash(call_sid), generation=generation, refusal=refusal, dialled=dialled)
        self._deps.metrics.stream_lost("never_came")
        await self._streams.stop_quietly(call_sid, lost.stream_name)
        await self._status.tell(call_sid, lost, never_came(refusal, report))

    def _later(self, name: str, work: Any) -> None:
        self._deps.background.spawn(name, work)


def _too_many(most: int) -> RequestRefused:
    return RequestRefused(
        429,
        "call_limit",
        f"{most} calls are assisted already, which is as many as there may be at once.",
        "Try again when one of them has ended, or have an administrator raise limits.maxCalls.",
        retry_after=30.0,
    )


def _superseded() -> RequestRefused:
    return RequestRefused(
        409, SUPERSEDED, "callSid: the assist was stopped or started again meanwhile.", "Start it again if it does not run."
    )
