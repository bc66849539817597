"""A call's suggestions in Sync as /feedback needs them: finds one that was published, and writes down what its reader made of it.

It stands beside the suggestion, in the call's Map, for as long as that is there: any relay knows of it, and none keeps anything.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voiceassist_crds.messages import Suggestion
from voiceassist_crds.names import suggestion_key, suggestions_map, verdict_key

from ..errors import TwilioRefused, TwilioUnclear
from ..twilio.retry import RetryPolicy, retrying
from .call_documents import CONFLICTS, contended
from .client import Revisioned, SyncClient, is_missing, is_stale, is_taken
from .numbering import number_of
from .receipts import read_suggestion
from .verdict_rules import NOTHING, Reception, read_reception

MOST_READ: Final = 1000
"""Items of a Map that are looked through for a suggestion whose number was not said."""
_MARK: Final = "mark"
"""Names the write: after an unclear answer, whoever wrote it knows it again."""


@dataclass(frozen=True, slots=True)
class Published:
    """A suggestion in its call's Map. `foreign`: no relay made the item."""

    suggestion: Suggestion
    seq: int
    foreign: bool


class Receptions:
    """The suggestions of all calls, with the patience of one who has to answer."""

    def __init__(self, sync: SyncClient, ttl: Callable[[], int], policy: RetryPolicy) -> None:
        """`ttl` gives seconds."""
        self._sync, self._ttl, self._policy = sync, ttl, policy

    async def find(self, call_sid: str, identifier: str, seq: int | None) -> Published | None:
        """The suggestion of this id; None if it was not published in the call, or is gone. Without its number the Map is looked through.
        Raises TwilioError."""
        try:
            if seq is not None:
                item = await retrying(
                    self._policy, lambda: self._sync.fetch_item(suggestions_map(call_sid), suggestion_key(seq)), idempotent=True
                )
                return _published(item, identifier)
            return await retrying(self._policy, lambda: self._look_through(call_sid, identifier), idempotent=True)
        except TwilioRefused as error:
            if is_missing(error):
                return None
            raise

    async def change(self, call_sid: str, seq: int, change: Callable[[Reception], Reception]) -> tuple[Reception, Reception]:
        """Changes what is known of a suggestion; returns it as it was before and as it is after. A change to the same writes nothing.

        Each change counts once, whatever relays are asked at the same time. Raises TwilioError; RequestRefused (503) if others were
        quicker all the time.
        """
        name, key, mark = suggestions_map(call_sid), verdict_key(seq), secrets.token_hex(8)
        loop, failures = asyncio.get_running_loop(), 0
        began = loop.time()
        found: Revisioned | None = None  # the first attempt takes it for the first report: that saves a read
        for _ in range(CONFLICTS):
            before = NOTHING if found is None or found.foreign else read_reception(found.data)
            after = change(before)
            if after == before:
                return before, before
            data, over = {**after.wire(), _MARK: mark}, found
            try:
                await retrying(self._policy, lambda: self._write(name, key, data, over), idempotent=False)  # noqa: B023 - awaited here
            except TwilioUnclear as error:
                found = await self._read(name, key)
                if found is not None and found.data.get(_MARK) == mark:
                    return before, after
                failures += 1
                delay = self._policy.delay(failures, random.random(), error.retry_after, loop.time() - began)  # noqa: S311 - jitter
                if delay is None:
                    raise
                await asyncio.sleep(delay)
            except TwilioRefused as error:
                if not (is_taken(error) or is_stale(error) or (over is not None and is_missing(error))):
                    raise
                found = await self._read(name, key)
                if found is not None and found.data.get(_MARK) == mark:  # an attempt that was given up arrived after all
                    return before, after
            else:
                return before, after
        raise contended()

    async def _write(self, name: str, key: str, data: dict[str, object], over: Revisioned | None) -> None:
        if over is None:
            await self._sync.create_item(name, key, data, self._ttl())
        else:
            await self._sync.update_item(name, key, data, if_match=over.revision)

    async def _read(self, name: str, key: str) -> Revisioned | None:
        try:
            return await retrying(self._policy, lambda: self._sync.fetch_item(name, key), idempotent=True)
        except TwilioRefused as error:
            if is_missing(error):
                return None
            raise

    async def _look_through(self, call_sid: str, identifier: str) -> Published | None:
        read = 0
        async for item in self._sync.items(suggestions_map(call_sid)):
            if (found := _published(item, identifier)) is not None:
                return found
            read += 1
            if read >= MOST_READ:
                break
        return None


def _published(item: Revisioned, identifier: str) -> Published | None:
    seq, suggestion = number_of(item.sid), read_suggestion(item.data)
    if seq is None or suggestion is None or suggestion.id != identifier:
        return None
    return Published(suggestion, seq, item.foreign)
