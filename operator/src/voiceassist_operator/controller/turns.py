"""Turns of the passes that observe everything: so many at once, and first those of objects that somebody has made or edited."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FAVOURED_IN_A_ROW = 7
"""So many that are urgent go before one that waits and is not."""


class Turns:
    """Who waits is served in the order of coming, of the urgent ones first; none waits for ever."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._favoured = 0

    @asynccontextmanager
    async def taken(self, *, urgent: bool) -> AsyncIterator[None]:
        """Holds one of the places."""
        await self._enter(self._urgent if urgent else self._others)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, queue: deque[asyncio.Future[None]]) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place had been given already
            raise

    def _leave(self) -> None:
        while (turn := self._next()) is not None:
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None] | None:
        if self._urgent and (self._favoured < FAVOURED_IN_A_ROW or not self._others):
            self._favoured += 1
            return self._urgent.popleft()
        self._favoured = 0
        return self._others.popleft() if self._others else None
