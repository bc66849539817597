"""The Sync objects of one call: its Document brought to `live` and to its end, its Map and its Stream, made anew when they are gone."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import structlog

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import CallSid, stream_name, suggestions_map, sync_stream

from ..errors import TwilioRefused, UnknownCallState
from ..interfaces import EarlierSuggestion
from ..lazy_event import LazyEvent
from ..metrics.relay_metrics import RelayMetrics
from .call_documents import DocumentStore, Seen
from .client import Container, Revisioned, SyncClient, is_missing, is_stale, is_taken
from .document_rules import Superseded, ended, went_live
from .move_rules import Taker, is_next, take_alone
from .numbering import number_of
from .recollection import MOST, recollect
from .retry import Backoff, Chance, Ousted, persist

SUPERSEDED = "superseded"
"""Why a stream is not wanted: the Document or the Map knows a newer one."""
STOPPED = "stopped"
"""Why a stream is not wanted: its worker has stopped it before it was live."""
SUFFIX_BYTES = 16
_NEWEST_KEYS = 5
"""Items that are asked for to find the highest number: the status item and some."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has a call's audio: which generation, at which relay (host:port), from which stream, with which prompt."""

    call_sid: CallSid
    generation: int
    address: str
    stream_sid: str
    prompt_revision: str


@dataclass(slots=True)
class Made:
    """An object's SID once it is known, and a lock so that it is made anew once only."""

    sid: str = ""
    ready: LazyEvent = field(default_factory=LazyEvent)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def be(self, sid: str) -> None:
        """Sets the SID."""
        self.sid = sid
        self.ready.set()


class TakeAnswer(Enum):
    """What the relay that had the call said, where it did not hand it over."""

    NOT_YET = auto()
    """It did not answer, or not clearly: the Document tells what became of it."""
    GONE = auto()
    """It is no more, or has not got the call: the call is nobody's."""


Take = Callable[[CallDocument], Awaitable[CallDocument | TakeAnswer]]
"""Asks the relay that a live Document names for the call. Gives the Document as that relay wrote it. Raises Ousted if it keeps the call."""


async def nobody_hands_over(_: CallDocument) -> CallDocument | TakeAnswer:
    """For a relay that moves no calls."""
    raise Ousted(SUPERSEDED)


class CallObjects:
    """Where one call's messages go. `sync` is pinned to the call's service; `ttl` in seconds is set on everything."""

    def __init__(
        self,
        sync: SyncClient,
        owner: Owner,
        ttl: int,
        metrics: RelayMetrics,
        *,
        legacy_stream: bool,
        chance: Chance,
        take: Take = nobody_hands_over,
    ) -> None:
        self._take = take
        self.sync = sync
        self.owner = owner
        self.ttl = ttl
        self.map = Made()
        self.stream = Made()
        self.document: CallDocument | None = None
        self.made_before = False
        """Whether Map, Stream and status were there before, as a rule: whoever wrote the Document makes them too."""
        self._seen: Seen | None = None
        self._legacy = legacy_stream
        self._chance = chance
        self._documents = DocumentStore(sync, lambda: ttl, metrics)

    @property
    def stream_name(self) -> str:
        """Name of the call's Sync Stream; empty until the Document was read."""
        return "" if self.document is None else self.document.sync_stream

    async def open_document(self) -> CallDocument:
        """Brings the Document to `live`. Raises Ousted if the Document wants another stream, or is in a state that this version does not
        know: whoever wrote that has plans with the call that this relay cannot carry out."""
        backoff = Backoff(self._chance)
        while True:
            try:
                document = await self._change_document(self._live)
                if document is not None and is_next(document, self.owner.generation):
                    document = await self._moved(document)
            except UnknownCallState:
                raise Ousted(SUPERSEDED) from None
            if document is not None:
                self.document = document
                return document
            await backoff.after(None)

    async def _moved(self, document: CallDocument) -> CallDocument | None:
        """Another relay has the call and is to hand it over. None: the Document has to be read again."""
        self._seen = None  # the other relay writes it
        answer = await self._take(document)
        if isinstance(answer, CallDocument):
            return answer
        if answer is TakeAnswer.NOT_YET:
            return None
        owner = self.owner
        taker = Taker(owner.address, owner.generation, owner.stream_sid)
        taken = await self._change_document(lambda found: take_alone(found, taker, owner.call_sid))
        return taken if taken is not None and taken.generation == owner.generation else None

    async def open_map_and_stream(self) -> None:
        """Makes or finds them."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ensure_map(self.made_before))
            group.create_task(self._ensure_stream(self.made_before))

    async def reread(self) -> CallDocument | None:
        """Reads the Document again and goes over to the Stream that it names now; what listens to the old one hears no more of it.

        None: it is not this stream's any more.
        """
        try:
            seen = await persist(lambda: self._documents.fetch(self.owner.call_sid), Backoff(self._chance))
        except UnknownCallState:
            return None
        if seen is None or seen.document.generation != self.owner.generation or seen.document.stream_sid != self.owner.stream_sid:
            return None
        self._seen = seen
        async with self.stream.lock:
            before, self.document = self.stream_name, seen.document
            if before != self.stream_name and self.stream.sid:
                old = self.stream.sid
                await self._ensure_stream()
                await self._remove_stream(old)
        return seen.document

    async def is_anothers(self) -> bool:
        """Whether the Document names a later stream; False where it cannot be read."""
        try:
            seen = await persist(lambda: self._documents.fetch(self.owner.call_sid), Backoff(self._chance))
        except (UnknownCallState, TwilioRefused):
            return False
        return seen is not None and seen.document.generation > self.owner.generation

    async def close(self, lost: bool, seq: Callable[[], int]) -> None:
        """Writes into the Document that the stream is over, if the Document is still this stream's and in a state that is known here.

        `seq` gives the highest number used, at the moment of writing: while Sync is away, that may be long after this is asked for.
        """

        def over(document: CallDocument | None) -> CallDocument | None:
            if document is None:
                return None
            other = document.generation == self.owner.generation and document.stream_sid not in {"", self.owner.stream_sid}
            return None if other else ended(document, lost, seq(), generation=self.owner.generation)

        try:
            await self._change_document(over, self._seen)
        except UnknownCallState:
            log.warning("the stream's end is not written: the call is in a later version's hands")

    async def renew(self) -> None:
        """Begins the time to live of everything anew."""
        work = (
            lambda: self._documents.renew(self.owner.call_sid),
            lambda: self.sync.set_map_ttl(self.map.sid, self.ttl),
            lambda: self.sync.set_stream_ttl(self.stream.sid, self.ttl),
        )
        for attempt in work:
            try:
                await persist(attempt, Backoff(self._chance))
            except TwilioRefused as error:
                log.warning("time to live not renewed", operation=error.operation, status=error.status, code=error.code)

    async def remake_map(self, gone: str) -> None:
        """The Map with this SID does not exist any more: finds or makes another one, readable by the worker as before."""
        async with self.map.lock:
            if self.map.sid == gone:
                await self._ensure_map()
                identity = "" if self.document is None else self.document.identity
                if identity:
                    await self._grant(identity)

    async def remake_stream(self, gone: str) -> None:
        """The Stream with this SID does not exist any more: finds or makes another one of the same name."""
        async with self.stream.lock:
            if self.stream.sid == gone:
                await self._ensure_stream()

    async def highest_number(self) -> int:
        """The highest suggestion number in the Map; 0 if it has none."""

        async def newest() -> int:
            async for item in self.sync.items(self.map.sid, descending=True, page_size=_NEWEST_KEYS):
                number = number_of(item.sid)
                if number is not None:
                    return number
            return 0

        try:
            return await persist(newest, Backoff(self._chance))
        except TwilioRefused as error:
            if not is_missing(error):
                raise
            return 0  # the Map is gone, and its numbers with it

    async def earlier(self) -> list[EarlierSuggestion]:
        """The newest suggestions in the Map, oldest first. Raises TwilioRefused."""
        await self.map.ready.wait()

        async def newest() -> list[Revisioned]:
            return [item async for item in self.sync.items(self.map.sid, descending=True, page_size=MOST, most_pages=1)]

        return recollect(await persist(newest, Backoff(self._chance)))

    async def _remove_stream(self, sid: str) -> None:
        try:
            await persist(lambda: self.sync.delete_stream(sid), Backoff(self._chance))
        except TwilioRefused as error:
            if not is_missing(error):
                log.warning("the call's former Stream is left", status=error.status, code=error.code)

    async def _grant(self, identity: str) -> None:
        try:
            await persist(lambda: self.sync.grant(self.map.sid, identity), Backoff(self._chance))
        except TwilioRefused as error:
            log.warning("the worker cannot be let into the new Map", status=error.status, code=error.code)

    async def _ensure_map(self, look: bool = False) -> None:
        name = suggestions_map(self.owner.call_sid)
        self.map.be((await self._ensured(lambda: self.sync.ensure_map(name, self.ttl, look=look))).sid)

    async def _ensure_stream(self, look: bool = False) -> None:
        made = await self._ensured(lambda: self.sync.ensure_stream(self.stream_name, self.ttl, look=look))
        self.stream.be(made.sid)

    async def _ensured(self, attempt: Callable[[], Awaitable[Container]]) -> Container:
        backoff = Backoff(self._chance)
        while True:
            try:
                return await persist(attempt, backoff)
            except TwilioRefused as error:
                if not is_missing(error):
                    raise
            await backoff.after(None)  # it was there for the creation and is gone for what followed

    def _live(self, document: CallDocument | None) -> CallDocument | None:
        owner = self.owner
        if document is None:
            return self._first_document()
        if is_next(document, owner.generation):
            return None
        decided = went_live(document, owner.address, owner.stream_sid, owner.prompt_revision, generation=owner.generation)
        if isinstance(decided, Superseded):
            stopped = document.generation == owner.generation and document.state is CallState.STOPPED
            raise Ousted(STOPPED if stopped else SUPERSEDED)
        return decided

    def _first_document(self) -> CallDocument:
        """For a stream whose Document has expired or was removed: nobody's, so that any worker of the call may take it over."""
        owner = self.owner
        return CallDocument(
            state=CallState.LIVE,
            generation=owner.generation,
            stream_name=stream_name(owner.call_sid, owner.generation),
            sync_stream=sync_stream(owner.call_sid, "" if self._legacy else secrets.token_hex(SUFFIX_BYTES)),
            deadline=0,
            worker="",
            identity="",
            owner=owner.address,
            stream_sid=owner.stream_sid,
            prompt_revision=owner.prompt_revision,
        )

    async def _change_document(
        self, change: Callable[[CallDocument | None], CallDocument | None], known: Seen | None = None
    ) -> CallDocument | None:
        """Reads, changes and writes the Document until nobody came in between. A change to None or to the same writes nothing.

        `known` is as it was last seen: where that is changed, it is read only if somebody else has written it since.
        Raises UnknownCallState.
        """
        backoff = Backoff(self._chance)
        call_sid = self.owner.call_sid
        while True:
            wanted = change(known.document) if known is not None else None
            if known is not None and wanted is not None and wanted != known.document:
                seen: Seen | None = known
            else:
                self._seen = seen = await persist(lambda: self._documents.fetch(call_sid), backoff)
                self.made_before = self.made_before or seen is not None
                document = None if seen is None else seen.document
                wanted = change(document)
                if wanted is None or wanted == document:
                    return document
            known = None
            put = functools.partial(self._documents.put, call_sid, wanted, seen)
            try:
                self._seen = await persist(put, backoff)
            except TwilioRefused as error:
                if not (is_stale(error) or is_taken(error) or is_missing(error)):
                    raise
            else:
                return wanted
            await backoff.after(None)
