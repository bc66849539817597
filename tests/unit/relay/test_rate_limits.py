"""Token buckets: bursts, refilling, and a table that never grows beyond its bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_relay.rate_limits import Rate, RateTable


def test_rate_limits_a_burst_then_the_rate() -> None:
    table = RateTable(Rate(per_second=2.0, burst=3))
    assert [table.wait("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert table.wait("a", 0.0) == pytest.approx(0.5)
    assert table.wait("a", 0.4) == pytest.approx(0.1)
    assert table.wait("a", 0.5) == 0.0
    assert table.wait("a", 0.5) == pytest.approx(0.5)


def test_rate_limits_each_identity_for_itself() -> None:
    table = RateTable(Rate(per_second=1.0, burst=1))
    assert table.wait("a", 0.0) == 0.0
    assert table.wait("a", 0.0) > 0
    assert table.wait("b", 0.0) == 0.0


def test_rate_limits_a_pause_fills_the_bucket_no_further_than_the_burst() -> None:
    table = RateTable(Rate(per_second=10.0, burst=2))
    table.wait("a", 0.0)
    assert [table.wait("a", 1000.0) == 0.0 for _ in range(3)] == [True, True, False]


def test_rate_limits_a_clock_that_goes_back_gives_nothing_away() -> None:
    table = RateTable(Rate(per_second=1.0, burst=1))
    assert table.wait("a", 100.0) == 0.0
    assert table.wait("a", 50.0) == pytest.approx(1.0)


def test_rate_limits_the_identity_that_asked_longest_ago_is_forgotten() -> None:
    table = RateTable(Rate(per_second=0.001, burst=1), max_identities=2)
    for name in ("a", "b"):
        assert table.wait(name, 0.0) == 0.0
    assert table.wait("a", 0.1) > 0  # b asked longer ago now
    assert table.wait("c", 0.2) == 0.0
    assert len(table) == 2
    assert table.wait("a", 0.3) > 0
    assert table.wait("b", 0.4) == 0.0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 0.5)), max_size=80), st.floats(0.5, 20), st.integers(1, 5))
def test_rate_limits_nobody_gets_more_than_burst_and_rate(steps: list[tuple[str, float]], rate: float, burst: int) -> None:
    table = RateTable(Rate(rate, burst), max_identities=6)
    now, passed = 0.0, dict.fromkeys("abcdef", 0)
    for name, pause in steps:
        now += pause
        passed[name] += table.wait(name, now) == 0.0
        assert passed[name] <= burst + now * rate + 1e-6
        assert len(table) <= 6
