"""Pacing (pure): how long a busy event loop leaves its sockets alone, so that one look at them finds many frames.

Times are seconds of a steady clock.
"""

from __future__ import annotations

BUSY_FRAMES = 400
"""Frames in a second from which on a loop is busy: eight tracks. Below, frames come one by one anyway."""
WINDOW = 0.1
"""Seconds over which frames are counted."""
SHORTEST = 0.0001
"""A pause shorter than this costs more than it saves."""


class Pacing:
    """Looks at the sockets begin at least `bound` apart while the loop is busy; work that takes as long leaves no pause.

    To be asked after each look that found frames, when nothing else is left to do.
    """

    def __init__(self, bound: float = 0.0) -> None:
        self.bound = bound
        """The longest pause; 0: none."""
        self._began = float("-inf")  # the latest look
        self._since = float("-inf")  # the window
        self._frames = 0
        self._busy = False

    def pause(self, now: float, frames: int) -> float:
        """Seconds to wait before the next look, 0 for none. `frames`: how many came since this was last asked."""
        self._frames += frames
        if (elapsed := now - self._since) >= WINDOW:
            self._busy = self._frames >= BUSY_FRAMES * elapsed
            self._frames, self._since = 0, now
        left = min(self.bound, self._began + self.bound - now)
        if not self._busy or left < SHORTEST:
            self._began = now
            return 0.0
        self._began = now + left
        return left
