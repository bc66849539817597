"""Audio in the form that a model takes (pure): Twilio's mu-law as it comes, or 16-bit PCM at a higher rate.

Decoding and the change of rate are `audioop`'s: of Python itself up to 3.12, of the package audioop-lts from 3.13 on.
"""

from __future__ import annotations

import binascii
import warnings
from collections.abc import Callable
from typing import Final

from voiceassist_crds.config import AudioFormat

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

Encoder = Callable[[bytes], bytes]
"""Makes of one frame's base64 mu-law the base64 that the model takes."""

_RATES: Final = {AudioFormat.PCM16K: 16_000, AudioFormat.PCM24K: 24_000}
_WIRE_RATE: Final = 8_000


class Pcm:
    """One session's audio as 16-bit little-endian PCM: each frame goes on where the one before it ended."""

    __slots__ = ("_rate", "_state")

    def __init__(self, rate: int) -> None:
        """`rate`: samples a second."""
        self._rate = rate
        self._state: object = None

    def __call__(self, payload: bytes) -> bytes:
        """What cannot be read as base64 becomes no audio."""
        try:
            samples = audioop.ulaw2lin(binascii.a2b_base64(payload), 2)
        except binascii.Error:
            return b""
        samples, self._state = audioop.ratecv(samples, 2, 1, _WIRE_RATE, self._rate, self._state)  # type: ignore[arg-type]
        return binascii.b2a_base64(samples, newline=False)


def encoder(form: AudioFormat) -> Encoder | None:
    """A session's encoder; None where frames go out as they came."""
    rate = _RATES.get(form)
    return None if rate is None else Pcm(rate)
