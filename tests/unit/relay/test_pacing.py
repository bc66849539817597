"""When a busy loop leaves its sockets alone, and for how long."""

from __future__ import annotations

import random

import pytest

from voiceassist_relay.server.pacing import Pacing

BOUND = 0.002


def played(arrivals: list[float], work: float = 0.0, bound: float = BOUND) -> tuple[int, float]:
    """A loop to which frames come at these moments, and which takes `work` seconds for each: its looks at them, and the longest wait."""
    pacing, now, at, looks, longest = Pacing(bound), 0.0, 0, 0, 0.0
    while at < len(arrivals):
        now = max(now, arrivals[at])
        longest = max(longest, now - arrivals[at])
        found = 0
        while at < len(arrivals) and arrivals[at] <= now:
            at, found = at + 1, found + 1
        looks += 1
        now += found * work
        now += pacing.pause(now, found)
    return looks, longest


def spread(calls: int, seconds: float = 5.0) -> list[float]:
    """Frames of so many calls, each every 20 ms, calls by chance beside each other."""
    chance = random.Random(calls)
    return sorted(phase + 0.02 * number for phase in (chance.random() * 0.02 for _ in range(calls)) for number in range(int(50 * seconds)))


@pytest.mark.parametrize("calls", [1, 2, 4, 7])
def test_pacing_few_calls_are_never_kept_waiting(calls: int) -> None:
    arrivals = spread(calls)
    assert played(arrivals) == (len(set(arrivals)), 0.0)


def test_pacing_many_calls_share_a_look() -> None:
    arrivals = spread(150)
    looks, longest = played(arrivals, work=10e-6)
    assert looks < len(arrivals) / 10
    assert longest <= BOUND + 0.002  # the pause, and the work that its frames are


def test_pacing_a_loop_that_is_busy_all_the_time_does_not_pause() -> None:
    arrivals = spread(150)
    assert played(arrivals, work=200e-6)[1] == pytest.approx(played(arrivals, work=200e-6, bound=0.0)[1], abs=0.01)
    pacing, now = Pacing(BOUND), 0.0
    for _ in range(200):
        now += 0.003
        assert pacing.pause(now, 20) == 0.0


def test_pacing_ends_with_the_frames() -> None:
    pacing, now = Pacing(BOUND), 0.0
    for _ in range(1000):
        now += pacing.pause(now, 15) + 0.0002
    assert pacing.pause(now, 15) > 0
    assert pacing.pause(now + 10, 1) == 0.0  # the first after a silence
    assert pacing.pause(now + 10.001, 1) == 0.0


def test_pacing_without_a_bound_does_nothing() -> None:
    arrivals = spread(150)
    assert played(arrivals, bound=0.0)[0] == len(set(arrivals))
