"""Response limiter: at most so many responses in any minute. Pure."""

from __future__ import annotations

MINUTE = 60.0


class ResponseLimiter:
    """Counts the responses asked for in the last 60 s; it outlives sessions."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._asked: list[float] = []

    def free_at(self, now: float) -> float:
        """When the next response may be asked for: `now`, or later."""
        while self._asked and self._asked[0] <= now - MINUTE:
            del self._asked[0]
        if len(self._asked) < self.per_minute:
            return now
        return self._asked[len(self._asked) - self.per_minute] + MINUTE

    def asked(self, now: float) -> None:
        """A response is asked for."""
        self._asked.append(now)
