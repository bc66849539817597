"""One call's publisher: takes what the model's side says, at once, and carries it to Sync for as long as the call and its flush last."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from voiceassist_crds.config import Transcripts
from voiceassist_crds.messages import (
    AssistState,
    CallDocument,
    Draft,
    Status,
    StatusReason,
    Track,
    Transcript,
    Withdrawn,
    WithdrawnReason,
)

from ..config.snapshot import CurrentSnapshot
from ..errors import TwilioRefused
from ..interfaces import EarlierSuggestion, FinishedSuggestion
from ..lazy_event import LazyEvent
from ..logs import call_hash
from ..metrics.relay_metrics import RelayMetrics
from .call_objects import SUPERSEDED, CallObjects, Owner, Take, nobody_hands_over
from .client import SyncClient
from .coalescer import Lane
from .payload import well_formed
from .retry import Chance, Ousted
from .status_writer import StatusWriter
from .stream_publisher import StreamPublisher
from .suggestion_writer import SuggestionWriter
from .truncation import MAX_REVISION, MAX_STATUS_TEXT, message_id

DOCUMENT_SHARE, DOCUMENT_SECONDS = 0.75, 15.0
"""Of the time to flush, how much may pass before the Document is brought to its end although suggestions still wait: this share of it,
and so many seconds at most."""
CHECK_AGAIN_SECONDS = 3.0
"""Between the two looks at a Document that names another stream."""
_ITEMS = 256
"""Items whose `part` numbers are remembered."""

log = structlog.get_logger(__name__)


class CallPublisher:
    """Everything that one call writes to Sync.

    The methods that take something return at once and never raise. `run` opens the call's objects and writes until `finish`;
    what comes before they are open waits in bounded queues (drafts and transcripts: the newest of each item; suggestions: 200).
    `superseded(reason)` is called at most once, from `run`: "superseded" (the Document or the Map knows a newer stream) or
    "stopped" (its worker stopped it before it was live); nothing more is written then. `opened(document)` is called as soon as the
    Document is live: it tells, for instance, whether the call is paused. The time to live of everything is renewed every
    `renew_seconds`, by default at its half.
    """

    def __init__(
        self,
        sync: SyncClient,
        current: CurrentSnapshot,
        metrics: RelayMetrics,
        owner: Owner,
        superseded: Callable[[str], None],
        *,
        opened: Callable[[CallDocument], None] | None = None,
        epoch: Callable[[], float] = time.time,
        chance: Chance = random.random,
        renew_seconds: float | None = None,
        take: Take = nobody_hands_over,
    ) -> None:
        twilio = current().config.twilio
        self._current, self._epoch = current, epoch
        self._generation, self._revision = owner.generation, owner.prompt_revision[:MAX_REVISION]
        self._superseded, self._opened = superseded, opened
        self._objects = CallObjects(
            sync.pinned(), owner, twilio.sync_ttl_seconds, metrics, legacy_stream=twilio.legacy_stream, chance=chance, take=take
        )
        self._stream = StreamPublisher(self._objects, metrics, chance)
        self._map = SuggestionWriter(self._objects, metrics, self._stream.offer, chance, epoch, self._stream.first_words)
        self._status = StatusWriter(self._objects, metrics, chance)
        self._parts: dict[str, int] = {}
        self._renew_seconds = twilio.sync_ttl_seconds / 2 if renew_seconds is None else renew_seconds
        self._statuses = 0
        self._closing = False
        self._is_open = LazyEvent()
        self._changed = LazyEvent()
        self._owner_unsure = LazyEvent()
        self._over = LazyEvent()
        self._ended = LazyEvent()
        self._running = False
        self._ousted = False
        self._log = log.bind(call=call_hash(owner.call_sid), generation=owner.generation)

    # what the model's side says

    def draft(self, item: str, answer: str, revision: str, *, early: bool = False) -> None:
        """The answer so far, whole."""
        if not self._closing:
            self._revision = revision[:MAX_REVISION]
            identifier = message_id(self._generation, item)
            part, text = self._part(identifier), well_formed(answer)
            self._stream.offer(Draft(id=identifier, revision=self._revision, part=part, answer=text, early=early))

    def withdrawn(self, item: str, revision: str, reason: WithdrawnReason) -> None:
        """A draft of this item will not be finished."""
        if not self._closing:
            self._stream.offer(Withdrawn(id=message_id(self._generation, item), revision=revision[:MAX_REVISION], reason=reason))

    def transcript(self, track: Track, item: str, text: str, final: bool) -> None:
        """Spoken words of one item, whole so far. Published only where the configuration in force says so."""
        if self._closing or self._current().config.privacy.transcripts is Transcripts.OFF:
            return
        identifier = message_id(self._generation, item)
        self._stream.offer(
            Transcript(
                id=identifier, revision=self._revision, track=track, part=self._part(identifier), text=well_formed(text), final=final
            )
        )

    def finished(self, suggestion: FinishedSuggestion) -> None:
        """A suggestion to store, once."""
        if self._closing:
            self._map.refuse()
            self._log.warning("a suggestion came after the end and is lost")
            return
        self._map.offer(suggestion)

    def status(self, state: AssistState, reason: StatusReason, message: str) -> None:
        """What the agent should know, now."""
        if self._closing:
            return
        self._statuses += 1
        status = Status(
            id=message_id(self._generation, f"status-{self._statuses}"),
            revision=self._revision,
            state=state,
            reason=reason,
            message=well_formed(message)[:MAX_STATUS_TEXT],
            generation=self._generation,
            stream=self._objects.stream_name,  # written anew when it goes out: the Document may not have been read yet
            at=int(self._epoch() * 1000),
        )
        self._stream.offer(status)
        self._status.offer(status)

    @property
    def seq(self) -> int:
        """The highest suggestion number known to be used."""
        return self._map.seq

    async def stored(self, seconds: float) -> bool:
        """Waits until every finished suggestion is stored, at most so many seconds; whether they are."""
        try:
            async with asyncio.timeout(seconds):
                await self._map.idle()
        except TimeoutError:
            return False
        return True

    async def earlier(self, seconds: float) -> list[EarlierSuggestion] | None:
        """What the call's earlier streams brought, as the Map holds it, oldest first; None where Sync does not say so within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._objects.earlier()
        except (TimeoutError, TwilioRefused):
            return None

    def refresh(self) -> None:
        """The Document has changed: it is read again, and from then on its Stream gets the messages."""
        self._changed.set()

    def check_owner(self) -> None:
        """The Document may name another stream by now: it is read, and if it does, `run` ends as with any other such news."""
        self._owner_unsure.set()

    # the life

    async def run(self) -> None:
        """Opens the call's objects and writes until `finish`, or until the Document or the Map asks for another stream.

        Raises TwilioRefused (in an ExceptionGroup) if Sync refuses the very shape of a request.
        """
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._part_of_run(part)) for part in self._parts_of_run()]
                await self._over.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self._closing = True
            self._over.set()
            self._ended.set()
            self._abandon()

    async def finish(self, grace: float, *, lost: bool | None = False) -> None:
        """Stores what is finished, within `grace` seconds; then `run` returns.

        `lost`: the stream did not end as asked for; None leaves the Document alone, because a newer connection goes on. Nothing
        more is taken from now on. What could not be stored is counted and logged.
        """
        self._closing = True
        self._stream.forget_unfinished()
        await asyncio.sleep(0)  # a task for `run` may have been made in this very moment
        if self._running and not self._over.is_set():
            flush = asyncio.create_task(self._flush(min(grace * DOCUMENT_SHARE, DOCUMENT_SECONDS), lost))
            over = asyncio.create_task(self._over.wait())
            try:
                await asyncio.wait({flush, over}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            finally:
                flush.cancel()
                over.cancel()
                await asyncio.gather(flush, over, return_exceptions=True)
        self._over.set()
        if self._running:
            await self._ended.wait()
        else:
            self._abandon()

    def _abandon(self) -> None:
        suggestions, messages = self._map.abandon(), self._stream.abandon()
        if suggestions or messages:
            self._log.error("not everything could be stored", suggestions=suggestions, messages=messages, ousted=self._ousted)

    async def _flush(self, patience: float, lost: bool | None) -> None:
        await self._is_open.wait()
        stored = asyncio.create_task(self._map.idle())
        try:
            await asyncio.wait({stored}, timeout=patience)
            await asyncio.gather(self._end_document(lost), self._status.idle())
            await stored
            await self._stream.idle()
        finally:
            stored.cancel()

    async def _end_document(self, lost: bool | None) -> None:
        if lost is None:
            return
        try:
            await self._objects.close(lost, lambda: self._map.seq)
        except TwilioRefused as error:
            self._log.error("the call's Document could not be brought to its end", status=error.status, code=error.code)

    def _parts_of_run(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        lanes = [functools.partial(self._stream.run, lane) for lane in Lane]
        return [self._opening, self._renewing, self._refreshing, self._checking_owner, self._map.run, self._status.run, *lanes]

    async def _part_of_run(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await part()
        except Ousted as found:
            if not self._ousted:
                self._ousted = self._closing = True
                self._log.info("another stream of the call is wanted", reason=found.reason)
                self._over.set()
                self._superseded(found.reason)

    async def _opening(self) -> None:
        document = await self._objects.open_document()
        if self._opened is not None:
            self._opened(document)
        await self._objects.open_map_and_stream()
        self._is_open.set()

    async def _refreshing(self) -> None:
        await self._is_open.wait()
        while True:
            await self._changed.wait()
            self._changed.clear()
            if await self._objects.reread() is not None:
                self._status.refresh()
                if (status := self._status.newest) is not None:
                    self._stream.offer(status)

    async def _checking_owner(self) -> None:
        await self._is_open.wait()
        while True:
            await self._owner_unsure.wait()
            # Twice, as a call that is being handed over is written as the other's a moment before it ends here.
            if await self._objects.is_anothers():
                await asyncio.sleep(CHECK_AGAIN_SECONDS)
                if not self._closing and await self._objects.is_anothers() and not self._closing:
                    raise Ousted(SUPERSEDED)
            self._owner_unsure.clear()

    async def _renewing(self) -> None:
        """A call may outlive the time to live of its objects."""
        await self._is_open.wait()
        while True:
            await asyncio.sleep(self._renew_seconds)
            await self._objects.renew()
            self._status.refresh()

    def _part(self, identifier: str) -> int:
        number = self._parts.pop(identifier, 0) + 1
        self._parts[identifier] = number
        if len(self._parts) > _ITEMS:
            del self._parts[next(iter(self._parts))]
        return number
