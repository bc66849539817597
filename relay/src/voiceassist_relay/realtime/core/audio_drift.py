"""Audio drift (pure): whether a server counts the audio that it was sent as another length than it has.

A server that takes mu-law for PCM, or PCM of one rate for another, hears noise and says nothing of it; but its `audio_start_ms` and
`audio_end_ms` run slow or fast. Judged is how far they go from one sign (a beginning or an end of speech) to the next, since there are
servers that count from 0 in each buffer, by the clock, or late after audio that came all at once: none of them runs wrong three times in a
row.
"""

from __future__ import annotations

from enum import Enum

_SHARE = 0.2
_FROM_MS = 8_000.0
"""Less audio than this is no ground to judge on."""
_SLACK_MS = 1_000.0
"""By so much a sign may come early or late: padding before speech, silence behind it, a server that thinks about a turn's end."""
_LITTLE_MS = 200.0
"""By so much at most one that is right comes early or late where the whole count is wrong already; between the two nothing is said."""
_SIGNS = 3
"""So many in a row decide."""


class Hearing(Enum):
    """What the signs of a session have shown."""

    RIGHT = "the server counts what it is sent"
    MISREAD = "it counts another length"


class AudioDrift:
    """One session."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._slow = self._fast = self._right = 0
        self._told: Hearing | None = None

    def heard(self, heard_ms: float | None, sent_ms: float) -> Hearing | None:
        """Speech began or ended, for the server, at `heard_ms` of its count; `sent_ms` were written. What is to be told now, if anything.

        Each is told once; one that heard right for a while and then does not is told of.
        """
        if heard_ms is None or heard_ms <= 0:
            return None
        last, self._last = self._last, (heard_ms, sent_ms)
        if last is None or heard_ms < last[0] - _SLACK_MS:  # it counts anew; a beginning may lie a little before the end that came last
            self._slow = self._fast = self._right = 0
            return None
        heard, sent = heard_ms - last[0], sent_ms - last[1]
        if sent_ms < _FROM_MS:
            return None
        behind = heard_ms < sent_ms * (1 - _SHARE) - _SLACK_MS
        ahead = heard_ms > sent_ms * (1 + _SHARE) + _SLACK_MS
        if behind and heard < sent * (1 - _SHARE) - _SLACK_MS:
            self._slow, self._fast, self._right = self._slow + 1, 0, 0
        elif ahead and heard > sent * (1 + _SHARE) + _SLACK_MS:
            self._fast, self._slow, self._right = self._fast + 1, 0, 0
        elif (not behind or heard >= sent * (1 - _SHARE) - _LITTLE_MS > -_LITTLE_MS / 2) and (
            not ahead or heard <= sent * (1 + _SHARE) + _LITTLE_MS
        ):
            self._slow = self._fast = 0
            self._right += sent > _SLACK_MS  # from one burst nothing is learned
        return self._tell()

    def _tell(self) -> Hearing | None:
        if max(self._slow, self._fast) >= _SIGNS:
            found = Hearing.MISREAD
        elif self._right >= _SIGNS:
            found = Hearing.RIGHT
        else:
            return None
        if found is self._told:
            return None
        self._told = found
        return found
