"""Which other relays there are, which calls each had when it last answered, and which of them are gone: pure rules.

The operator says who answers it, with each of its questions. Every relay asks some of the others which calls they have, every 2 s. One
where nothing listens twice is gone; so is one that gives no answer for 12 s, unless the operator says that it answers. Where a stream of
its has died and nothing listens, the operator's word is older than that: it is asked again at once, and no answer is a second refusal,
since a pod's network goes soon after its processes. The calls of one that is gone are looked after by those that are left: each call has
an order of them, by which one begins at once and the others only if it did not.
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
TOLD_SECONDS: Final = 7.0
"""So long the operator's word stands; it asks every 5 s, and every second while a relay does not answer."""
REFUSALS: Final = 2
"""In a row, 2 s apart; where a stream has died, AGAIN_SECONDS, and what that stream's end led to is the first."""
AGAIN_SECONDS: Final = 0.4
FORGOTTEN_SECONDS: Final = 600.0
MOST: Final = 16
"""Relays that one asks."""
MOST_TOLD: Final = 200
TURN_SECONDS: Final = 2.0
"""Between two of those that may look after a call."""
LONGEST_TURN: Final = 3


@dataclass(slots=True)
class _Other:
    """Another relay, by its last answer: which process it was, and its calls. `refusals`: in a row. `lost`: its calls are looked after.
    `suspect`: one of its streams has died since, and nothing listened where it was."""

    since: float
    process: str = ""
    calls: Sequence[str] = ()
    refusals: int = 0
    refused_at: float = float("-inf")
    lost: bool = False
    suspect: bool = False


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
        """Who is asked now; those that have been given up come last."""
        return tuple(sorted(self._others, key=lambda one: (self._others[one].lost, _order(self._own, one)))[:MOST])

    def answered(self, address: str, process: str, calls: Sequence[str], now: float) -> Sequence[str]:
        """It has these calls. Returns those that an earlier process there had and this one has not."""
        before = self._others.get(address)
        self._others[address] = _Other(now, process, calls)
        if before is None or before.process in {"", process}:
            return ()
        return [call for call in before.calls if call not in calls]

    def is_new(self, address: str, process: str) -> bool:
        """Whether this process has not answered before."""
        other = self._others.get(address)
        return other is None or other.process != process

    def there(self, address: str, now: float) -> None:
        """It answers, and says nothing of its calls: it is of another version, or does not take our proof."""
        other = self._others.get(address)
        if other is not None:
            other.since, other.refusals, other.suspect = now, 0, False

    def suspect(self, address: str, now: float) -> bool:
        """A stream that it had has died, and nothing listened there. Whether that is news: it has calls, and was not suspected."""
        other = self._others.get(address)
        if other is None or other.suspect or not other.calls:
            return False
        other.suspect, other.refusals, other.refused_at = True, 1, now
        return True

    def is_suspect(self, address: str) -> bool:
        """Whether that was its latest news."""
        other = self._others.get(address)
        return other is not None and other.suspect

    def refused(self, address: str, now: float) -> Sequence[str]:
        """Nothing listens there. Returns the calls that it had, if it was so the last time too, and the operator does not say otherwise: a
        network may refuse for it. Of one that is suspected the operator has not heard yet."""
        other = self._others.get(address)
        if other is None or (self._is_told(address, now) and not other.suspect):
            return self._silent(address, now)
        if now - other.refused_at < AGAIN_SECONDS / 2:
            return ()  # two questions at the same time are one
        other.refusals, other.refused_at = other.refusals + 1, now
        return other.calls if other.refusals >= REFUSALS else ()

    def silent(self, address: str, now: float) -> Sequence[str]:
        """It does not answer. Returns the calls that it had, when it counts as gone by that."""
        return self.refused(address, now) if self.is_suspect(address) else self._silent(address, now)

    def _silent(self, address: str, now: float) -> Sequence[str]:
        """Where most of the others are silent, and the operator does not say the same, it is this relay that is cut off."""
        other = self._others.get(address)
        if other is None or self._is_told(address, now) or now - other.since < GONE_SECONDS:
            return ()
        known = [one for one in self._others.values() if one.process]
        silent = sum(now - one.since >= SUSPECTED_SECONDS for one in known)
        if now - self._told_at >= TOLD_SECONDS and len(known) > 1 and silent * 2 > len(known):
            return ()
        return other.calls

    def looked_after(self, address: str) -> None:
        """The calls that it had are looked after from now on."""
        other = self._others.get(address)
        if other is not None:
            other.calls, other.lost = (), True

    def has(self, address: str, call_sid: str) -> bool:
        """Whether it answers again, and has this call."""
        other = self._others.get(address)
        return other is not None and call_sid in other.calls

    def _is_told(self, address: str, now: float) -> bool:
        return address in self._answering and now - self._told_at < TOLD_SECONDS

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
        asked = ((one, self._others[one]) for one in self.to_ask())
        return sorted(one for one, other in asked if other.process and now - other.since >= SUSPECTED_SECONDS)

    def turn(self, call_sid: str, gone: str, now: float) -> float:
        """In how many seconds this relay looks after a call of one that is gone: 0 for the first in that call's order."""
        there = [one for one, other in self._others.items() if one != gone and other.process and now - other.since < SUSPECTED_SECONDS]
        own = _order(call_sid, self._own)
        return TURN_SECONDS * min(LONGEST_TURN, sum(_order(call_sid, one) < own for one in there))


def _order(key: str, address: str) -> bytes:
    return hashlib.blake2b(f"{key} {address}".encode(), digest_size=8).digest()
