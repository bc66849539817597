"""The relay's end of life: readiness fails first, new upgrades are served a little longer, live calls move, then all closes in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

import structlog

from voiceassist_crds.config import Limits

from ..metrics.relay_metrics import RelayMetrics
from .bridge import FLUSH_GRACE, TURN_GRACE
from .registry import Registry

log = structlog.get_logger("voiceassist.drain")

CLOSE_GRACE = TURN_GRACE + FLUSH_GRACE + 5
MOVE_GRACE = 12.0
"""Seconds of CLOSE_GRACE that a call which is being moved when the time is over may take to be another relay's."""

LEAST_GRACE = 5.0
"""Seconds for the calls' ends in order, however long moves took to end."""


class Mover(Protocol):
    """Moves calls to other relays."""

    nowhere: bool
    """Whether no other relay has a place for them."""

    def __len__(self) -> int:
        """Calls that are being moved now."""

    async def move_all(self, calls: Callable[[], Iterable[Any]]) -> None:
        """Moves these calls until cancelled, or until `begin_no_more` was called and no attempt is left."""

    def begin_no_more(self) -> None:
        """Lets attempts that have begun come to their end."""

    def is_moving(self, call_sid: str) -> bool:
        """Whether an attempt is under way."""


class Drain:
    """Begins once, by SIGTERM or SIGINT; a second signal skips the waiting, not the flush."""

    def __init__(
        self,
        registry: Registry,
        metrics: RelayMetrics,
        limits: Callable[[], Limits],
        moves: Mover | None = None,
    ) -> None:
        self._registry, self._metrics, self._limits, self._moves = registry, metrics, limits, moves
        self._asked = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self._asked.is_set()

    @property
    def moving(self) -> int:
        """Calls that are on their way to another relay."""
        return 0 if self._moves is None else len(self._moves)

    @property
    def nowhere_to_move(self) -> bool:
        """Whether calls are left for which no other relay has a place."""
        return self._moves is not None and self._moves.nowhere and len(self._registry) > 0

    def ask(self) -> None:
        """Begins to drain; asked again, the calls are ended at once."""
        if self._asked.is_set():
            self._hurry.set()
        self._asked.set()
        self._metrics.draining.set(1)

    async def run(self) -> None:
        """Waits for the signal and returns when every call is over and flushed."""
        await self._asked.wait()
        limits = self._limits()
        log.info("draining", calls=len(self._registry), grace=limits.drain_grace_seconds, timeout=limits.drain_timeout_seconds)
        await self._or_hurry(asyncio.sleep(limits.drain_grace_seconds))
        self._registry.refusing = True
        grace = CLOSE_GRACE
        if len(self._registry):
            moving = None if self._moves is None else asyncio.create_task(self._moves.move_all(lambda: self._registry))
            await self._or_hurry(self._registry.wait_empty(limits.drain_timeout_seconds))
            if self._moves is not None and moving is not None:
                grace -= await self._end_moves(self._moves, moving)
        await self._registry.hang_up_all("drain", max(grace, LEAST_GRACE))
        log.info("drained")

    async def _end_moves(self, moves: Mover, moving: asyncio.Task[None]) -> float:
        """The time is over: a call that is on its way to another relay may still get there, the others end. Returns the seconds it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        moves.begin_no_more()
        if len(self._registry) and not self._hurry.is_set():
            self._registry.hang_up("drain", but=moves.is_moving)
            await self._or_hurry(asyncio.wait({moving}, timeout=MOVE_GRACE))
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
        return loop.time() - began

    async def _or_hurry(self, waiting: Coroutine[object, object, object]) -> None:
        hurry, wait = asyncio.create_task(self._hurry.wait()), asyncio.create_task(waiting)
        await asyncio.wait({hurry, wait}, return_when=asyncio.FIRST_COMPLETED)
        for task in (hurry, wait):
            task.cancel()
        await asyncio.gather(hurry, wait, return_exceptions=True)
