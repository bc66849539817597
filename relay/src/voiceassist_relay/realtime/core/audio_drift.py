"""Audio drift (pure): whether a server counts the audio that it was sent as another length than it has.

A server that takes mu-law for PCM, or PCM of one rate for another, hears noise and says nothing of it; but its `audio_end_ms` runs slow
or fast. Where it only lags behind, as after audio that came all at once, it catches up, and no alarm is raised.
"""

from __future__ import annotations

_SHARE = 0.2
_FROM_MS = 8_000.0
"""Less audio than this is no ground to judge on."""
_SURPLUS_MS = 1_000.0
_TURNS = 3
"""Ends of speech in a row that lag behind: one may be late."""


class AudioDrift:
    """One session."""

    def __init__(self) -> None:
        self._slow = 0
        self._told = False

    def stopped(self, heard_ms: float | None, sent_ms: float) -> bool:
        """Speech ended, for the server, at `heard_ms` of its count; `sent_ms` were written. Whether that is to be told, once."""
        if heard_ms is None or heard_ms <= 0 or sent_ms < _FROM_MS or self._told:
            return False
        if heard_ms > sent_ms * (1 + _SHARE) + _SURPLUS_MS:
            self._told = True
        elif heard_ms < sent_ms * (1 - _SHARE) - _SURPLUS_MS:
            self._slow += 1
            self._told = self._slow >= _TURNS
        else:
            self._slow = 0
        return self._told
