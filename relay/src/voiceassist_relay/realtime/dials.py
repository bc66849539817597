"""Dials: how many sessions of a process are being opened at once. Shared by its calls, so that no herd forms after a break."""

from __future__ import annotations

import asyncio
from types import TracebackType
from weakref import WeakKeyDictionary

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, Dials] = WeakKeyDictionary()


class Dials:
    """`async with dials:` around an attempt. At most `most` attempts are under way; the others wait in line."""

    def __init__(self, most: int = 64) -> None:
        self._places = asyncio.Semaphore(most)

    @classmethod
    def shared(cls) -> Dials:
        """The running loop's own, for all calls that are given no other."""
        return _shared.setdefault(asyncio.get_running_loop(), cls())

    async def __aenter__(self) -> None:
        await self._places.acquire()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._places.release()
