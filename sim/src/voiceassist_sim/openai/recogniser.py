"""Tells from the audio itself which known utterances were heard, and byte for byte what of them is missing, doubled or out of order.

Audio passes through untouched, so a known utterance's mu-law is found again by stretches of equal bytes. What was heard is read as a
sequence of *runs*, stretches that equal a stretch of one utterance; what lies between them is silence (0xFF) or foreign. Per utterance:

* missing: bytes of it that no run holds;
* doubled: bytes held by runs beyond the first time;
* disordered: the fewest bytes that would have to be moved so that each byte held once lies in the order in which it was spoken;
* cut head or tail: bytes before the first or after the last run where that run touches the border of what was heard, as when a turn
  begins or ends inside an utterance; these are not missing.

A stretch of less than 24 bytes (3 ms) between two losses is too short to be recognised: it counts as foreign, and as missing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from .phrasebook import Utterance

ANCHOR: Final = 16
"""Bytes that must be equal for two stretches to be taken as the same."""
_STRIDE: Final = 8
_FEWEST_VALUES: Final = 4
_SILENCE: Final = re.compile(rb"\xff*")
_PROBES: Final = 48


@dataclass(frozen=True, slots=True)
class Run:
    """Heard bytes ``start`` to ``start + length`` equal the utterance's bytes from ``at``."""

    start: int
    length: int
    utterance: Utterance
    at: int

    @property
    def end(self) -> int:
        """First heard byte after the run."""
        return self.start + self.length

    def without(self, head: int, tail: int) -> Run:
        """The run without some bytes at its ends (with more of them where a number is negative)."""
        return Run(self.start + head, self.length - head - tail, self.utterance, self.at + head)


@dataclass(frozen=True, slots=True)
class Match:
    """What was heard of one utterance; all counts in bytes (8 to the millisecond)."""

    utterance: Utterance
    heard: int
    """Bytes of it that were heard at least once."""
    missing: int
    doubled: int
    disordered: int
    cut_head: int
    cut_tail: int

    @property
    def exact(self) -> bool:
        """Whether what was heard of it is whole, once and in order (apart from cuts at the borders)."""
        return not (self.missing or self.doubled or self.disordered)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a stretch of audio consists of."""

    matches: tuple[Match, ...]
    """One for each utterance, in the order of their first runs."""
    inserted_silence: int
    """Bytes 0xFF between two runs of one utterance."""
    foreign: int
    """Bytes that are neither silence nor known."""

    @property
    def exact(self) -> bool:
        """Whether every utterance is exact and nothing foreign was heard between or around them."""
        return bool(self.matches) and not self.foreign and all(match.exact for match in self.matches)


NOTHING: Final = Heard((), 0, 0)


_Index = dict[bytes, list[tuple[int, int]]]


@lru_cache(maxsize=8)
def _index_of(known: tuple[Utterance, ...]) -> _Index:
    """Where each anchor lies; kept, because tests make many servers for the same calls."""
    index: _Index = {}
    for number, utterance in enumerate(known):
        audio = utterance.audio
        for at in range(0, len(audio) - ANCHOR + 1, _STRIDE):
            anchor = audio[at : at + ANCHOR]
            if len(set(anchor)) >= _FEWEST_VALUES:
                index.setdefault(anchor, []).append((number, at))
    return index


class Recogniser:
    """Finds known utterances in mu-law audio."""

    def __init__(self, utterances: Iterable[Utterance]) -> None:
        self._known = tuple(utterances)
        self._index = _index_of(self._known)

    def hear(self, audio: bytes, borders: Sequence[int] = ()) -> Heard:
        """Read a stretch of audio.

        Args:
            audio: mu-law.
            borders: offsets in it at which frames began, in order. Where a loss or a jump could lie at several neighbouring bytes
                (because those bytes happen to be equal), a frame's border among them is taken.
        """
        if not self._likely(audio):
            return Heard((), 0, _foreign(audio, 0, len(audio)))
        runs = _settle(self._runs(audio), audio, borders)
        if not runs:
            return Heard((), 0, _foreign(audio, 0, len(audio)))
        foreign = inserted = at = 0
        before: Run | None = None
        for run in runs:
            strange = _foreign(audio, at, run.start)
            foreign += strange
            if before is not None and before.utterance is run.utterance:
                inserted += run.start - at - strange
            at, before = run.end, run
        foreign += _foreign(audio, at, len(audio))
        by_utterance: dict[str, list[Run]] = {}
        for run in runs:
            by_utterance.setdefault(run.utterance.id, []).append(run)
        matches = tuple(
            _account(own, touches_start=own[0] is runs[0] and own[0].start == 0, end=len(audio)) for own in by_utterance.values()
        )
        return Heard(matches, inserted, foreign)

    def _likely(self, audio: bytes) -> bool:
        """Whether any of some spots spread over the audio is known, so that unknown audio costs little."""
        step = max(ANCHOR + _STRIDE, len(audio) // _PROBES)
        return any(
            audio[at : at + ANCHOR] in self._index
            for spot in range(0, max(1, len(audio) - ANCHOR + 1), step)
            for at in range(spot, spot + _STRIDE)
        )

    def _runs(self, audio: bytes) -> list[Run]:
        runs: list[Run] = []
        at = 0
        while (found := self._next_anchor(audio, at, runs[-1] if runs else None)) is not None:
            start, number, offset = found
            own = self._known[number].audio
            while start > at and offset > 0 and audio[start - 1] == own[offset - 1]:
                start, offset = start - 1, offset - 1
            length = _equal(audio, start, own, offset)
            runs.append(Run(start, length, self._known[number], offset))
            at = start + length
        return runs

    def _next_anchor(self, audio: bytes, at: int, before: Run | None) -> tuple[int, int, int] | None:
        last = len(audio) - ANCHOR
        while at <= last:
            if audio[at] == 0xFF and audio[at + ANCHOR - 1] == 0xFF:
                silence = _SILENCE.match(audio, at)
                end = silence.end() if silence else at
                if end - at >= ANCHOR:
                    at = end - _FEWEST_VALUES
                    if at > last:
                        break
            places = self._index.get(audio[at : at + ANCHOR])
            if places:
                return (at, *self._nearest(places, before))
            at += 1
        return None

    def _nearest(self, places: list[tuple[int, int]], before: Run | None) -> tuple[int, int]:
        """Of several places with the same bytes the one that follows most closely on what was heard before."""
        if len(places) == 1 or before is None:
            return places[0]
        expected = before.at + before.length

        def distance(place: tuple[int, int]) -> tuple[bool, bool, int]:
            same = self._known[place[0]] is before.utterance
            return (not same, place[1] < expected, abs(place[1] - expected))

        return min(places, key=distance)


def _equal(one: bytes, at: int, other: bytes, offset: int) -> int:
    """How many bytes are equal from the two offsets on."""
    most = min(len(one) - at, len(other) - offset)
    length, step = 0, 256
    while length < most:
        step = min(step, most - length)
        if one[at + length : at + length + step] == other[offset + length : offset + length + step]:
            length += step
        elif step == 1:
            break
        else:
            step //= 2
    return length


def _foreign(audio: bytes, start: int, end: int) -> int:
    return end - start - audio.count(0xFF, start, end)


def _settle(runs: list[Run], audio: bytes, borders: Sequence[int]) -> list[Run]:
    """Where the bytes allow several ends of a run, take a frame's border: at the joint with the next run and where silence follows."""
    for index in range(1, len(runs)):
        left, right = runs[index - 1], runs[index]
        if left.end != right.start:
            continue
        back = 0
        own = right.utterance.audio
        while back < min(left.length - 1, right.at) and audio[right.start - back - 1] == own[right.at - back - 1]:
            back += 1
        border = _border(borders, right.start - back, right.start)
        if border is not None:
            runs[index - 1] = left.without(0, left.end - border)
            runs[index] = right.without(border - right.start, 0)
    for index in range(len(runs)):
        run = runs[index]
        silent = _silence_after(audio, run.start)
        if run.at > 0 and silent > run.start > 0 and audio[run.start - 1] == 0xFF:
            border = _border(borders, run.start + 1, min(silent, run.end - 1))
            if border is not None:
                runs[index] = run = run.without(border - run.start, 0)
        silent = _silence_before(audio, run.end)
        if run.at + run.length < len(run.utterance.audio) and silent < run.end < len(audio) and audio[run.end] == 0xFF:
            border = _border(borders, max(silent, run.start + 1), run.end - 1)
            if border is not None:
                runs[index] = run.without(0, run.end - border)
    return runs


def _border(borders: Sequence[int], first: int, last: int) -> int | None:
    """The first border between two offsets, both included."""
    where = bisect_left(borders, first)
    return borders[where] if where < len(borders) and borders[where] <= last else None


def _silence_after(audio: bytes, at: int) -> int:
    found = _SILENCE.match(audio, at)
    return found.end() if found else at


def _silence_before(audio: bytes, at: int) -> int:
    while at > 0 and audio[at - 1] == 0xFF:
        at -= 1
    return at


def _account(runs: list[Run], *, touches_start: bool, end: int) -> Match:
    utterance = runs[0].utterance
    size = len(utterance.audio)
    first = min(run.at for run in runs)
    last = max(run.at + run.length for run in runs)
    points = sorted({run.at for run in runs} | {run.at + run.length for run in runs})
    widths = [after - before for before, after in pairwise(points)]
    number = {point: index for index, point in enumerate(points)}
    sequence = [piece for run in runs for piece in range(number[run.at], number[run.at + run.length])]
    heard = sum(widths[piece] for piece in set(sequence))
    total = sum(widths[piece] for piece in sequence)
    cut_head = first if touches_start and runs[0].at == first else 0
    cut_tail = size - last if runs[-1].end == end and runs[-1].at + runs[-1].length == last else 0
    return Match(
        utterance=utterance,
        heard=heard,
        missing=size - heard - cut_head - cut_tail,
        doubled=total - heard,
        disordered=heard - _heaviest_rise(sequence, widths),
        cut_head=cut_head,
        cut_tail=cut_tail,
    )


def _heaviest_rise(sequence: list[int], widths: list[int]) -> int:
    """The weight of the heaviest strictly rising subsequence (a Fenwick tree of maxima)."""
    tree = [0] * (len(widths) + 1)
    for piece in sequence:
        best, at = 0, piece
        while at > 0:
            best = max(best, tree[at])
            at -= at & -at
        best += widths[piece]
        at = piece + 1
        while at < len(tree):
            tree[at] = max(tree[at], best)
            at += at & -at
    return max(tree)
