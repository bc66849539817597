"""Call timeline: when each stage of a turn happened, and a call's summary. Pure; all times are loop time in seconds."""

from __future__ import annotations

from collections import Counter

from ..interfaces import TurnTiming

_KEPT = 512
"""Latencies kept for a call's summary; a call of an hour at the highest response rate has more turns, the first ones count."""


class CallTimeline:
    """What one call's turns came to, for the one line at its end."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._latencies: list[float] = []

    def handled(self, outcome: str, timing: TurnTiming) -> None:
        """A turn was handled."""
        self.outcomes[outcome] += 1
        if outcome == "suggested" and timing.stopped_speaking is not None and timing.finished is not None and len(self._latencies) < _KEPT:
            self._latencies.append(max(0.0, timing.finished - timing.stopped_speaking))

    def summary(self) -> dict[str, dict[str, int] | int | None]:
        """Turns by outcome, and the median and worst milliseconds from the customer's last syllable to the finished text."""
        ordered = sorted(self._latencies)
        return {
            "turns": dict(sorted(self.outcomes.items())),
            "latency_p50_ms": round(ordered[len(ordered) // 2] * 1000) if ordered else None,
            "latency_max_ms": round(ordered[-1] * 1000) if ordered else None,
        }
