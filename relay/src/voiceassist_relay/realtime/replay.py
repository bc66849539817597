"""Replay: the latest audio of one track as it came, kept for sessions that are not ready yet or replace another. Pure, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

FRAME_CHARACTERS = 216
"""Base64 of 160 bytes: 20 ms of mu-law, the one common size."""


class Replay:
    """Frames (arrival, base64 payload), oldest first. `frames.append` is the hot path for frames of the common size.

    `fresh` counts the frames at the end that no session got yet, `pending` those that the present session did not get.
    """

    def __init__(self, seconds: float) -> None:
        self.frames: deque[tuple[float, bytes]] = deque()
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
        self.frames.append((arrived, payload))
        if len(payload) != FRAME_CHARACTERS:
            self._odd += 1
            self._surplus += len(payload) - FRAME_CHARACTERS

    def shrink(self) -> int:
        """Holds the bound; returns how many frames were lost that no session got."""
        while len(self.frames) > self._most_frames or (
            len(self.frames) > 1 and len(self.frames) * FRAME_CHARACTERS + self._surplus > self._most_characters
        ):
            self._drop()
        self.pending = min(self.pending, len(self.frames))
        lost = max(0, self.fresh - len(self.frames))
        self.fresh -= lost
        return lost

    def trim(self, before: float) -> None:
        """Forgets frames that arrived earlier, except those still to be written, and the very last one."""
        keep, frames = max(1, self.pending), self.frames
        drop = self._drop if self._odd else frames.popleft
        while len(frames) > keep and frames[0][0] < before:
            drop()

    def rewind(self, since: float) -> None:
        """A new session takes over: it gets all frames that arrived at `since` or later, and all that no session got."""
        again = 0
        for arrived, _ in reversed(self.frames):
            if arrived < since:
                break
            again += 1
        self.pending = max(again, self.fresh)

    def take(self) -> Iterator[tuple[float, bytes, bool]]:
        """The frames to be written to the present session, oldest first, with whether an earlier session got them already.

        Each frame counts as written when it is given out; the caller may stop at any point and go on later.
        """
        start = len(self.frames) - self.pending
        for arrived, payload in list(islice(self.frames, start, None)):
            again = self.pending > self.fresh
            self.pending -= 1
            if not again:
                self.fresh -= 1
            yield arrived, payload, again

    def clear(self) -> int:
        """Forgets everything; returns how many frames no session got."""
        lost, self.fresh, self.pending, self._odd, self._surplus = self.fresh, 0, 0, 0, 0
        self.frames.clear()
        return lost

    @property
    def last_arrival(self) -> float | None:
        """When the latest frame arrived."""
        return self.frames[-1][0] if self.frames else None

    def _drop(self) -> tuple[float, bytes]:
        frame = self.frames.popleft()
        if len(frame[1]) != FRAME_CHARACTERS:
            self._odd -= 1
            self._surplus -= len(frame[1]) - FRAME_CHARACTERS
        return frame
