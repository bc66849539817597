"""Where speech begins and ends in 16-bit PCM at 16 kHz, by its loudness (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

RATE: Final = 16_000
_WINDOW: Final = RATE // 50
"""Samples that are judged together: 20 ms."""
_LOUD: Final = 300.0
"""Root of the mean square from which a window is speech: some -41 dBFS."""
_BEGINS: Final = 4
"""Loud windows of the last `_OF` that begin speech."""
_OF: Final = 8
_BEFORE: Final = 15
"""Windows before its beginning that belong to it."""
_LONGEST: Final = 28 * 50
"""Windows after which speech is cut: the recogniser hears thirty seconds at most."""


@dataclass(frozen=True, slots=True)
class Began:
    """Speech began, at this millisecond of all audio."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Speech ended, at this millisecond of all audio; `pcm` is the whole of it."""

    at_ms: int
    pcm: bytes


class VoiceActivity:
    """One session's audio."""

    def __init__(self) -> None:
        self.silence_ms = 500
        """Silence that ends speech."""
        self._rest = b""
        self._windows: list[bytes] = []
        self._loud: list[bool] = []
        self._quiet = self._count = 0
        self._open = False

    def append(self, pcm: bytes) -> list[Began | Ended]:
        """Takes audio, whole samples or not."""
        audio = self._rest + pcm
        size = 2 * _WINDOW
        whole = len(audio) - len(audio) % size
        self._rest = audio[whole:]
        found: list[Began | Ended] = []
        for at in range(0, whole, size):
            if (event := self._window(audio[at : at + size])) is not None:
                found.append(event)
        return found

    def commit(self) -> Ended | None:
        """Ends speech that is open, at the client's wish; None: nothing is."""
        return self._end() if self._open else None

    def clear(self) -> None:
        """Forgets what was not made a turn of."""
        self._windows, self._loud, self._open, self._quiet, self._rest = [], [], False, 0, b""

    @property
    def _ms(self) -> int:
        return self._count * 20

    def _window(self, window: bytes) -> Began | Ended | None:
        self._count += 1
        loud = float(np.sqrt(np.mean(np.square(np.frombuffer(window, "<i2").astype(np.float64))))) >= _LOUD
        self._windows.append(window)
        if not self._open:
            self._loud = [*self._loud, loud][-_OF:]
            if sum(self._loud) < _BEGINS:
                del self._windows[: -_BEFORE - _OF]
                return None
            self._open, self._quiet = True, 0
            return Began(max(0, self._ms - 20 * len(self._windows)))
        self._quiet = 0 if loud else self._quiet + 1
        return self._end() if self._quiet * 20 >= self.silence_ms or len(self._windows) >= _LONGEST else None

    def _end(self) -> Ended:
        pcm = b"".join(self._windows)
        self.clear()
        return Ended(self._ms, pcm)
