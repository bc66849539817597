"""The input audio buffer of a session: keeps what was appended and says where turns begin and end. Pure; its only clock is the audio."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from .formats import WINDOW_MS, AudioFormat
from .vad import EnergyVad, SpeechStarted, SpeechStopped, VadSettings

REPLAYABLE_MS: Final = 60_000
"""What is kept before the newest audio when audio is not kept for reports."""


class InputBuffer:
    """Audio of one format, from ``start_ms`` of the session's audio on."""

    def __init__(self, audio_format: AudioFormat, start_ms: int, *, keep: bool) -> None:
        self.format = audio_format
        self.start_ms = start_ms
        self.bytes_written = 0
        self._keep = keep
        self._audio = bytearray()
        self._forgotten = 0
        self._borders: list[int] = []
        self._measured = 0
        self._open_ms = start_ms
        self._vad: EnergyVad | None = None

    @property
    def now_ms(self) -> int:
        """How much audio was written in this session, in whole milliseconds."""
        return self.start_ms + self.bytes_written // self.format.bytes_per_ms

    @property
    def uncommitted_ms(self) -> float:
        """How much audio there is since the last commit or clear, in ms."""
        return self.start_ms + self.bytes_written / self.format.bytes_per_ms - self._open_ms

    @property
    def open_ms(self) -> int:
        """Where the uncommitted audio begins."""
        return self._open_ms

    @property
    def speaking(self) -> bool:
        """Whether a turn is open by turn detection."""
        return self._vad is not None and self._vad.speaking

    @property
    def spoken_until_ms(self) -> int:
        """The end of the last loud stretch, as far as turn detection knows."""
        return self._vad.spoken_until_ms if self._vad else self.now_ms

    def detect(self, settings: VadSettings | None) -> None:
        """Switch turn detection on with these settings, to others, or off."""
        if settings is None:
            self._vad = None
        elif self._vad is not None:
            self._vad.retune(settings)
        else:
            # Detection begins with the next whole 20 ms of what is written from here on.
            self._measured = self.bytes_written
            self._vad = EnergyVad(settings, self.now_ms)

    def append(self, audio: bytes) -> Iterator[SpeechStarted | SpeechStopped]:
        """Write audio; what turn detection finds in it, in order. To be iterated to the end, so that a cut between two finds counts."""
        step = WINDOW_MS * self.format.bytes_per_ms
        self._borders.extend(range(self.bytes_written, self.bytes_written + len(audio), step))
        self._audio += audio
        self.bytes_written += len(audio)
        if self._vad is None:
            return
        for level in self.format.levels(bytes(self._audio[self._measured - self._forgotten :])):
            self._measured += step
            signal = self._vad.hear(level)
            if signal is not None:
                yield signal

    def cut(self, at_ms: int) -> None:
        """What lies before ``at_ms`` is committed or cleared."""
        self._open_ms = max(self._open_ms, at_ms)
        if self._vad is not None:
            self._vad.cut(at_ms)

    def audio(self, start_ms: int, end_ms: int) -> bytes:
        """The bytes between two times (as far as they are still kept)."""
        first = (start_ms - self.start_ms) * self.format.bytes_per_ms - self._forgotten
        last = (end_ms - self.start_ms) * self.format.bytes_per_ms - self._forgotten
        return bytes(self._audio[max(0, first) : max(0, last)])

    def borders(self, start_ms: int, end_ms: int) -> list[int]:
        """Where frames began between two times, as offsets into :meth:`audio`."""
        first = (start_ms - self.start_ms) * self.format.bytes_per_ms
        last = (end_ms - self.start_ms) * self.format.bytes_per_ms
        return [at - first for at in self._borders[bisect_left(self._borders, first) : bisect_left(self._borders, last)]]

    def everything(self) -> bytes:
        """All bytes that are still kept."""
        return bytes(self._audio)

    def forget(self, before_ms: int) -> None:
        """Drop what lies before ``before_ms`` (and more than a minute back), unless audio is kept for reports."""
        if self._keep:
            return
        end = (min(before_ms, self.now_ms - REPLAYABLE_MS) - self.start_ms) * self.format.bytes_per_ms
        drop = min(end, self._measured if self._vad else end) - self._forgotten
        if drop >= 160_000:
            del self._audio[:drop]
            self._forgotten += drop
            del self._borders[: bisect_left(self._borders, self._forgotten)]
