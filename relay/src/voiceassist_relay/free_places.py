"""How many calls the other relays have places for, as the operator last said, and how many move at once by that. Pure."""

from __future__ import annotations

import re
from typing import Final

NEWS_SECONDS: Final = 60.0
"""How long a number stands; the operator asks every 5 s, and more seldom where it has many objects."""
_NUMBER: Final = re.compile(r"[0-9]{1,7}")


class FreePlaces:
    """The newest number."""

    def __init__(self) -> None:
        self._count, self._at = 0, float("-inf")

    def told(self, text: str, now: float) -> None:
        """The operator asked, and said so much; what is no number is passed over. `now` in seconds, never going back."""
        if _NUMBER.fullmatch(text):
            self._count, self._at = int(text), now

    def count(self, now: float) -> int | None:
        """None: nobody has said for some time."""
        return self._count if now - self._at < NEWS_SECONDS else None


def at_once(places: int | None, most: int) -> int:
    """How many calls may be on their way to other relays. One always tries: the number is seconds old, and anybody in the cluster may say
    one."""
    return most if places is None else max(1, min(places, most))
