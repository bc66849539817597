"""Rates: a token bucket for each identity, in a table of bounded size. Pure; time (seconds, any origin) is an argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, and `per_second` in the long run."""

    per_second: float
    burst: int


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class RateTable:
    """Who may go on. When the table is full, the identity that asked longest ago is forgotten: it begins with a full bucket."""

    def __init__(self, rate: Rate, max_identities: int = 4096) -> None:
        self._rate, self._max = rate, max_identities
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, identity: str, now: float) -> float:
        """Takes one request out of the identity's bucket: 0.0, or the seconds until there is one again (nothing is taken)."""
        bucket = self._buckets.get(identity)
        if bucket is None:
            if len(self._buckets) >= self._max:
                self._buckets.popitem(last=False)
            bucket = self._buckets[identity] = _Bucket(float(self._rate.burst), now)
        self._buckets.move_to_end(identity)
        bucket.level = min(float(self._rate.burst), bucket.level + max(0.0, now - bucket.at) * self._rate.per_second)
        bucket.at = now
        if bucket.level >= 1.0:
            bucket.level -= 1.0
            return 0.0
        return (1.0 - bucket.level) / self._rate.per_second
