"""Audio clock: turns a session's milliseconds of written audio into the time when that audio arrived. Pure."""

from __future__ import annotations

from array import array

SLOT_MS = 20
KEPT_TRIMS = 12
"""Slots are kept for look-ups until `trim` was called so often since they were written.

At one call a second that is 12 s, and a server that says nothing for 10 s is given up. What counts is when audio was written, not how
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
