"""Lazy event: what tasks wait for, as an `asyncio.Event`, but it holds next to nothing while nobody waits. A call has eighteen of them."""

from __future__ import annotations

import asyncio


class LazyEvent:
    """Set or not. To be used within one event loop; any number of tasks may wait.

    An `asyncio.Event` has a deque, 760 bytes, from its beginning to its end.
    """

    __slots__ = ("_set", "_waiting")

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set

    def set(self) -> None:
        """Wakes everyone who waits, even if it is cleared before they run; until then nobody has to wait."""
        self._set = True
        waiting, self._waiting = self._waiting, None
        for one in waiting or ():
            if not one.done():  # its task was cancelled, and did not run since
                one.set_result(None)

    def clear(self) -> None:
        """Whoever waits from now on waits for the next `set`."""
        self._set = False

    async def wait(self) -> None:
        """Returns once it is set; at once if it is."""
        if self._set:
            return
        one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(one)
        try:
            await one
        finally:
            if self._waiting is not None and one in self._waiting:  # cancelled; after `set` it is not among them
                self._waiting.remove(one)
                self._waiting = self._waiting or None
