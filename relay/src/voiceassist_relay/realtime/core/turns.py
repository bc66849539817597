"""Turns: the customer's, from the first syllable to what became of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...interfaces import TurnTiming


@dataclass(slots=True)
class TurnTimeline:
    """The moments of one turn, filled in as they happen; the first report of a moment counts."""

    stopped_speaking: float | None = None
    committed: float | None = None
    requested: float | None = None
    created: float | None = None
    first_delta: float | None = None
    finished: float | None = None

    def stopped(self, arrived: float | None, silence_ms: int | None) -> None:
        """The detection said where speech ended: arrival of that frame, less the silence that it waits for and includes."""
        if arrived is not None:
            self.stopped_speaking = arrived - (silence_ms or 0) / 1000

    def again(self) -> None:
        """The turn is asked for once more: what the failed attempt reached no longer counts."""
        self.requested = self.created = self.first_delta = self.finished = None

    def timing(self, now: float) -> TurnTiming:
        """The turn as handled; `now` stands in for a commit that was never seen."""
        return TurnTiming(
            stopped_speaking=self.stopped_speaking,
            committed=now if self.committed is None else self.committed,
            requested=self.requested,
            created=self.created,
            first_delta=self.first_delta,
            finished=self.finished,
        )


@dataclass(slots=True)
class Turn:
    """One turn. `item` is its id in the session, `key` is unique in the call; times are arrivals of its audio, loop seconds."""

    item: str
    key: str
    started: float | None = None
    ended: float | None = None
    heard: bool = False
    """Its words are known."""
    attempts: int = 0
    """Responses asked for it so far."""
    timeline: TurnTimeline = field(default_factory=TurnTimeline)


@dataclass(frozen=True, slots=True)
class HandOverState:
    """What one session leaves to the next: turns whose words are known, to be answered; and audio to be heard again."""

    turns: tuple[Turn, ...] = ()
    replay_from: float | None = None
    """Arrival of the first frame to be heard again; None: nothing is open, the latest audio will do."""
    not_before: float | None = None
    """Arrival of the last audio that was committed and must not be heard twice."""
    again: tuple[Turn, ...] = ()
    """Turns that were committed and whose audio is to be heard, and counted, again."""


def hand_over(unanswered: list[Turn], speaking: list[Turn], committed_until: float | None) -> tuple[HandOverState, set[str]]:
    """Sorts out the turns of a session that ended, whose audio was committed until this time of the loop, in seconds.

    Returns what the next session is given, and the keys of the turns that will be heard, and counted, again.
    From the first turn on whose words are not known, audio is replayed: what followed it would else come before it.
    """
    known: list[Turn] = []
    again: list[Turn] = []
    for turn in unanswered:
        (again if again or not turn.heard else known).append(turn)
    again_keys = {turn.key for turn in again}
    committed = tuple(again)
    again.extend(speaking)
    if not again:
        return HandOverState(tuple(known), None, committed_until), again_keys
    starts = [turn.started for turn in again if turn.started is not None]
    bounds = [turn.ended for turn in known if turn.ended is not None]
    if not again_keys and committed_until is not None:
        bounds.append(committed_until)
    return HandOverState(tuple(known), min(starts) if starts else None, max(bounds, default=None), committed), again_keys
