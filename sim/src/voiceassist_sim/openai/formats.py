"""The audio formats of an input buffer: how many bytes a millisecond has and how loud a stretch of bytes is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voiceassist_sim.audio import ALAW_LINEAR, MULAW_LINEAR

WINDOW_MS: Final = 20
"""Length of the stretches whose loudness is measured."""
SILENT_DBFS: Final = -120.0
"""Loudness that is given for digital silence."""

_FULL_SCALE: Final = 32768.0**2


@dataclass(frozen=True, slots=True, eq=False)
class AudioFormat:
    """One of ``audio/pcmu``, ``audio/pcma`` and ``audio/pcm`` (16 bit, 24 kHz, little-endian)."""

    name: str
    bytes_per_ms: int
    power: npt.NDArray[np.float64] | None
    """Squared sample of each byte; None where samples have two bytes."""

    def _power(self, audio: bytes | bytearray | memoryview) -> npt.NDArray[np.float64]:
        if self.power is not None:
            return self.power.take(np.frombuffer(audio, np.uint8))
        return np.frombuffer(audio, "<i2").astype(np.float64) ** 2

    def levels(self, audio: bytes | bytearray | memoryview) -> list[float]:
        """The loudness in dBFS of each whole 20 ms; what is left over is not measured."""
        window = WINDOW_MS * self.bytes_per_ms
        count = len(audio) // window
        if not count:
            return []
        power = self._power(memoryview(audio)[: count * window])
        samples = len(power) // count
        if count == 1:
            return [_dbfs(float(power.sum()) / samples)]
        return [_dbfs(value / samples) for value in power.reshape(count, samples).sum(axis=1).tolist()]

    def loudness(self, audio: bytes | bytearray) -> float:
        """The loudness in dBFS of a stretch as a whole."""
        even = len(audio) - len(audio) % (1 if self.power is not None else 2)
        return _dbfs(float(self._power(memoryview(audio)[:even]).mean())) if even else SILENT_DBFS


def _dbfs(power: float) -> float:
    return max(SILENT_DBFS, 10 * math.log10(power / _FULL_SCALE)) if power > 0 else SILENT_DBFS


PCMU: Final = AudioFormat("audio/pcmu", 8, MULAW_LINEAR.astype(np.float64) ** 2)
PCMA: Final = AudioFormat("audio/pcma", 8, ALAW_LINEAR.astype(np.float64) ** 2)
PCM: Final = AudioFormat("audio/pcm", 48, None)
_BY_NAME: Final = {audio_format.name: audio_format for audio_format in (PCMU, PCMA, PCM)}


def format_of(config: dict[str, Any]) -> AudioFormat:
    """The format of a configuration's ``audio.input.format``."""
    return _BY_NAME[config["type"]]
