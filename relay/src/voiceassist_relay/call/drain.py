"""The relay's end of life: readiness fails first, new upgrades are served a little longer, live calls move, then all closes in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from voiceassist_crds.config import Limits

from ..metrics.relay_metrics import RelayMetrics
from .bridge import FLUSH_GRACE, TURN_GRACE
from .registry import Registry

log = structlog.get_logger("voiceassist.drain")

CLOSE_GRACE = TURN_GRACE + FLUSH_GRACE + 5


class Drain:
    """Begins once, by SIGTERM or SIGINT; a second signal skips the waiting, not the flush."""

    def __init__(
        self,
        registry: Registry,
        metrics: RelayMetrics,
        limits: Callable[[], Limits],
        move_calls: Callable[[], Coroutine[object, object, None]] | None = None,
    ) -> None:
        """`move_calls` moves the calls to other relays, for as long as it runs."""
        self._registry, self._metrics, self._limits, self._move_calls = registry, metrics, limits, move_calls
        self._asked = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self._asked.is_set()

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
        if len(self._registry):
            moving = asyncio.create_task(self._move_calls()) if self._move_calls is not None else None
            await self._or_hurry(self._registry.wait_empty(limits.drain_timeout_seconds))
            if moving is not None:
                moving.cancel()
                await asyncio.gather(moving, return_exceptions=True)
        await self._registry.hang_up_all("drain", CLOSE_GRACE)
        log.info("drained")

    async def _or_hurry(self, waiting: Coroutine[object, object, object]) -> None:
        hurry, wait = asyncio.create_task(self._hurry.wait()), asyncio.create_task(waiting)
        await asyncio.wait({hurry, wait}, return_when=asyncio.FIRST_COMPLETED)
        for task in (hurry, wait):
            task.cancel()
        await asyncio.gather(hurry, wait, return_exceptions=True)
