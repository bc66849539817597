"""Pace: how far a track's audio has run ahead of real time. Pure; times are seconds of any steady clock.

A call's audio comes in real time; after a stop on its way, what was held back comes at once. A stream that is faster for longer is no
call: what it has too much would fill the model's session, and the bill.
"""

from __future__ import annotations

import math

AHEAD_SECONDS = 30.0
"""So much audio may come at once."""
CATCHING_UP = 1.25
"""Seconds of audio that may come in each second on the long run: clocks differ, and what was held back is caught up with."""


class Pace:
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
