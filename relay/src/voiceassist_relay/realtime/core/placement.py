"""Placement: where in a session's conversation words belong that become known later than they were spoken. Pure."""

from __future__ import annotations

ROOT = "root"
_KEPT = 200


class Placement:
    """The items of one session's conversation in order, each with the time at which it began."""

    def __init__(self) -> None:
        self._items: list[tuple[float, str]] = []
        self._whole = True  # no item was forgotten yet

    def append(self, item: str, at: float) -> None:
        """An item was added at the conversation's end."""
        self._items.append((at, item))
        self._shrink()

    def insert(self, item: str, at: float) -> str | None:
        """Places an item by its time; returns its predecessor's id, "root" for none, None for the conversation's end."""
        index = len(self._items)
        while index > 0 and self._items[index - 1][0] > at:
            index -= 1
        if index == 0 and not self._whole:
            index = 1
        last = index == len(self._items)
        previous = self._items[index - 1][1] if index else ROOT
        self._items.insert(index, (at, item))
        self._shrink()
        return None if last else previous

    def _shrink(self) -> None:
        if len(self._items) > _KEPT:
            del self._items[: len(self._items) - _KEPT]
            self._whole = False
