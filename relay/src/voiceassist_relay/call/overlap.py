"""Where one stream of a call goes on for another (pure): the same audio is found in both, and each frame is heard once.

Two streams of one call count their time from their own beginnings, and come over different ways. What both have heard is the same audio,
byte for byte, so a stretch of the old stream's latest audio is looked for in the new one's; where there is none that can be told apart
(silence), the streams' times are compared by when their audio arrived.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STRETCH: Final = 320
"""Bytes that are looked for: 40 ms."""
FEWEST_VALUES: Final = 4
"""A stretch with fewer different bytes is silence or a tone, which is not looked for."""
PER_MS: Final = 8
MOST_SECONDS: Final = 30.0
"""Audio of the new stream that is kept until the call is handed over; more is dropped, the oldest first."""
_MOST_FRAMES: Final = int(MOST_SECONDS * 50)
_LOOKED_AT: Final = 250
"""Frames of the old stream in which a stretch is looked for: 5 s."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One media message of the new stream: its track, where its audio ends on the stream's clock (ms; -1: not known), when it arrived."""

    inbound: bool
    end_ms: int
    payload: bytes
    arrived: float


class Overlap:
    """The new stream's audio until it is known from where on it counts."""

    def __init__(self) -> None:
        self._pieces: dict[bool, deque[Piece]] = {True: deque(), False: deque()}
        self.dropped = 0

    def put(self, inbound: bool, end_ms: int, payload: bytes, arrived: float) -> None:
        """One more frame."""
        pieces = self._pieces[inbound]
        pieces.append(Piece(inbound, end_ms, payload, arrived))
        if len(pieces) > _MOST_FRAMES:
            pieces.popleft()
            self.dropped += 1

    def of(self, inbound: bool) -> list[Piece]:
        """One track's audio so far."""
        return list(self._pieces[inbound])

    def all(self) -> list[Piece]:
        """Both tracks, in the order of arrival."""
        return sorted((*self._pieces[True], *self._pieces[False]), key=lambda piece: piece.arrived)


@dataclass(frozen=True, slots=True)
class OldTrack:
    """The old stream's latest audio of one track, oldest first, with when it arrived by our clock, and where it ends on its own."""

    until_ms: int
    frames: Sequence[bytes]
    arrivals: Sequence[float]


def shift_of(old: dict[bool, OldTrack], new: Overlap) -> tuple[float, bool] | None:
    """How many ms the new stream's clock is ahead of the old one's (mostly negative), and whether the audio told. None: nothing did."""
    for inbound, track in old.items():
        if track.until_ms >= 0 and (found := _by_audio(track, new.of(inbound))) is not None:
            return found, True
    shifts = [shift for inbound, track in old.items() if track.until_ms >= 0 and (shift := _by_arrival(track, new.of(inbound))) is not None]
    if not shifts:
        return None
    return round(sum(shifts) / len(shifts) / 20) * 20.0, False


def _by_audio(old: OldTrack, new: Sequence[Piece]) -> float | None:
    heard = b"".join(_bytes(frame) for frame in old.frames[-_LOOKED_AT:])
    fresh = b"".join(_bytes(piece.payload) for piece in new)
    if not new or new[-1].end_ms < 0:
        return None
    for end in range(len(heard), STRETCH - 1, -STRETCH // 2):
        stretch = heard[end - STRETCH : end]
        if len(set(stretch)) < FEWEST_VALUES or heard.count(stretch) != 1:
            continue
        at = fresh.find(stretch)
        if at >= 0 and fresh.find(stretch, at + 1) < 0:
            old_ms = old.until_ms - (len(heard) - end) / PER_MS
            new_ms = new[-1].end_ms - (len(fresh) - at - STRETCH) / PER_MS
            return new_ms - old_ms
    return None


def _by_arrival(old: OldTrack, new: Sequence[Piece]) -> float | None:
    """By the frame of each stream that came quickest: what is late says nothing of when it was spoken."""
    if not new or new[-1].end_ms < 0 or not old.arrivals:
        return None
    end, quickest = float(old.until_ms), -1e18
    for frame, arrived in zip(reversed(old.frames), reversed(old.arrivals), strict=True):
        quickest = max(quickest, end - arrived * 1000)
        end -= len(_bytes(frame)) / PER_MS
    return max(piece.end_ms - piece.arrived * 1000 for piece in new) - quickest


def rest(piece: Piece, from_ms: float) -> bytes | None:
    """What of a frame lies behind `from_ms` (-inf: not known) on its stream's clock; None: nothing. One without a time counts whole."""
    if piece.end_ms < 0 or from_ms == -math.inf:
        return piece.payload
    behind = round((piece.end_ms - from_ms) * PER_MS)
    if behind <= 0:
        return None
    audio = _bytes(piece.payload)
    return piece.payload if behind >= len(audio) else base64.b64encode(audio[-behind:])


def gap_ms(new: Sequence[Piece], from_ms: float) -> float:
    """Milliseconds between the end of the old stream's audio and the beginning of the new one's; 0 where they overlap."""
    if not new or new[0].end_ms < 0:
        return 0.0
    begins = new[0].end_ms - len(_bytes(new[0].payload)) / PER_MS
    return max(0.0, begins - from_ms)


def _bytes(payload: bytes) -> bytes:
    try:
        return base64.b64decode(payload)
    except binascii.Error:
        return b""
