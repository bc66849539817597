"""Windows of the burn-rate alerts, and how times are scaled: the live test runs the same rules at a sixtieth of their times. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Who is told: critical wakes somebody, warning waits for working hours."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """One pair of windows (seconds) and the burn rate above which both must be."""

    severity: Severity
    long: int
    short: int
    rate: float

    @property
    def budget_spent(self) -> float:
        """Share of a 30 days' budget that is gone when the alert fires after a long window of constant burn."""
        return self.rate * self.long / (30 * 86400)


MINUTE, HOUR, DAY = 60, 3600, 86400
BURN_WINDOWS = (
    BurnWindow(Severity.CRITICAL, HOUR, 5 * MINUTE, 14.4),
    BurnWindow(Severity.CRITICAL, 6 * HOUR, 30 * MINUTE, 6),
    BurnWindow(Severity.WARNING, DAY, 2 * HOUR, 3),
    BurnWindow(Severity.WARNING, 3 * DAY, 6 * HOUR, 1),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a stated second takes. 1 is the truth; the live test uses 1/60, and leaves out windows over `longest` seconds."""

    factor: float = 1.0
    longest: int = 3 * DAY

    def seconds(self, stated: float) -> float:
        """Seconds as they are written into the rules."""
        return stated * self.factor

    def duration(self, stated: float) -> str:
        """The same as Prometheus writes durations, to the millisecond."""
        return duration(self.seconds(stated))

    @property
    def windows(self) -> tuple[BurnWindow, ...]:
        """The burn windows that are in use at this scale."""
        return tuple(window for window in BURN_WINDOWS if window.long <= self.longest)


TRUE = Scale()
"""Times as they are stated."""


def duration(seconds: float) -> str:
    """A duration in Prometheus's notation, in the largest unit that divides it: 300 is 5m, 0.5 is 500ms."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{round(seconds * 1000)}ms"
