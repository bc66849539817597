"""Transcripts of one track as they grow (pure): each that was shown ends exactly once, and empty ones are not shown."""

from __future__ import annotations

from collections.abc import Collection

from voiceassist_crds.messages import Track

from .outputs import Words
from .server_events import whole_characters


class Transcripts:
    """The words of a session's items, by item. At most `most` grow at once, each of at most `longest` characters."""

    def __init__(self, track: Track, longest: int, most: int) -> None:
        self._track, self._longest, self._most = track, longest, most
        self._partial: dict[str, str] = {}
        self._ended: dict[str, None] = {}

    def piece(self, item: str, delta: str) -> list[Words]:
        """More words of an item. One that has ended takes no more."""
        if item in self._ended:
            return []
        text = self._partial[item] = (self._partial.pop(item, "") + delta)[: self._longest]
        found = [] if not text.strip() else [self._words(item, whole_characters(text), final=False)]
        while len(self._partial) > self._most:
            found += self._end(next(iter(self._partial)))
        return found

    def whole(self, item: str, text: str) -> list[Words]:
        """All words of an item. Empty ones are told only to end what was shown."""
        shown = self._partial.pop(item, "").strip()
        return self._told(item, text[: self._longest].strip(), shown)

    def failed(self, item: str) -> list[Words]:
        """No more words of this item will come: what was heard of them stays."""
        return self._end(item) if item in self._partial else self._told(item, "", "")

    def left(self) -> list[Words]:
        """The session is over, and nobody will hear the audio again: what was heard stays."""
        return [words for item in list(self._partial) for words in self._end(item)]

    def abandoned(self, again: Collection[str]) -> list[Words]:
        """The session is gone. The words of the items `again` come again under other items: what was shown of them is taken off, by an
        empty text. The others were heard for good."""
        found = [words for item in list(self._partial) if item not in again for words in self._end(item)]
        found += [words for item, text in self._partial.items() for words in self._told(item, "", text.strip())]
        self._partial.clear()
        return found

    def _end(self, item: str) -> list[Words]:
        text = whole_characters(self._partial.pop(item)).strip()
        return self._told(item, text, text)

    def _told(self, item: str, text: str, shown: str) -> list[Words]:
        if item in self._ended:
            return []
        self._ended[item] = None
        while len(self._ended) > 4 * self._most:
            del self._ended[next(iter(self._ended))]
        return [self._words(item, text, final=True)] if text or shown else []

    def _words(self, item: str, text: str, *, final: bool) -> Words:
        return Words(self._track, item, text, final)
