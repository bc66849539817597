"""Which other relays do not answer this one: pure rules over what was asked of them."""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 2
"""In a row: one lost answer is no news."""
MOST = 16
"""Addresses that are kept; one more takes the place of the one that was needed the longest time ago."""
FORGOTTEN_SECONDS = 86_400.0
"""After a day in which nobody needed it: pods come and go."""


@dataclass(slots=True)
class _Silent:
    failures: int
    needed_at: float


class UnreachedRelays:
    """Private addresses of relays that did not answer when they were last asked."""

    def __init__(self) -> None:
        self._silent: dict[str, _Silent] = {}

    def answered(self, address: str) -> bool:
        """It answered, or nothing listens there any more: either way the network let us through. Returns whether that is news."""
        return self._silent.pop(address, None) is not None

    def silent(self, address: str, now: float, *, needed: bool = True) -> None:
        """It did not answer. `needed`: for a call, and not only to see whether it does by now. `now` in seconds of any steady clock."""
        one = self._silent.pop(address, None) or _Silent(0, now)
        one.failures += 1
        one.needed_at = now if needed else one.needed_at
        if now - one.needed_at >= FORGOTTEN_SECONDS:
            return
        if len(self._silent) >= MOST:
            del self._silent[min(self._silent, key=lambda other: self._silent[other].needed_at)]
        self._silent[address] = one

    @property
    def suspected(self) -> tuple[str, ...]:
        """Who is to be asked again."""
        return tuple(self._silent)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Who does not answer, for all that is known; sorted."""
        return tuple(sorted(address for address, one in self._silent.items() if one.failures >= FAILURES))
