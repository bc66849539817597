"""Liveness: whether a session is overdue. A ping goes unanswered, or an expected event is overdue; silence alone means nothing. Pure."""

from __future__ import annotations

from .limits import SessionLimits

_LATE = 1.0
"""If we look this much later than we should have (our own process was busy), what lies in the socket is read first."""


class Liveness:
    """What one session's server is expected to send."""

    def __init__(self, limits: SessionLimits, now: float) -> None:
        self._limits = limits
        self.heard_at = now
        self.read_until = now
        """What was sent before this the server has read: the moment of the latest ping that was followed by a sign of life."""
        self._pinged: float | None = None
        self._next_ping = now + limits.ping_every
        self._expected: dict[str, float] = {}
        self._looked = now

    def heard(self, at: float) -> None:
        """Bytes came in, of whatever kind."""
        self.heard_at = max(self.heard_at, at)
        if self._pinged is not None and self.heard_at >= self._pinged:
            self.read_until, self._pinged = self._pinged, None

    def ping_due(self, now: float) -> bool:
        """Whether a ping is to be sent now; if so it counts as sent."""
        if self._pinged is not None or now < self._next_ping:
            return False
        self._pinged = now
        self._next_ping = now + self._limits.ping_every
        return True

    def expect(self, event: str, now: float, within: float) -> None:
        """An event of the server is expected within so many seconds; expecting it again moves the date."""
        self._expected[event] = now + within

    def received(self, event: str) -> None:
        """The event came, or is no longer expected."""
        self._expected.pop(event, None)

    def overdue(self, now: float) -> str | None:
        """What did not come in time; None while all is well. To be asked at every housekeeping."""
        late = now - self._looked > self._limits.housekeeping + _LATE
        self._looked = now
        if late:
            return None
        if self._pinged is not None and now - self._pinged > self._limits.pong:
            return "pong"
        for event, by in self._expected.items():
            if now > by:
                return event
        return None
