"""Whether one more call may be started where an object's calls are limited, all relays together. Pure; times never go back."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

ARRIVES_SECONDS: Final = 15.0
"""How long a stream that was asked for here counts although it is nowhere yet."""


class Place(Enum):
    """What became of a request for a place."""

    TAKEN = "taken"
    HELD = "held"
    """The same call has one that was just taken."""
    FULL = "full"


class CallQuota:
    """One relay's view: its own calls, those of others by the operator's last word, and what it has just asked for."""

    def __init__(self) -> None:
        self._others = 0
        self._asked: dict[str, float] = {}

    def told(self, others: int | None) -> None:
        """The operator asked, and said how many calls the other relays have; None: it did not."""
        if others is not None:
            for call in list(self._asked)[: max(0, others - self._others)]:  # they are likely to have come there
                del self._asked[call]
            self._others = others

    def reserve(self, call: str, most: int, here: int, now: float) -> Place:
        """Takes a place for a call whose stream is about to be asked for: it comes to this relay or to another."""
        full = self.calls(here, now) >= most
        if call in self._asked:
            return Place.HELD
        if not full:
            self._asked[call] = now
        return Place.FULL if full else Place.TAKEN

    def forget(self, call: str) -> None:
        """Nothing was asked for."""
        self._asked.pop(call, None)

    def arrived(self, here: Callable[[str], bool]) -> None:
        """Those that came here are counted here."""
        self._asked = {call: at for call, at in self._asked.items() if not here(call)}

    def calls(self, here: int, now: float) -> int:
        """How many there are, with `here` at this relay."""
        self._asked = {call: at for call, at in self._asked.items() if now - at < ARRIVES_SECONDS}
        return here + self._others + len(self._asked)
