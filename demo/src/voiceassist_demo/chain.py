"""Chains what the model sessions of one track heard: every frame that was sent, in order; replays and filled-in silence told apart. Pure.

A session hears one stretch of what was sent, whole and in order, and between its frames silence that the relay filled in. The first
session begins at the first frame. A later one may begin earlier than the one before it came to (a replay), never later (a loss).
Frames are doubled nowhere but in a replay, and how long the replays are is compared with what the relay says of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

FRAME_BYTES = 160
FRAME_MS = 20
SILENCE = b"\xff" * FRAME_BYTES
"""20 ms of mu-law silence, as the relay fills it in."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one session heard: the frames from `begin` up to `end` of what was sent."""

    begin: int
    end: int
    filled: tuple[int, ...] = ()
    """Numbers of the frames in the session that are silence which was not sent."""

    def position(self, frame: int) -> int:
        """The number among the sent frames of the session's frame with that number (of the next one, where silence was filled in)."""
        return self.begin + frame - bisect_left(self.filled, frame)


@dataclass(slots=True)
class Chain:
    """The sessions of one track so far, in the order in which they heard it."""

    sent: int
    """Frames that were sent."""
    covered: int = 0
    """Frames from the first on that have been heard, none of them left out."""
    replayed: int = 0
    """Frames that a session heard although an earlier one had heard them."""
    filled: int = 0
    """Frames of silence that were heard and not sent."""
    faults: list[str] = field(default_factory=list)
    """What no replay and no silence explains."""

    def take(self, stretch: Stretch) -> None:
        """The next session heard this stretch, which begins at `covered` or earlier."""
        self.replayed += min(stretch.end, self.covered) - stretch.begin
        self.covered = max(self.covered, stretch.end)
        self.filled += len(stretch.filled)

    def wrong(self) -> list[str]:
        """What is wrong with the whole track; empty: each frame was heard, in order, and nothing else."""
        missing = self.sent - self.covered
        return self.faults + ([f"the last {missing} frames of {self.sent} were not heard as they were sent"] if missing else [])


def frames_of(audio: bytes) -> list[bytes]:
    """Audio in frames of 20 ms; the last may be shorter."""
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def fit(sent: Sequence[bytes], heard: Sequence[bytes], covered: int) -> Stretch | None:
    """The stretch that a session heard which took over when `covered` frames had been heard; None if there is none.

    Of several the one that comes furthest is taken, then the one with the least silence, then the shortest replay. Where silence was
    sent too, the first of equal frames counts as the one that was sent.
    """
    best: Stretch | None = None
    for begin in range(min(covered, len(sent)), -1, -1):
        found, _ = _follow(sent, heard, begin)
        if found is not None and (best is None or (found.end, -len(found.filled)) > (best.end, -len(best.filled))):
            best = found
    return best


def misfit(sent: Sequence[bytes], heard: Sequence[bytes], covered: int) -> int:
    """Of a session that fits nowhere: the number of the first of its frames that cannot be explained."""
    return max(_follow(sent, heard, begin)[1] for begin in range(min(covered, len(sent)) + 1))


def chain(sent: bytes, sessions: Sequence[bytes]) -> Chain:
    """Chains the sessions of a track, in the order in which they heard it."""
    told = frames_of(sent)
    found = Chain(len(told))
    for number, audio in enumerate(sessions, 1):
        heard = frames_of(audio)
        stretch = fit(told, heard, found.covered)
        if stretch is None:
            found.faults.append(f"session {number}: frame {misfit(told, heard, found.covered)} is lost, doubled or not what was sent")
        else:
            found.take(stretch)
    return found


def as_sent(track: bytes | None, size: int) -> bytes:
    """The first `size` bytes that a call gives of a recording's track: silence after its end, and where there is no track."""
    return (track or b"")[:size].ljust(size, b"\xff")


def _follow(sent: Sequence[bytes], heard: Sequence[bytes], begin: int) -> tuple[Stretch | None, int]:
    """The stretch from `begin` on, or None, and how many frames of the session could be explained."""
    at, filled = begin, list[int]()
    for number, frame in enumerate(heard):
        if at < len(sent) and frame == sent[at]:
            at += 1
        elif frame == SILENCE:
            filled.append(number)
        else:
            return None, number
    return Stretch(begin, at, tuple(filled)), len(heard)
