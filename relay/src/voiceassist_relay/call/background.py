"""Work that goes on after the answer: owned, bounded, awaited or cancelled at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

MAX_TASKS = 2048
"""Twice the calls that one relay may have (1000): if it dies, a callback for each may come to one other relay at once."""
_CANCEL_SECONDS = 5.0

log = structlog.get_logger("voiceassist.functions")


class Background:
    """Holds tasks until they are done. When full, new work is refused, not queued: the caller says so in its answer."""

    def __init__(self, limit: int = MAX_TASKS) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, name: str, work: Coroutine[Any, Any, object]) -> bool:
        """Begins `work`; False, and it never runs, when there is too much already or the end has come."""
        if self._closed or len(self._tasks) >= self._limit:
            work.close()
            log.error("work refused", work=name, under_way=len(self._tasks))
            return False
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    async def idle(self) -> None:
        """Waits until nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def aclose(self, grace: float) -> None:
        """Takes nothing more, waits at most `grace` seconds for what is under way, and cancels the rest. Idempotent."""
        self._closed = True
        try:
            async with asyncio.timeout(grace):
                await self.idle()
        except TimeoutError:
            left = list(self._tasks)
            log.warning("work cancelled that did not end in time", tasks=len(left))
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=_CANCEL_SECONDS)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", work=task.get_name(), error=type(error).__name__, exc_info=error)
