"""The live feed: hands every event to each listener through a bounded queue; a listener that falls behind is dropped, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

QUEUE_LENGTH: Final = 1000
"""Events that one listener may be behind."""
MAX_LISTENERS: Final = 100

Event = Mapping[str, Any]


class Listener:
    """One listener's queue. `next` returns ``None`` when the listener was dropped or the feed is closed."""

    def __init__(self, wants: Callable[[Event], bool], length: int) -> None:
        self.wants = wants
        self.dropped = False
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(length + 1)
        self._length = length

    async def next(self) -> Event | None:
        """The next event."""
        return await self._queue.get()

    def offer(self, event: Event) -> bool:
        """Queue an event; ``False`` when the listener is too far behind, after which it gets nothing more but the end."""
        if self._queue.qsize() >= self._length:
            self.dropped = True
            self.end()
            return False
        self._queue.put_nowait(event)
        return True

    def end(self) -> None:
        """Let `next` return ``None`` after what is queued (the queue keeps one place for this)."""
        if not self._queue.full():
            self._queue.put_nowait(None)


class EventFeed:
    """All listeners."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self.dropped_listeners = 0

    def subscribe(self, wants: Callable[[Event], bool] = lambda _: True, length: int = QUEUE_LENGTH) -> Listener:
        """A new listener for the events that it ``wants``; raises RuntimeError when there are too many."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise RuntimeError(f"{MAX_LISTENERS} listeners at most")
        listener = Listener(wants, length)
        self._listeners.add(listener)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        """Forget a listener."""
        self._listeners.discard(listener)

    def publish(self, event: Event) -> None:
        """Hand an event to all who want it."""
        for listener in list(self._listeners):
            if listener.wants(event) and not listener.offer(event):
                self.dropped_listeners += 1
                self._listeners.discard(listener)

    def close(self) -> None:
        """End all listeners."""
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()
