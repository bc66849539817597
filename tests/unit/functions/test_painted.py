"""Painted suggestions: what a browser's report says, and what it cannot say."""

from __future__ import annotations

import pytest

from voiceassist_relay.functions.painted import painted_seconds

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("finished_ago", "latency_ms", "ago_ms", "seconds"),
    [
        (0.5, 700, 0, 1.2),
        (0.5, 700, 200, 1.0),
        (0.5, 0, 200, 0.3),
        (0.1, 700, 200, 0.7),  # the clocks of two relays: painted 0.1 s before it was finished
        (0.1, 700, 500, None),  # more than clocks differ
        (0.5, None, 0, None),  # the customer's last syllable is not known
        (59.0, 1000, 0, 60.0),
        (59.1, 1000, 0, None),
        (-3600.0, 700, 0, None),
    ],
)
def test_painted_seconds_to_the_paint(finished_ago: float, latency_ms: int | None, ago_ms: int, seconds: float | None) -> None:
    found = painted_seconds(round((NOW - finished_ago) * 1000), latency_ms, ago_ms, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))
