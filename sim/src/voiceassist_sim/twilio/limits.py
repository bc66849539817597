"""Token buckets by key, with the time passed in: how often something may be done to one object."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

FULL_WRITE_BYTES: Final = 1024
"""Payloads up to this size may be written at the full rate."""
SLOW_WRITE_BYTES: Final = 10240
"""Payloads of this size and above may be written at the slowest rate."""
SLOW_WRITES_SHARE: Final = 0.1
"""The slowest rate as a share of the full one: 2 of 20 writes a second."""

_TOLERANCE: Final = 1e-5
"""Part of a token that may be missing: epoch seconds as floating point numbers are no finer than a quarter of a microsecond."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_second`` in the long run; at once up to what ``burst_seconds`` allow."""

    per_second: float
    burst_seconds: float = 1.0

    @property
    def capacity(self) -> float:
        """How much may be done at once (a number of requests or bytes) by somebody who did nothing before."""
        return max(1.0, self.per_second * self.burst_seconds)


def write_cost(size: int) -> float:
    """What writing ``size`` bytes takes from a bucket: 1 up to 1 KiB, rising to 10 at 10 KiB, where 2 writes a second are left of 20."""
    excess = (size - FULL_WRITE_BYTES) / (SLOW_WRITE_BYTES - FULL_WRITE_BYTES)
    share = 1.0 - (1.0 - SLOW_WRITES_SHARE) * min(max(excess, 0.0), 1.0)
    return 1.0 / share


class Buckets:
    """One bucket per key. At most ``max_keys`` are kept; above that the full ones, which say nothing, go first, then the oldest."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._max_keys = max_keys
        self._buckets: dict[Hashable, tuple[float, float, Rate]] = {}

    def take(self, key: Hashable, rate: Rate, now: float, cost: float = 1.0) -> float:
        """Take ``cost`` from the bucket of ``key``; 0 if granted, else the seconds until it would be, and nothing is taken."""
        level = self._level(key, rate, now)
        if level + _TOLERANCE >= cost:
            if key not in self._buckets and len(self._buckets) >= self._max_keys:
                self._forget(now)
            self._buckets[key] = (level - cost, now, rate)
            return 0.0
        return (cost - level) / rate.per_second

    def __len__(self) -> int:
        return len(self._buckets)

    def _level(self, key: Hashable, rate: Rate, now: float) -> float:
        level, at, _ = self._buckets.get(key, (rate.capacity, now, rate))
        return min(rate.capacity, level + max(0.0, now - at) * rate.per_second)

    def _forget(self, now: float) -> None:
        full = [key for key, (_, _, rate) in self._buckets.items() if self._level(key, rate, now) >= rate.capacity]
        for key in full or list(self._buckets)[: max(1, self._max_keys // 10)]:
            del self._buckets[key]
