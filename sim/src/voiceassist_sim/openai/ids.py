"""Makes ids of the vendor's form."""

from __future__ import annotations

import random
import string
from typing import Final

_LETTERS: Final = string.ascii_letters + string.digits
_LENGTH: Final = 21


class Ids:
    """A source of ids, for example ``item_C9G5RJeJ2gF77mV7f2B1j``."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def new(self, prefix: str) -> str:
        """A new id: the prefix (``event``, ``item``, ``resp``, ``call``, ``conv``, ``sess``), an underscore and 21 letters and digits."""
        return f"{prefix}_{''.join(self._rng.choices(_LETTERS, k=_LENGTH))}"
