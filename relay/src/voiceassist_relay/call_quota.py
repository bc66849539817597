"""Whether one more call may be started where an object's calls are limited, all relays together. Pure; times never go back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

ARRIVES_SECONDS: Final = 15.0
"""How long a stream that was asked for here counts although it is nowhere yet."""


class CallQuota:
    """One relay's view: its own calls, those of others by the operator's last word, and what it has just asked for."""

    def __init__(self) -> None:
        self._others = 0
        self._asked: dict[str, float] = {}

    def told(self, others: int | None) -> None:
        """The operator asked, and said how many calls the other relays have; None: it did not."""
        if others is not None:
            self._others = others

    def asked(self, call: str, now: float) -> None:
        """A stream of this call is asked for: it comes to this relay or to another."""
        self._asked[call] = now

    def arrived(self, here: Callable[[str], bool]) -> None:
        """Those that came here are counted here."""
        self._asked = {call: at for call, at in self._asked.items() if not here(call)}

    def calls(self, here: int, now: float) -> int:
        """How many there are, with `here` at this relay."""
        self._asked = {call: at for call, at in self._asked.items() if now - at < ARRIVES_SECONDS}
        return here + self._others + len(self._asked)

    def full(self, most: int | None, here: int, now: float) -> bool:
        """Whether one more would be one too many."""
        return most is not None and self.calls(here, now) >= most
