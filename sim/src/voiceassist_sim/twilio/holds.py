"""Requests whose answers are held until a test releases them."""

from __future__ import annotations

import asyncio
from typing import Final

LONGEST_SECONDS: Final = 3600.0


class Holds:
    """The requests that are held now."""

    def __init__(self) -> None:
        self._held: list[asyncio.Future[None]] = []
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def count(self) -> int:
        """How many are held."""
        return len(self._held)

    async def hold(self) -> None:
        """Stay until released, given up by the client, or for an hour."""
        released = asyncio.get_running_loop().create_future()
        self._held.append(released)
        for count, watcher in self._watchers:
            if self.count >= count and not watcher.done():
                watcher.set_result(None)
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await released
        except TimeoutError:
            pass
        finally:
            self._held.remove(released)

    def release(self) -> int:
        """Let all go on that are held; how many."""
        waiting = [one for one in self._held if not one.done()]
        for one in waiting:
            one.set_result(None)
        return len(waiting)

    async def reached(self, count: int = 1, *, seconds: float = 10.0) -> None:
        """Wait until so many are held; raises TimeoutError."""
        if self.count >= count:
            return
        watcher = asyncio.get_running_loop().create_future()
        self._watchers.append((count, watcher))
        try:
            async with asyncio.timeout(seconds):
                await watcher
        finally:
            self._watchers.remove((count, watcher))
