"""AudioBuffer: the latest audio of one track, kept for sessions that are not ready yet or replace another. Pure, bounded.

Times are the loop's, in seconds.
"""

from __future__ import annotations

import binascii
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

FRAME_CHARACTERS = 216
"""Base64 of 160 bytes: 20 ms of mu-law, the one common size."""
_FRAME_BYTES = 160
PACK = 10
"""Frames that are packed together."""
_COMMON = [_FRAME_BYTES] * PACK
_decode = msgspec.json.Decoder(list[bytes]).decode
"""Base64 in half the time of `binascii`."""


class AudioBuffer:
    """Frames, oldest first, and when each arrived: the latest as they came, in base64, and those before them packed as mu-law.

    Appending to `latest` and `arrivals` is the hot path for frames of the common size; about once a second they are packed, which takes
    a third of their memory away. `fresh` counts the frames at the end that no session got yet, `pending` those that the present session did
    not get.
    """

    def __init__(self, seconds: float) -> None:
        self.latest: list[bytes] = []
        self.arrivals: array[float] = array("d")
        self.fresh = 0
        self.pending = 0
        self._most_frames = int(seconds * 50)
        self._most_characters = self._most_frames * FRAME_CHARACTERS
        self._packs: list[bytes] = []  # the mu-law of `PACK` frames of the common size each
        self._gone = 0  # frames at the beginning of the first pack that are forgotten
        self._odd = 0  # frames of another than the common size: there are as good as none
        self._surplus = 0  # characters that they have above that size

    def __len__(self) -> int:
        """Frames that are kept."""
        return self._packed + len(self.latest)

    def wait(self, arrived: float, payload: bytes) -> int:
        """Keeps a frame that no session can take now. Returns how many frames were lost for it: the oldest ones."""
        self.sent(arrived, payload)
        self.fresh += 1
        self.pending += 1
        return self.shrink()

    def sent(self, arrived: float, payload: bytes) -> None:
        """Keeps a frame of any size that the present session got."""
        self.latest.append(payload)
        self.arrivals.append(arrived)
        if len(payload) != FRAME_CHARACTERS:
            self._odd += 1
            self._surplus += len(payload) - FRAME_CHARACTERS

    def shrink(self) -> int:
        """Holds the bound; returns how many frames were lost that no session got."""
        self._drop(len(self) - self._most_frames)
        while len(self) > 1 and len(self) * FRAME_CHARACTERS + self._surplus > self._most_characters:
            self._drop(1)
        self.pending = min(self.pending, len(self))
        lost = max(0, self.fresh - len(self))
        self.fresh -= lost
        return lost

    def pack(self) -> None:
        """Packs what it can; to be called about once a second. Frames behind one of another size wait until that one is forgotten."""
        latest = self.latest
        while len(latest) >= PACK:
            try:
                pieces = _decode(b'["' + b'","'.join(latest[:PACK]) + b'"]')
            except msgspec.DecodeError:
                return
            if list(map(len, pieces)) != _COMMON or (self._odd and any(len(one) != FRAME_CHARACTERS for one in latest[:PACK])):
                return
            self._packs.append(b"".join(pieces))
            del latest[:PACK]

    def kept(self, begin: int, end: int) -> list[bytes]:
        """The frames between two places, counted from the oldest one, in base64."""
        packed, found = self._packed, []
        for place in range(begin, min(end, packed)):
            pack, at = divmod(place + self._gone, PACK)
            found.append(binascii.b2a_base64(self._packs[pack][at * _FRAME_BYTES : (at + 1) * _FRAME_BYTES], newline=False))
        return found + self.latest[max(0, begin - packed) : max(0, end - packed)]

    def trim(self, before: float) -> None:
        """Forgets frames that arrived earlier, except those still to be written, and the very last one."""
        self._drop(min(bisect_left(self.arrivals, before), len(self) - max(1, self.pending)))

    def rewind(self, since: float) -> float:
        """A new session takes over: it gets all frames that arrived at `since` or later, and all that no session got.

        Returns when the first of them arrived; inf if there is none.
        """
        again = len(self.arrivals) - bisect_left(self.arrivals, since)
        self.pending = max(again, self.fresh)
        return self.arrivals[-self.pending] if self.pending else math.inf

    def since(self, arrival: float) -> tuple[Sequence[bytes], Sequence[float]]:
        """The frames that arrived then or later, oldest first, and when each arrived."""
        start = bisect_left(self.arrivals, arrival)
        return self.kept(start, len(self)), self.arrivals[start:]

    def take(self) -> Iterator[tuple[float, bytes, bool]]:
        """The frames to be written to the present session, oldest first, with whether an earlier session got them already.

        Each frame counts as written when it is given out; the caller may stop at any point and go on later.
        """
        start, end = len(self) - self.pending, len(self)
        for arrived, payload in zip(self.arrivals[start:], self.kept(start, end), strict=True):
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
        self.latest.clear()
        self._packs.clear()
        self._gone = 0
        del self.arrivals[:]
        return lost

    @property
    def _packed(self) -> int:
        return len(self._packs) * PACK - self._gone

    @property
    def last_arrival(self) -> float | None:
        """When the latest frame arrived, in seconds of the caller's clock."""
        return self.arrivals[-1] if self.arrivals else None

    def _drop(self, count: int) -> None:
        """Forgets so many of the oldest frames; none if there are fewer than one."""
        if count < 1:
            return
        of_packs = min(count, self._packed)
        packs, self._gone = divmod(self._gone + of_packs, PACK)
        del self._packs[:packs]
        of_latest = count - of_packs
        if self._odd:
            for payload in self.latest[:of_latest]:
                if len(payload) != FRAME_CHARACTERS:
                    self._odd -= 1
                    self._surplus -= len(payload) - FRAME_CHARACTERS
        del self.latest[:of_latest]
        del self.arrivals[:count]
