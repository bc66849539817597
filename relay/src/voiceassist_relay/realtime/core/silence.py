"""Silence fill: a track that falls silent on the wire while speech is open gets mu-law silence, so that the turn can end. Pure."""

from __future__ import annotations

import base64
import math
from typing import Final

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
        """When to look next, while speech is open. `last_frame`: arrival of the last real frame."""
        if last_frame > self._base:
            return last_frame + AFTER
        return max(self._base + AFTER, self._covered + STEP)

    def take(self, now: float, last_frame: float) -> int:
        """Frames to append now."""
        if last_frame > self._base:
            self._base = self._covered = last_frame
        if now - self._base < AFTER - 1e-6:
            return 0
        count = min(MOST, int((now - self._covered) / FRAME_SECONDS + 1e-6))
        self._covered += count * FRAME_SECONDS
        return count
