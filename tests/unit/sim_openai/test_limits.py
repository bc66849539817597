"""Requests are counted per key in a sliding minute."""

from __future__ import annotations

from voiceassist_sim.openai.limits import RequestLimiter


def test_a_window_slides_and_keys_do_not_share() -> None:
    limiter = RequestLimiter()
    assert [limiter.take("a", 2, now).allowed for now in (0, 1000, 2000)] == [True, True, False]
    assert limiter.take("b", 2, 2000).allowed
    assert limiter.take("a", 2, 59_999).reset_seconds == 0.001
    assert limiter.take("a", 2, 60_000).allowed
    assert not limiter.take("a", 2, 60_500).allowed
    assert limiter.take("a", 2, 61_000).allowed


def test_without_a_limit_all_are_allowed() -> None:
    limiter = RequestLimiter()
    assert all(limiter.take("a", 0, 0).allowed for _ in range(5000))


def test_keys_that_ask_no_more_are_forgotten() -> None:
    limiter = RequestLimiter()
    for number in range(1500):
        limiter.take(str(number), 1, 0)
    limiter.take("late", 1, 120_000)
    assert len(limiter._times) == 1
