"""One timer for all streams of an event loop: calls each when its next frame is due, without drift."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

Tick = Callable[[], float | None]
"""Does what is due and returns when it wants to be called next (loop time, s), ``None`` for never."""

GRID: Final = 0.002
"""Seconds between two passes at least: what is due in between waits for the next pass, so that 200 streams share wake-ups."""
_SLACK: Final = 0.0005
"""Seconds by which a due time may lie ahead in a pass: loops fire timers by up to their clock's resolution too early (uvloop: a ms)."""
_PASS: Final = 0.005
"""Seconds that a pass takes at most; then the loop gets a turn, so that a machine that is too slow for its streams still answers."""


class Pacer:
    """A heap of due times behind one timer of the running loop; `pacer` gives the loop's one."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Tick]] = []
        self._live: set[int] = set()
        self._ids = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._last_pass = float("-inf")

    def add(self, due: float, tick: Tick) -> int:
        """Call ``tick`` at the loop's time ``due`` and then whenever it asks for; the number is for `remove`."""
        ident = next(self._ids)
        self._live.add(ident)
        heapq.heappush(self._heap, (due, ident, tick))
        self._arm()
        return ident

    def remove(self, ident: int) -> None:
        """Never call this one again; unknown numbers are fine."""
        self._live.discard(ident)
        if len(self._heap) > 2 * len(self._live) + 16:
            self._heap = [entry for entry in self._heap if entry[1] in self._live]
            heapq.heapify(self._heap)
        if not self._live:
            self._heap.clear()
            self._disarm()

    def __len__(self) -> int:
        return len(self._live)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if not self._heap:
            return
        due = max(self._heap[0][0], self._last_pass + GRID)
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._disarm()
        self._timer = asyncio.get_running_loop().call_at(due, self._pass)
        self._timer_due = due

    def _pass(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = self._last_pass = loop.time()
        give_way = monotonic() + _PASS  # not the loop's time, which uvloop holds still in a pass
        while self._heap and self._heap[0][0] <= now + _SLACK and monotonic() < give_way:
            _, ident, tick = heapq.heappop(self._heap)
            if ident not in self._live:
                continue
            try:
                again = tick()
            except Exception as error:  # one stream's fault must not stop the others
                loop.call_exception_handler({"message": "a stream's tick failed", "exception": error})
                again = None
            if again is None:
                self._live.discard(ident)
            elif ident in self._live:
                heapq.heappush(self._heap, (again, ident, tick))
        self._arm()


_pacers: WeakKeyDictionary[asyncio.AbstractEventLoop, Pacer] = WeakKeyDictionary()


def pacer() -> Pacer:
    """The pacer of the running loop, made when first asked for."""
    loop = asyncio.get_running_loop()
    found = _pacers.get(loop)
    if found is None:
        found = _pacers[loop] = Pacer()
    return found
