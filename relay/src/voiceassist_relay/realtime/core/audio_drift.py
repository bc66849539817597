"""Audio drift (pure): whether a server counts the audio that it was sent as another length than it has.

A server that takes mu-law for PCM, or PCM of one rate for another, hears noise and says nothing of it; but its `audio_start_ms` and
`audio_end_ms` run slow or fast. Where it only lags behind, as after audio that came all at once, it catches up, and no alarm is raised.
"""

from __future__ import annotations

from collections import deque

_SHARE = 0.2
_FROM_MS = 8_000.0
"""Less audio than this is no ground to judge on."""
_SURPLUS_MS = 1_000.0
_SIGNS = 3
"""Beginnings and ends of speech in a row that run slow: a few may be late."""
_SETTLED = 3.0
"""Seconds in which a server has heard what it was sent."""


class AudioDrift:
    """One session."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, float]] = deque(maxlen=32)
        self._settled_ms = 0.0
        self._slow = 0
        self._told = False

    def heard(self, heard_ms: float | None, sent_ms: float, now: float) -> bool:
        """Speech began or ended, for the server, at `heard_ms` of its count; `sent_ms` were written. Whether that is to be told, once.

        `now`: seconds of any clock.
        """
        while self._sent and self._sent[0][0] <= now - _SETTLED:
            self._settled_ms = self._sent.popleft()[1]
        self._sent.append((now, sent_ms))
        if heard_ms is None or heard_ms <= 0 or sent_ms < _FROM_MS or self._told:
            return False
        if heard_ms > sent_ms * (1 + _SHARE) + _SURPLUS_MS:
            self._told = True
        elif heard_ms < self._settled_ms * (1 - _SHARE) - _SURPLUS_MS:
            self._slow += 1
            self._told = self._slow >= _SIGNS
        else:
            self._slow = 0
        return self._told
