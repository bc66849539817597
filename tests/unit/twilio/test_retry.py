"""Repeating a request to Twilio: how long is waited, when it is given up, and what is never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_relay.errors import TwilioBusy, TwilioError, TwilioRefused, TwilioUnclear
from voiceassist_relay.twilio.retry import RetryPolicy, retrying

# repeating


@given(failures=st.integers(1, 60), chance=st.floats(0, 1, exclude_max=True), asked=st.none() | st.floats(0, 1e6))
def test_retry_backoff_is_bounded_and_honours_the_asked_wait(failures: int, chance: float, asked: float | None) -> None:
    policy = RetryPolicy(first=0.2, longest=5.0, attempts=None, longest_asked=30.0)
    delay = policy.delay(failures, chance, asked)
    assert delay is not None
    assert 0 <= delay <= max(min(5.0, 0.2 * 2 ** (failures - 1)), min(asked or 0.0, 30.0))
    assert delay >= min(asked or 0.0, 30.0)


def test_retry_backoff_grows_and_gives_up() -> None:
    policy = RetryPolicy(first=0.5, longest=4.0, attempts=6)
    assert [policy.delay(n, 0.999999) for n in range(1, 6)] == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0], rel=1e-4)
    assert policy.delay(6, 0.5) is None


def test_retry_no_attempt_begins_too_late() -> None:
    policy = RetryPolicy(first=2.0, longest=2.0, attempts=None, within=8.0)
    assert policy.delay(1, 0.5, elapsed=7.0) == 1.0
    assert policy.delay(1, 0.5, elapsed=7.1) is None, "attempts that hang take their time too"
    assert policy.delay(50, 0.5, elapsed=0.1) == 1.0


@pytest.mark.parametrize(
    ("errors", "idempotent", "calls"),
    [
        ([TwilioBusy("op", 429, 0, ""), TwilioBusy("op", 429, 0, "")], False, 3),
        ([TwilioUnclear("op", 500, 0, "")], True, 2),
        ([TwilioUnclear("op", 500, 0, "")], False, 1),
        ([TwilioRefused("op", 400, 0, "")], True, 1),
        ([TwilioUnclear("op", 500, 0, "")] * 9, True, 4),
    ],
)
async def test_retry_retrying(errors: list[TwilioError], idempotent: bool, calls: int) -> None:
    made = 0
    slept: list[float] = []

    async def attempt() -> str:
        nonlocal made
        made += 1
        if made <= len(errors):
            raise errors[made - 1]
        return "done"

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    work = retrying(RetryPolicy(attempts=4), attempt, idempotent=idempotent, chance=lambda: 0.5, sleep=sleep)
    if made_it := len(errors) < calls:
        assert await work == "done"
    else:
        with pytest.raises(TwilioError):
            await work
    assert (made, len(slept)) == (calls, calls - 1 if not made_it else len(errors))
