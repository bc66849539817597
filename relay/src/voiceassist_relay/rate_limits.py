"""Rates: token buckets, alone or one for each identity in a bounded table. Pure; time (seconds of any steady clock) is an argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, and `per_second` in the long run."""

    per_second: float
    burst: float


class TokenBucket:
    """So many of something per second, with a reserve for bursts, full at first."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate, self._left = rate, float(rate.burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Takes one; False when there is none left."""
        return self.wait(now) == 0.0

    def wait(self, now: float) -> float:
        """Takes one: 0.0; or the seconds until there is one again (nothing is taken)."""
        if self._at is not None:
            self._left = min(float(self._rate.burst), self._left + max(0.0, now - self._at) * self._rate.per_second)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._rate.per_second if self._rate.per_second else float("inf")


class RateTable:
    """Who may go on. When the table is full, the identity that asked longest ago is forgotten: it begins with a full bucket."""

    def __init__(self, rate: Rate, max_identities: int = 4096) -> None:
        self._rate, self._max = rate, max_identities
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, identity: str, now: float) -> float:
        """Takes one request out of the identity's bucket: 0.0, or the seconds until there is one again (nothing is taken)."""
        bucket = self._buckets.get(identity)
        if bucket is None:
            if len(self._buckets) >= self._max:
                self._buckets.popitem(last=False)
            bucket = self._buckets[identity] = TokenBucket(self._rate)
        self._buckets.move_to_end(identity)
        return bucket.wait(now)
