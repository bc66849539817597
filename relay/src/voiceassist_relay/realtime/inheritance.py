"""A track and a conversation as one relay leaves them to another (pure): moments of a loop become ages, and moments of the other's loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..handed_over import HandedEntry, HandedTrack, HandedTurn
from ..interfaces import EarlierSuggestion
from .core.history import Entry, Source
from .core.turns import HandOverState, Turn, TurnTimeline


@dataclass(frozen=True, slots=True)
class Inheritance:
    """A track in loop seconds of whoever holds it: its sessions so far, what is open, its latest audio, oldest first.

    The next session hears what arrived at `since` or later, and the last `fresh` frames.
    """

    number: int
    handover: HandOverState
    since: float
    frames: list[bytes]
    arrivals: list[float]
    fresh: int


def handed_track(track: Inheritance, now: float) -> HandedTrack:
    """As it is told."""
    handover = track.handover
    return HandedTrack(
        number=track.number,
        turns=[
            HandedTurn(
                item=turn.item,
                key=turn.key,
                attempts=turn.attempts,
                started=_age(turn.started, now),
                ended=_age(turn.ended, now),
                stopped_speaking=_age(turn.timeline.stopped_speaking, now),
                committed=_age(turn.timeline.committed, now),
            )
            for turn in handover.turns
        ],
        replay_from=_age(handover.replay_from, now),
        not_before=_age(handover.not_before, now),
        since=min(now - track.since, _LONGEST),
        frames=[frame.decode() for frame in track.frames],
        ages=[now - arrived for arrived in track.arrivals],
        fresh=track.fresh,
    )


def inheritance_of(track: HandedTrack, shift: float) -> Inheritance:
    """As it is gone on with: `shift` is the moment of the hand-over."""
    turns = tuple(
        Turn(
            turn.item,
            turn.key,
            started=_moment(turn.started, shift),
            ended=_moment(turn.ended, shift),
            heard=True,
            attempts=turn.attempts,
            timeline=TurnTimeline(
                stopped_speaking=_moment(turn.stopped_speaking, shift),
                committed=_moment(turn.committed, shift),
            ),
        )
        for turn in track.turns
    )
    count = min(len(track.frames), len(track.ages))
    return Inheritance(
        number=track.number,
        handover=HandOverState(turns, _moment(track.replay_from, shift), _moment(track.not_before, shift)),
        since=shift - track.since,
        frames=[frame.encode() for frame in track.frames[len(track.frames) - count :]],
        arrivals=[shift - age for age in track.ages[len(track.ages) - count :]],
        fresh=track.fresh,
    )


def handed_history(entries: Iterable[Entry], now: float) -> list[HandedEntry]:
    """As it is told."""
    return [HandedEntry(now - entry.at, entry.source.value, entry.key, entry.text, entry.stand_in) for entry in entries]


def entries_of(history: Iterable[HandedEntry], shift: float) -> list[Entry]:
    """As it is gone on with; entries of a kind that is not known are left out."""
    known = {source.value: source for source in Source}
    return [
        Entry(shift - entry.at, known[entry.source], entry.key, entry.text, entry.stand_in) for entry in history if entry.source in known
    ]


def entries_recalled(earlier: Sequence[EarlierSuggestion], now: float) -> list[Entry]:
    """What Sync kept, as it is gone on with: in its order, and before all that is heard from `now` on."""
    entries = []
    for age, one in zip(range(len(earlier), 0, -1), earlier, strict=True):
        entries.append(Entry(now - _LONGEST - age, Source.CUSTOMER, f"{one.id}-question", stand_in=one.question))
        entries.append(Entry(now - _LONGEST - age, Source.SUGGESTION, one.id, one.answer))
    return entries


_LONGEST = 3600.0
"""Seconds: an age of all audio, for a track that no session has heard yet."""


def _age(moment: float | None, now: float) -> float | None:
    return None if moment is None else now - moment


def _moment(age: float | None, shift: float) -> float | None:
    return None if age is None else shift - age
