"""AudioBuffer: the latest audio of one track as it came, kept for sessions that are not ready yet or replace another. Pure, bounded.

Times are the loop's, in seconds.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

FRAME_CHARACTERS = 216
"""Base64 of 160 bytes: 20 ms of mu-law, the one common size."""


class AudioBuffer:
    """Frames in base64, oldest first, and when each arrived. Appending to both is the hot path for frames of the common size.

    Two lists and not one of pairs: there is no object per frame that the garbage collector would look at, and what is old goes in
    one step. `fresh` counts the frames at the end that no session got yet, `pending` those that the present session did not get.
    """

    def __init__(self, seconds: float) -> None:
        self.frames: list[bytes] = []
        self.arrivals: array[float] = array("d")
        self.fresh = 0
        self.pending = 0
        self._most_frames = int(seconds * 50)
        self._most_characters = self._most_frames * FRAME_CHARACTERS
        self._odd = 0  # frames of another than the common size: there are as good as none
        self._surplus = 0  # characters that they have above that size

    def wait(self, arrived: float, payload: bytes) -> int:
        """Keeps a frame that no session can take now. Returns how many frames were lost for it: the oldest ones."""
        self.sent(arrived, payload)
        self.fresh += 1
        self.pending += 1
        return self.shrink()

    def sent(self, arrived: float, payload: bytes) -> None:
        """Keeps a frame of any size that the present session got."""
        self.frames.append(payload)
        self.arrivals.append(arrived)
        if len(payload) != FRAME_CHARACTERS:
            self._odd += 1
            self._surplus += len(payload) - FRAME_CHARACTERS

    def shrink(self) -> int:
        """Holds the bound; returns how many frames were lost that no session got."""
        self._drop(len(self.frames) - self._most_frames)
        while len(self.frames) > 1 and len(self.frames) * FRAME_CHARACTERS + self._surplus > self._most_characters:
            self._drop(1)
        self.pending = min(self.pending, len(self.frames))
        lost = max(0, self.fresh - len(self.frames))
        self.fresh -= lost
        return lost

    def trim(self, before: float) -> None:
        """Forgets frames that arrived earlier, except those still to be written, and the very last one."""
        self._drop(min(bisect_left(self.arrivals, before), len(self.frames) - max(1, self.pending)))

    def rewind(self, since: float) -> float:
        """A new session takes over: it gets all frames that arrived at `since` or later, and all that no session got.

        Returns when the first of them arrived; inf if there is none.
        """
        again = len(self.arrivals) - bisect_left(self.arrivals, since)
        self.pending = max(again, self.fresh)
        return self.arrivals[-self.pending] if self.pending else math.inf

    def take(self) -> Iterator[tuple[float, bytes, bool]]:
        """The frames to be written to the present session, oldest first, with whether an earlier session got them already.

        Each frame counts as written when it is given out; the caller may stop at any point and go on later.
        """
        start = len(self.frames) - self.pending
        for arrived, payload in zip(self.arrivals[start:], self.frames[start:], strict=True):
            again = self.pending > self.fresh
            self.pending -= 1
            if not again:
                self.fresh -= 1
            yield arrived, payload, again

    def begin_with(self, frames: Sequence[bytes], arrivals: Sequence[float], fresh: int) -> None:
        """Takes what another relay kept of the track, oldest first; the last `fresh` of the frames no session got yet. To be called before
        anything else is kept."""
        for payload, arrived in zip(frames, arrivals, strict=True):
            self.sent(arrived, payload)
        self.fresh = self.pending = min(fresh, len(frames))
        self.shrink()

    def clear(self) -> int:
        """Forgets everything; returns how many frames no session got."""
        lost, self.fresh, self.pending, self._odd, self._surplus = self.fresh, 0, 0, 0, 0
        self.frames.clear()
        del self.arrivals[:]
        return lost

    @property
    def last_arrival(self) -> float | None:
        """When the latest frame arrived, in seconds of the caller's clock."""
        return self.arrivals[-1] if self.arrivals else None

    def _drop(self, count: int) -> None:
        """Forgets so many of the oldest frames; none if there are fewer than one."""
        if count < 1:
            return
        if self._odd:
            for payload in self.frames[:count]:
                if len(payload) != FRAME_CHARACTERS:
                    self._odd -= 1
                    self._surplus -= len(payload) - FRAME_CHARACTERS
        del self.frames[:count]
        del self.arrivals[:count]
