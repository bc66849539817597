"""Stores a call's finished suggestions in its Map: each once, in order, with patience while Sync is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from voiceassist_crds.messages import Suggestion
from voiceassist_crds.names import suggestion_key

from ..errors import TwilioRefused
from ..interfaces import FinishedSuggestion
from ..lazy_event import LazyEvent
from ..metrics.relay_metrics import RelayMetrics
from .call_objects import SUPERSEDED, CallObjects
from .client import is_missing, is_taken
from .numbering import OnConflict, on_conflict
from .payload import well_formed
from .receipts import receipt
from .retry import Backoff, Chance, Ousted, persist
from .truncation import MAX_REVISION, item_payload, message_id

MAX_WAITING = 200
"""Finished suggestions of one call that wait for Sync: 10 minutes of them at 20 a minute, the default's highest pace."""
QUEUE = "suggestions"

log = structlog.get_logger(__name__)


class SuggestionWriter:
    """One call's writer. At most 200 suggestions wait besides the one that is written; then the oldest is dropped and counted."""

    def __init__(
        self,
        objects: CallObjects,
        metrics: RelayMetrics,
        stored: Callable[[Suggestion], None],
        chance: Chance,
        epoch: Callable[[], float],
        first_words: Callable[[str], float | None],
    ) -> None:
        """`first_words`: when Sync accepted a suggestion's first draft, in loop seconds, if it did."""
        self._first_words = first_words
        self._objects, self._metrics, self._stored, self._chance, self._epoch = objects, metrics, stored, chance, epoch
        self._queue: list[FinishedSuggestion] = []
        self._writing: FinishedSuggestion | None = None
        self._wake = LazyEvent()
        self._idle = LazyEvent()
        self._idle.set()
        self.seq = 0
        """The highest number known to be used."""

    def __len__(self) -> int:
        """Suggestions that are not stored yet."""
        return len(self._queue) + (self._writing is not None)

    def offer(self, suggestion: FinishedSuggestion) -> None:
        """Takes a suggestion to store; returns at once."""
        if len(self._queue) >= MAX_WAITING:
            self._give_up(self._queue.pop(0))
        self._queue.append(suggestion)
        self._idle.clear()
        self._wake.set()

    def refuse(self) -> None:
        """Counts a suggestion that comes too late."""
        self._metrics.dropped(QUEUE)

    async def idle(self) -> None:
        """Waits until everything that was offered is stored."""
        await self._idle.wait()

    def abandon(self) -> int:
        """Counts what is not stored as lost and forgets it; returns how many that were."""
        left = [*([] if self._writing is None else [self._writing]), *self._queue]
        self._queue.clear()
        self._writing = None
        for suggestion in left:
            self._give_up(suggestion)
        return len(left)

    async def run(self) -> None:
        """Stores what is offered, for ever. Raises Ousted when a newer generation writes to the Map."""
        objects = self._objects
        await objects.map.ready.wait()
        if objects.document is not None:
            self.seq = objects.document.seq
        if objects.owner.generation > 1:
            self.seq = max(self.seq, await objects.highest_number())
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                self._writing = self._queue.pop(0)
                await self._store(self._writing)
                self._writing = None
            self._idle.set()

    async def _store(self, finished: FinishedSuggestion) -> None:
        loop, objects, backoff = asyncio.get_running_loop(), self._objects, Backoff(self._chance)
        began = loop.time()
        message = self._message(finished)
        while True:
            suggestion, map_sid = message.model_copy(update={"seq": self.seq + 1}), objects.map.sid
            key, data = suggestion_key(suggestion.seq), item_payload(suggestion)
            try:
                await persist(lambda: objects.sync.create_item(map_sid, key, data, objects.ttl), backoff)  # noqa: B023 - awaited here
            except TwilioRefused as error:
                if is_missing(error):
                    await objects.remake_map(map_sid)
                elif not is_taken(error):
                    log.error("suggestion refused", status=error.status, code=error.code, bytes=len(str(data)))
                    self._metrics.dropped(QUEUE)
                    self._metrics.published("refused", loop.time() - began)
                    return
                elif await self._is_mine(map_sid, key, suggestion.id):
                    break
                await backoff.after(None)
            else:
                break
        accepted = loop.time()
        self.seq = suggestion.seq
        self._metrics.published("retried" if backoff.failures else "ok", accepted - began)
        self._metrics.suggestion_published(suggestion.revision, finished.timing, accepted)
        stopped = finished.timing.stopped_speaking
        if stopped is not None:
            first = self._first_words(suggestion.id)
            self._metrics.first_words((accepted if first is None else min(first, accepted)) - stopped)
        self._stored(suggestion.model_copy(update={"receipt": None}))

    async def _is_mine(self, map_sid: str, key: str, own_id: str) -> bool:
        """Whether the item that has the wanted key is this very suggestion; else moves on behind all others."""
        objects = self._objects
        try:
            found = await persist(lambda: objects.sync.fetch_item(map_sid, key), Backoff(self._chance))
        except TwilioRefused as error:
            if not is_missing(error):
                raise
            return False
        match on_conflict(found.data, own_id, objects.owner.generation):
            case OnConflict.DONE:
                return True
            case OnConflict.SUPERSEDED:
                raise Ousted(SUPERSEDED)
            case OnConflict.NEXT:
                self.seq = max(self.seq + 1, await objects.highest_number())
        return False

    def _message(self, finished: FinishedSuggestion) -> Suggestion:
        """What goes into the Map, but for its number. Its `at` is when it was finished, not when Sync took it."""
        objects = self._objects
        suggestion = Suggestion(
            id=message_id(objects.owner.generation, finished.item),
            revision=finished.revision[:MAX_REVISION],
            seq=self.seq + 1,
            question=well_formed(finished.question),
            answer=well_formed(finished.answer),
            at=int((self._epoch() - self._age(finished)) * 1000),
            latency_ms=finished.timing.latency_ms,
        )
        worker = "" if objects.document is None else objects.document.worker
        return suggestion.model_copy(update={"receipt": receipt(objects.owner.call_sid, worker, suggestion, objects.sync.auth_tokens)})

    def _age(self, finished: FinishedSuggestion) -> float:
        """Seconds since it was finished."""
        now = asyncio.get_running_loop().time()
        return max(0.0, now - finished.timing.finished) if finished.timing.finished is not None else 0.0

    def _give_up(self, finished: FinishedSuggestion) -> None:
        self._metrics.dropped(QUEUE)
        self._metrics.published("given_up", self._age(finished))
