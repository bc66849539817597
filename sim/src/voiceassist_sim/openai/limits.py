"""Counts responses per key and minute, as the vendor's rate limits do. Pure: time comes in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW_MS: Final = 60_000.0
MAX_KEYS: Final = 1000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: float


class RequestLimiter:
    """Sliding windows of one minute, one per key."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    def take(self, key: str, limit: int, now_ms: float) -> Allowance:
        """Count one request, unless the limit (0: none) is reached."""
        if len(self._times) > MAX_KEYS:
            self._times = {name: times for name, times in self._times.items() if times and times[-1] > now_ms - WINDOW_MS}
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now_ms - WINDOW_MS:
            times.popleft()
        if limit and len(times) >= limit:
            return Allowance(False, limit, 0, round((times[0] + WINDOW_MS - now_ms) / 1000, 3))
        times.append(now_ms)
        shown = limit or 1_000_000
        return Allowance(True, shown, shown - len(times), round((times[0] + WINDOW_MS - now_ms) / 1000, 3))
