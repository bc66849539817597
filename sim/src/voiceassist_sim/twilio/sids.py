"""Makes and recognises Twilio's identifiers: two letters and 32 hexadecimal digits."""

from __future__ import annotations

import random
import re
from typing import Final

_SID: Final = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}\Z", re.ASCII)


class SidSource:
    """A source of identifiers that never repeat; the same ``seed`` gives the same identifiers, ``None`` takes the system's randomness."""

    def __init__(self, seed: int | None = None) -> None:
        self._random: random.Random = random.SystemRandom() if seed is None else random.Random(seed)

    def __call__(self, prefix: str) -> str:
        """A new identifier, for example ``CA`` and 32 digits."""
        return f"{prefix}{self._random.getrandbits(128):032x}"

    def secret(self) -> str:
        """A new secret of 32 hexadecimal digits."""
        return f"{self._random.getrandbits(128):032x}"


def is_sid(text: str, prefix: str = "") -> bool:
    """Whether ``text`` has the shape of an identifier (of this kind, if ``prefix`` is given)."""
    return bool(_SID.match(text)) and text.startswith(prefix)
