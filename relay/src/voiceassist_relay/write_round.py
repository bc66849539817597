"""Write round: what one look at the sockets found is written when all of it was handled, one socket after the other.

A write right after another one finds the kernel's way of it in the processor's caches, and the reader at the other end is woken for many
frames instead of for each (ADR 18). The event loop begins a round with the first frame of a look and ends it right after the look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

Write = Callable[[bytes], None]


class WriteRound:
    """One event loop's. While a round is on, `held` takes what is to be written, with the transport's `write`; else it is None.

    It holds what one look at the sockets can find, and nothing for longer. Whoever writes to a socket past it calls `flush` before.
    """

    __slots__ = ("__weakref__", "held")

    def __init__(self) -> None:
        self.held: list[tuple[Write, bytes]] | None = None

    @classmethod
    def shared(cls) -> WriteRound:
        """The running loop's own."""
        return _shared.setdefault(asyncio.get_running_loop(), cls())

    def begin(self) -> None:
        """What is to be written waits from now on."""
        if self.held is None:
            self.held = []

    def flush(self) -> None:
        """Writes what waits, in order; the round goes on. What waits for one socket in a row is one write."""
        if self.held:
            held, self.held = self.held, []
            _write(held)

    def end(self) -> None:
        """Writes what waits; what comes until the next round is written at once."""
        held, self.held = self.held, None
        if held:
            _write(held)

    def then(self, callback: Callable[[], None]) -> None:
        """Calls back once what waits now is written; at once if nothing does."""
        if self.held:
            self.held.append((lambda _: callback(), b""))
        else:
            callback()


def _write(held: list[tuple[Write, bytes]]) -> None:
    """Writes to every socket but those that just broke: their protocols will hear of it, and the next session hears what they had."""
    at, most = 0, len(held)
    while at < most:
        write, data = held[at]
        at += 1
        while at < most and held[at][0] is write:
            data += held[at][1]
            at += 1
        try:
            write(data)
        except (RuntimeError, OSError):
            continue


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteRound] = WeakKeyDictionary()
