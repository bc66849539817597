"""Scrapes of /metrics, bounded: a rendering costs what frames could have, so there is one in a while, and whoever asks gets that one.

It is made in slices, between which the event loop does what else there is: no frame waits for all of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

SECONDS = 1.0
"""How long a rendering stands."""
AT_ONCE = 8
"""Answers from one rendering. Who comes after them waits for the next one, so that asking again and again is no faster."""
SLICE = 0.001
"""Seconds after which a rendering lets others go first."""
WAITING = 8
"""Who may wait; further ones are refused."""


class TooMany(Exception):
    """More scrape at once than are let wait."""


class Scrapes:
    """Gives the exposition to those who scrape. `render` is called at most once in `seconds`; 0: for each of them. It gives pieces."""

    def __init__(self, render: Callable[[], Iterable[str]], seconds: float = SECONDS) -> None:
        self._render, self._seconds = render, seconds
        self._text = b""
        self._stands_until = float("-inf")
        self._given = 0
        self._waiting = 0
        self._rendering: asyncio.Task[None] | None = None

    async def text(self) -> bytes:
        """Returns a rendering that is no older than `seconds`. Raises TooMany."""
        loop = asyncio.get_running_loop()
        while (wait := self._stands_until - loop.time()) <= 0 or self._given >= AT_ONCE:
            if wait <= 0:
                mine = self._rendering is None
                if self._rendering is None:
                    self._rendering = loop.create_task(self._in_slices())
                await asyncio.shield(self._rendering)
                if mine:
                    break
                continue
            if self._waiting >= WAITING:
                raise TooMany
            self._waiting += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._waiting -= 1
        self._given += 1
        return self._text

    async def _in_slices(self) -> None:
        try:
            pieces, until = [], time.perf_counter() + SLICE
            for piece in self._render():
                pieces.append(piece)
                if time.perf_counter() > until:
                    await asyncio.sleep(0)
                    until = time.perf_counter() + SLICE
            self._text, self._given = "".join(pieces).encode(), 0
            self._stands_until = asyncio.get_running_loop().time() + self._seconds
        finally:
            self._rendering = None
