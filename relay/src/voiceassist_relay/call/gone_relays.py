"""Which other relays there are, which calls each had when it last answered, and which of them are gone: pure rules.

The operator says who answers it, with each of its questions. Every relay asks some of the others which calls they have, every 2 s. One
where nothing listens any more is gone; so is one that gives no answer for 12 s, unless the operator says that it answers. Its calls are
then looked after by those that are left: each call has an order of them, by which one begins at once and the others only if it did not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ASK_SECONDS: Final = 2.0
SUSPECTED_SECONDS: Final = 4.0
"""Without an answer for so long, a relay is told of in the status."""
GONE_SECONDS: Final = 12.0
"""Without an answer for so long, its calls are started again elsewhere."""
TOLD_SECONDS: Final = 20.0
"""So long the operator's word stands."""
FORGOTTEN_SECONDS: Final = 600.0
MOST: Final = 16
"""Relays that one asks."""
MOST_TOLD: Final = 200
TURN_SECONDS: Final = 2.0
"""Between two of those that may look after a call."""
LONGEST_TURN: Final = 3


@dataclass(slots=True)
class _Other:
    """Another relay, by its last answer: which process it was, and its calls."""

    since: float
    process: str = ""
    calls: Sequence[str] = ()


class OtherRelays:
    """What one relay knows of the others. Addresses are host:port, moments seconds of any steady clock; calls are SIDs."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._others: dict[str, _Other] = {}
        self._answering: frozenset[str] = frozenset()
        self._told_at = float("-inf")

    def told(self, text: str, now: float) -> None:
        """The operator asked, and said who answers it: addresses with commas between them."""
        self._answering, self._told_at = frozenset(text.split(",")[:MOST_TOLD]) - {self._own, ""}, now
        for address in sorted(self._answering - self._others.keys()):
            self._others[address] = _Other(now)
        gone = [one for one, other in self._others.items() if one not in self._answering and now - other.since >= FORGOTTEN_SECONDS]
        for address in gone:
            del self._others[address]

    def to_ask(self) -> tuple[str, ...]:
        """Who is asked now."""
        return tuple(sorted(self._others, key=lambda one: _order(self._own, one))[:MOST])

    def answered(self, address: str, process: str, calls: Sequence[str], now: float) -> Sequence[str]:
        """It has these calls. Returns those that an earlier process there had and this one has not."""
        before = self._others.get(address)
        self._others[address] = _Other(now, process, calls)
        if before is None or before.process in {"", process}:
            return ()
        return [call for call in before.calls if call not in calls]

    def refused(self, address: str) -> Sequence[str]:
        """Nothing listens there any more. Returns the calls that it had."""
        before = self._others.pop(address, None)
        return () if before is None else before.calls

    def silent(self, address: str, now: float) -> Sequence[str]:
        """It does not answer. Returns the calls that it had, once, when it counts as gone by that."""
        other = self._others.get(address)
        told = address in self._answering and now - self._told_at < TOLD_SECONDS
        if other is None or told or now - other.since < GONE_SECONDS:
            return ()
        calls, other.calls = other.calls, ()
        return calls

    def was_busy(self, seconds: float) -> None:
        """This relay itself came so much later than it meant to: nobody can be blamed for that time."""
        for other in self._others.values():
            other.since += seconds

    def silence(self, address: str, now: float) -> float:
        """Seconds since it last answered."""
        other = self._others.get(address)
        return 0.0 if other is None else now - other.since

    def suspected(self, now: float) -> list[str]:
        """Who has answered before and does not now; sorted."""
        return sorted(one for one, other in self._others.items() if other.process and now - other.since >= SUSPECTED_SECONDS)

    def turn(self, call_sid: str, gone: str, now: float) -> float:
        """In how many seconds this relay looks after a call of one that is gone: 0 for the first in that call's order."""
        there = [one for one, other in self._others.items() if one != gone and other.process and now - other.since < SUSPECTED_SECONDS]
        own = _order(call_sid, self._own)
        return TURN_SECONDS * min(LONGEST_TURN, sum(_order(call_sid, one) < own for one in there))


def _order(key: str, address: str) -> bytes:
    return hashlib.blake2b(f"{key} {address}".encode(), digest_size=8).digest()
