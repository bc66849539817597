"""Likely ends of the customer's sentences: silence, how the voice fell before it, and the last words where they are known. Pure.

One rule. A frame is quiet below a tenth of the turn's own loudness, and below the least that counts as a voice at all. A sentence has
likely ended after `silence` of quiet, and the sooner the softer the voice was just before: the loudest of its last frames, as a share of
the turn's own loudness, is the share of `silence` that is waited for. A voice that is still at its full strength there broke off (a stop
inside a word, somebody who thinks). Longer is waited for where little was said yet (`_EARLY`) and where the words so far ask to be gone on
with (`_OPEN`).
"""

from __future__ import annotations

from typing import Final

FRAME: Final = 0.02
"""Seconds of a frame."""
LEAST_VOICE: Final = 0.003
"""Loudness, 0 to 1, below which nothing is a voice."""
LEAST_SPEECH: Final = 0.2
"""Seconds of voice before a turn is worth an answer."""
GOES_ON: Final = 0.06
"""Seconds of voice after a likely end that disprove it: a click is shorter."""
_QUIET_SHARE: Final = 0.1
_LAST: Final = 8
"""Frames of voice before the silence whose loudest tells how far the voice had fallen."""
_FALLEN: Final = 0.4
"""The least share of the silence that is waited for, however soft the voice was."""
_EARLY: Final = 1.3
"""What it is taken by in the turn's first second of voice: few have said what they want by then."""
_OPEN: Final = 2.0
_OPEN_ENDS: Final = (",", "-", "–", "—", "…", "...", ":", ";", "、", "،")
_OPEN_WORDS: Final = frozenset(
    {
        *("and", "or", "but", "because", "so", "if", "that", "which", "the", "a", "an", "my", "to", "of", "in", "with", "for", "um", "uh"),
        *("und", "oder", "aber", "weil", "dass", "wenn", "der", "die", "das", "ein", "eine", "mein", "meine", "mit", "für", "äh", "ähm"),
        *("y", "o", "pero", "porque", "que", "si", "el", "la", "un", "una", "mi", "con", "para", "de", "en"),
        *("et", "ou", "mais", "parce", "si", "le", "les", "une", "mon", "ma", "avec", "pour", "euh"),
    }
)


def ends_open(words: str) -> bool:
    """Whether the words so far ask to be gone on with; of words that are not known nothing is said."""
    text = words.rstrip()
    return text.endswith(_OPEN_ENDS) or (bool(text) and text.split()[-1].lower() in _OPEN_WORDS)


class SentenceEnd:
    """One turn's voice, frame by frame."""

    def __init__(self) -> None:
        self.last_voice: float | None = None
        """Arrival of the latest frame with a voice."""
        self.quiet = 0.0
        """Seconds of quiet since then, as heard: frames that did not come are none."""
        self._voiced = 0
        self._sum = 0.0
        self._last: list[float] = []  # the latest `_LAST`; a deque takes 750 bytes from the start

    @property
    def voice(self) -> float:
        """Seconds of voice so far."""
        return self._voiced * FRAME

    def hear(self, level: float, arrived: float) -> None:
        """One frame: its loudness, 0 to 1, and its arrival in seconds."""
        if level >= max(LEAST_VOICE, _QUIET_SHARE * self._mean):
            self._voiced += 1
            self._sum += level
            self._last.append(level)
            del self._last[:-_LAST]
            self.last_voice, self.quiet = arrived, 0.0
        else:
            self.quiet += FRAME

    def needed(self, silence: float, words: str = "") -> float:
        """Seconds of quiet after which the sentence has likely ended, where `silence` is what is configured, in seconds."""
        if ends_open(words):
            return silence * _OPEN
        fallen = min(1.0, max(_FALLEN, max(self._last, default=1.0) / (self._mean or 1.0)))
        return silence * fallen * (_EARLY if self.voice < 1.0 else 1.0)

    def ended(self, silence: float, words: str = "") -> bool:
        """Whether the sentence has likely ended; the nearest frame counts."""
        return self.voice >= LEAST_SPEECH and self.quiet > self.needed(silence, words) - FRAME / 2 - 1e-6

    @property
    def _mean(self) -> float:
        return self._sum / self._voiced if self._voiced else 0.0
