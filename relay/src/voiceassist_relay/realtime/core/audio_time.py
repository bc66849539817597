"""Audio's time (pure): when written audio arrived, how far a track runs ahead of real time, how much silence fills a gap.

Times are the loop's, in seconds, where a name says nothing else.
"""

from __future__ import annotations

import base64
import math
from array import array
from typing import Final

SLOT_MS = 20
KEPT_TRIMS = 12
"""Slots are kept for look-ups until `trim` was called so often since they were written.

At one call a second that is 12 s, and a server that says nothing for 7 s is given up. What counts is when audio was written, not how
much came since: a session that takes over gets up to 30 s of audio in one go, and speaks of all of it.
"""


def payload_ms(payload: bytes) -> float:
    """Milliseconds of mu-law audio (8 bytes each) in a base64 text."""
    size = len(payload)
    padding = 2 if payload.endswith(b"==") else payload.endswith(b"=")
    return (size // 4 * 3 - padding) / 8


class AudioClock:
    """Arrival times in slots of 20 ms, counted from a session's first byte of audio.

    `slots.append(arrived)` is the whole of the hot path: a frame of 20 ms is one slot.
    """

    def __init__(self) -> None:
        self.slots: array[float] = array("d")
        self._cut = 0
        self._part_ms = 0.0
        self._written: array[int] = array("q")  # slots written so far, at each of the latest calls of `trim`

    @property
    def ms(self) -> float:
        """Milliseconds of audio written so far."""
        return (self._cut + len(self.slots)) * SLOT_MS + self._part_ms

    def wrote(self, ms: float, arrived: float) -> None:
        """Audio of any length was written."""
        self._part_ms += ms
        while self._part_ms >= SLOT_MS:
            self.slots.append(arrived)
            self._part_ms -= SLOT_MS

    def arrival(self, ms: float | None) -> float | None:
        """When the audio just before `ms` arrived; the nearest known time outside of what is kept, None without any audio."""
        if ms is None or not self.slots:
            return None
        slot = -int(-ms // SLOT_MS) - 1 - self._cut  # the slot that ends at or holds the last moment before `ms`
        return self.slots[min(max(slot, 0), len(self.slots) - 1)]

    def trim(self) -> None:
        """Forgets what is too old to be asked about; to be called about once a second."""
        self._written.append(self._cut + len(self.slots))
        if len(self._written) > KEPT_TRIMS:
            old = min(self._written.pop(0) - self._cut, len(self.slots) - 1)  # the last one stays: what is asked too late gets it
            if old > 0:
                del self.slots[:old]
                self._cut += old


AHEAD_SECONDS = 30.0
"""So much audio may come at once."""
CATCHING_UP = 1.25
"""Seconds of audio that may come in each second on the long run: clocks differ, and what was held back is caught up with."""


class RealTimeLimiter:
    """One track. `room` before a frame is taken, `took` when it was."""

    __slots__ = ("_ahead", "_at")

    def __init__(self) -> None:
        self._ahead = 0.0
        self._at = math.inf

    def room(self, now: float) -> bool:
        """Whether more audio is taken at `now`."""
        self._ahead = max(0.0, self._ahead - max(0.0, now - self._at) * CATCHING_UP)
        self._at = now
        return self._ahead < AHEAD_SECONDS

    def took(self, seconds: float) -> None:
        """So much audio was taken."""
        self._ahead += seconds


FRAME: Final = base64.b64encode(b"\xff" * 160)
"""20 ms of mu-law silence, base64."""
FRAME_SECONDS: Final = 0.02
AFTER: Final = 0.2
"""Seconds without a frame after which the track counts as silent on the wire."""
STEP: Final = 0.04
"""Seconds between two looks while silence is being filled in."""
MOST: Final = 50
"""Frames at a time: if our own process was late, the rest is made up at the next looks."""


class SilenceFill:
    """One track's gap: how much of it is filled."""

    def __init__(self) -> None:
        self._base = -math.inf
        self._covered = -math.inf

    def due_at(self, last_frame: float) -> float:
        """Returns when to look next, while speech is open. `last_frame`: arrival of the last real frame."""
        if last_frame > self._base:
            return last_frame + AFTER
        return max(self._base + AFTER, self._covered + STEP)

    def take(self, now: float, last_frame: float) -> int:
        """Returns how many frames of 20 ms to append now."""
        if last_frame > self._base:
            self._base = self._covered = last_frame
        if now - self._base < AFTER - 1e-6:
            return 0
        count = min(MOST, int((now - self._covered) / FRAME_SECONDS + 1e-6))
        self._covered += count * FRAME_SECONDS
        return count
