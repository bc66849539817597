"""Keeps the `status` item of a call's Map at the newest state, and never overwrites a newer generation's."""

from __future__ import annotations

import asyncio

import structlog

from voiceassist_crds.messages import Status
from voiceassist_crds.names import STATUS_KEY

from ..errors import TwilioRefused
from ..lazy_event import LazyEvent
from ..metrics.relay_metrics import RelayMetrics
from .call_objects import SUPERSEDED, CallObjects
from .client import Revisioned, is_missing, is_stale, is_taken
from .retry import Backoff, Chance, Ousted, persist
from .truncation import item_payload

log = structlog.get_logger(__name__)


class StatusWriter:
    """One call's writer. Only the newest state waits: what it replaces went out on the Stream."""

    def __init__(self, objects: CallObjects, metrics: RelayMetrics, chance: Chance) -> None:
        self._objects, self._metrics, self._chance = objects, metrics, chance
        self._newest: Status | None = None
        self._revision: str | None = None
        self._wake = LazyEvent()
        self._idle = LazyEvent()
        self._idle.set()

    def offer(self, status: Status) -> None:
        """Takes the newest state; returns at once."""
        self._newest = status
        self.refresh()

    @property
    def newest(self) -> Status | None:
        """The newest state."""
        return self._newest

    def refresh(self) -> None:
        """Has the newest state written once more: its time to live begins anew, or its Map is a new one."""
        if self._newest is not None:
            self._idle.clear()
            self._wake.set()

    async def idle(self) -> None:
        """Waits until the newest state is stored."""
        await self._idle.wait()

    async def run(self) -> None:
        """Stores the newest state whenever it changes, for ever. Raises Ousted if a newer generation's is found."""
        await self._objects.map.ready.wait()
        await self._wake.wait()
        if self._objects.made_before:
            await self._look(self._objects.map.sid)  # the first status is there already, as a rule: one request less than to find out
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._store()
            if not self._wake.is_set():
                self._idle.set()

    async def _store(self) -> None:
        loop, objects, backoff = asyncio.get_running_loop(), self._objects, Backoff(self._chance)
        began = loop.time()
        while True:
            map_sid = objects.map.sid
            try:
                item = await persist(self._write, backoff)
            except TwilioRefused as error:
                if is_taken(error) or is_stale(error):
                    await self._look(map_sid)
                elif is_missing(error) and self._revision is None:
                    await objects.remake_map(map_sid)
                elif is_missing(error):
                    self._revision = None
                else:
                    log.error("status refused", status=error.status, code=error.code)
                    self._metrics.published("refused", loop.time() - began)
                    return
                await backoff.after(None)
            else:
                self._revision = item.revision
                self._metrics.published("retried" if backoff.failures else "ok", loop.time() - began)
                return

    async def _write(self) -> Revisioned:
        """One attempt, with what is the newest by now."""
        objects = self._objects
        status = self._newest
        if status is None:
            raise RuntimeError("no status was offered")
        data = item_payload(status.model_copy(update={"stream": objects.stream_name}))
        if self._revision is None:
            return await objects.sync.create_item(objects.map.sid, STATUS_KEY, data, objects.ttl)
        return await objects.sync.update_item(objects.map.sid, STATUS_KEY, data, if_match=self._revision, ttl=objects.ttl)

    async def _look(self, map_sid: str) -> None:
        """Somebody wrote the item: whose it is, and at which revision."""
        try:
            found = await persist(lambda: self._objects.sync.fetch_item(map_sid, STATUS_KEY), Backoff(self._chance))
        except TwilioRefused as error:
            if not is_missing(error):
                raise
            self._revision = None
            return
        generation = found.data.get("generation")
        if isinstance(generation, int) and generation > self._objects.owner.generation:
            raise Ousted(SUPERSEDED)
        self._revision = found.revision
