"""Turn detection from energy: decides from the loudness of each 20 ms where speech starts and stops. Pure; its only clock is the audio."""

from __future__ import annotations

from dataclasses import dataclass

from .formats import WINDOW_MS


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech has begun; ``at_ms`` includes the prefix padding, ``loud_ms`` is where it became loud."""

    at_ms: int
    loud_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Speech has ended; ``at_ms`` includes the silence that had to pass, ``spoken_ms`` is the end of the last loud stretch."""

    at_ms: int
    spoken_ms: int


@dataclass(frozen=True, slots=True)
class VadSettings:
    """What decides: level in dBFS, padding and silence in ms, and how much loud audio makes speech."""

    level_dbfs: float
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    least_speech_ms: int = 40


class EnergyVad:
    """Follows one input buffer. All times are milliseconds of audio written to the buffer in this session."""

    def __init__(self, settings: VadSettings, start_ms: int) -> None:
        self._settings = settings
        self._now = start_ms
        self._floor = start_ms
        self._loud_from: int | None = None
        self._loud_until = start_ms
        self.speaking = False

    @property
    def spoken_until_ms(self) -> int:
        """The end of the last loud stretch."""
        return self._loud_until

    def hear(self, level_dbfs: float) -> SpeechStarted | SpeechStopped | None:
        """Take the loudness of the next 20 ms."""
        settings = self._settings
        begin, self._now = self._now, self._now + WINDOW_MS
        if level_dbfs >= settings.level_dbfs:
            if self._loud_from is None:
                self._loud_from = begin
            self._loud_until = self._now
            if not self.speaking and self._now - self._loud_from >= settings.least_speech_ms:
                self.speaking = True
                return SpeechStarted(max(self._floor, self._loud_from - settings.prefix_padding_ms), self._loud_from)
            return None
        self._loud_from = None
        if self.speaking and self._now - self._loud_until >= max(settings.silence_duration_ms, WINDOW_MS):
            end = self._loud_until + settings.silence_duration_ms
            self.cut(end)
            return SpeechStopped(end, self._loud_until)
        return None

    def cut(self, at_ms: int) -> None:
        """What lies before ``at_ms`` is committed or cleared: no later turn reaches back over it, and no speech is open."""
        self.speaking = False
        self._floor = max(self._floor, at_ms)
        self._loud_from = None

    def retune(self, settings: VadSettings) -> None:
        """Decide by other settings from now on."""
        self._settings = settings
