"""Scrapes of /metrics, bounded: each rendering holds up every call, so there is one in a while, and whoever asks gets that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SECONDS = 1.0
"""How long a rendering stands."""
AT_ONCE = 8
"""Answers from one rendering. Who comes after them waits for the next one, so that asking again and again is no faster."""
WAITING = 8
"""Who may wait; further ones are refused."""


class TooMany(Exception):
    """More scrape at once than are let wait."""


class Scrapes:
    """Gives the exposition to those who scrape. `render` is called at most once in `seconds`; 0: for each of them."""

    def __init__(self, render: Callable[[], bytes], seconds: float = SECONDS) -> None:
        self._render, self._seconds = render, seconds
        self._text = b""
        self._stands_until = float("-inf")
        self._given = 0
        self._waiting = 0

    async def text(self) -> bytes:
        """Returns a rendering that is no older than `seconds`. Raises TooMany."""
        time = asyncio.get_running_loop().time
        while (wait := self._stands_until - time()) > 0 and self._given >= AT_ONCE:
            if self._waiting >= WAITING:
                raise TooMany
            self._waiting += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._waiting -= 1
        if wait <= 0:
            self._text, self._given = self._render(), 0
            self._stands_until = time() + self._seconds
        self._given += 1
        return self._text
