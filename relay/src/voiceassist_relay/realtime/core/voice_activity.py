"""Voice activity: notices speech in mu-law frames, for transcription models that refuse turn detection. Pure."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import Enum, auto


def _magnitude(byte: int) -> int:
    """A mu-law byte's absolute amplitude (0 to 32124), scaled down to 0 to 250."""
    inverted = ~byte & 0x7F
    exponent, mantissa = inverted >> 4, inverted & 0x0F
    return ((((mantissa << 3) + 0x84) << exponent) - 0x84) >> 7


_MAGNITUDE = bytes(_magnitude(byte) for byte in range(256))


def loudness(payload: bytes) -> float:
    """Mean amplitude of a base64 mu-law payload, 0 to 1; 0 if it cannot be read."""
    try:
        audio = binascii.a2b_base64(payload)
    except binascii.Error:
        return 0.0
    return sum(audio.translate(_MAGNITUDE)) / (len(audio) * 250) if audio else 0.0


class VoiceEvent(Enum):
    """What was noticed."""

    OPENED = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """Loudness that counts as speech, seconds of speech that open, seconds of silence that close, longest piece."""

    threshold: float = 0.008
    open_after: float = 0.06
    close_after: float = 0.5
    longest: float = 20.0


class VoiceActivity:
    """Speech or not, frame by frame. `started` is when the open speech began."""

    def __init__(self, settings: VoiceSettings | None = None) -> None:
        self.settings = settings or VoiceSettings()
        self.open = False
        self.started = 0.0
        self._loud_since: float | None = None
        self._last_loud = 0.0

    def frame(self, level: float, arrived: float) -> VoiceEvent | None:
        """Takes one frame's loudness, 0 to 1, and its arrival in seconds. Returns what begins or ends with it, or None."""
        if level >= self.settings.threshold:
            if self._loud_since is None:
                self._loud_since = arrived
            self._last_loud = arrived
            if not self.open and arrived - self._loud_since >= self.settings.open_after - 1e-6:
                self.open, self.started = True, self._loud_since
                return VoiceEvent.OPENED
        elif not self.open and arrived - self._last_loud > 0.1:
            self._loud_since = None
        return self.tick(arrived)

    def tick(self, now: float) -> VoiceEvent | None:
        """Ends the speech by time alone, so that it also ends when no frame comes."""
        if self.open and (now - self._last_loud >= self.settings.close_after or now - self.started >= self.settings.longest):
            self.reset()
            return VoiceEvent.CLOSED
        return None

    @property
    def closes_at(self) -> float | None:
        """When, in the seconds of `now`, the speech ends if nothing more is heard."""
        return min(self._last_loud + self.settings.close_after, self.started + self.settings.longest) if self.open else None

    def reset(self) -> None:
        """Closed, and nothing heard."""
        self.open, self._loud_since = False, None
