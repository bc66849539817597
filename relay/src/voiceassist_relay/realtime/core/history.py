"""History: the conversation so far as text, to begin a call's next session with. Pure, bounded."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from .suggest_tool import AGENT_PREFIX


class Source(Enum):
    """Whose text."""

    CUSTOMER = 0
    AGENT = 1
    SUGGESTION = 2


@dataclass(slots=True)
class Entry:
    """One item. `key` is unique in the call; a customer's text may be empty until it is transcribed."""

    at: float
    source: Source
    key: str
    text: str = ""
    stand_in: str = ""

    @property
    def words(self) -> str:
        """The text, or what stands in for it."""
        return self.text or self.stand_in


@dataclass(frozen=True, slots=True)
class Seed:
    """An item of a new session's conversation."""

    at: float
    key: str
    role: str
    text: str


_at = attrgetter("at")


class History:
    """What was said and suggested in one call, ordered by the time at which it began, then by when it became known.

    The second order matters: the loop's clock has steps of a millisecond, and `ItemOrder` keeps a session's items in the same order.
    """

    def __init__(self, most_characters: int, item_characters: int) -> None:
        self._most = most_characters
        self._longest = item_characters
        self._entries: list[Entry] = []
        self._size = 0

    def customer(self, key: str, at: float) -> None:
        """The customer's turn began at `at`; its words may follow."""
        self._add(Entry(at, Source.CUSTOMER, key))

    def customer_words(self, key: str, text: str) -> None:
        """The customer's words, as transcribed."""
        entry = self._find(key)
        if entry is not None:
            text = text[: self._longest]
            self._size += len(text) - len(entry.text)
            entry.text = text
            self._shrink()

    def agent(self, key: str, at: float, text: str) -> None:
        """The agent's words."""
        self._add(Entry(at, Source.AGENT, key, text[: self._longest]))

    def suggestion(self, key: str, at: float, answer: str, turn: str, question: str) -> None:
        """A suggestion for the turn with the key `turn`; its question stands in for the customer's words where there are none."""
        self._add(Entry(at, Source.SUGGESTION, key, answer[: self._longest]))
        entry = self._find(turn)
        if entry is not None and question:
            question = question[: self._longest]
            self._size += len(question) - len(entry.stand_in)
            entry.stand_in = question

    def words(self, key: str) -> str:
        """The words kept under a key, or what stands in for them."""
        entry = self._find(key)
        return entry.words if entry is not None else ""

    def forget(self, keys: set[str]) -> None:
        """Drops entries: their audio will be heard again."""
        self._entries = [entry for entry in self._entries if entry.key not in keys]
        self._size = sum(len(entry.text) + len(entry.stand_in) for entry in self._entries)

    def seeds(self) -> list[Seed]:
        """The conversation in order; turns of which no words are known are left out."""
        seeds = []
        for entry in self._entries:
            if not entry.words:
                continue
            if entry.source is Source.SUGGESTION:
                seeds.append(Seed(entry.at, entry.key, "assistant", entry.words))
            else:
                prefix = AGENT_PREFIX if entry.source is Source.AGENT else ""
                seeds.append(Seed(entry.at, entry.key, "user", prefix + entry.words))
        return seeds

    def entries(self) -> tuple[Entry, ...]:
        """All that is kept, in order: for another relay."""
        return tuple(self._entries)

    def take_over(self, entries: Iterable[Entry]) -> None:
        """Goes on with what another relay kept."""
        for entry in entries:
            self._add(entry)
        self._size = sum(len(entry.text) + len(entry.stand_in) for entry in self._entries)
        self._shrink()

    def _add(self, entry: Entry) -> None:
        if self._find(entry.key) is None:
            insort(self._entries, entry, key=_at)
            self._size += len(entry.text)
            self._shrink()

    def _find(self, key: str) -> Entry | None:
        for entry in reversed(self._entries):
            if entry.key == key:
                return entry
        return None

    def _shrink(self) -> None:
        cut = 0
        while cut < len(self._entries) - 1 and (self._size > self._most or len(self._entries) - cut > 400):
            gone = self._entries[cut]
            self._size -= len(gone.text) + len(gone.stand_in)
            cut += 1
        del self._entries[:cut]


ROOT = "root"
OUTPUT = "va_o"
"""Begins the names of our outputs of the tool's calls, each of which stands behind its call."""
_KEPT = 200


class ItemOrder:
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

    def follow(self, item: str, *names: str) -> None:
        """Places items right behind another one, or at the end where that is not known any more."""
        at, index = next(
            ((at, index) for index, (at, name) in enumerate(self._items) if name == item), (self._items[-1][0] if self._items else 0.0, -1)
        )
        place = index + 1 if index >= 0 else len(self._items)
        self._items[place:place] = [(at, name) for name in names]
        self._shrink()

    @property
    def items(self) -> tuple[str, ...]:
        """The latest items, in order; an output whose call is forgotten is none of them."""
        names = tuple(name for _, name in self._items)
        return names[1:] if names and names[0].startswith(OUTPUT) and not self._whole else names

    def remove(self, item: str) -> None:
        """An item is no more."""
        self._items = [each for each in self._items if each[1] != item]

    def _shrink(self) -> None:
        if len(self._items) > _KEPT:
            del self._items[: len(self._items) - _KEPT]
            self._whole = False
