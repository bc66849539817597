"""Waits after failures: they double up to a bound, have a random part, and have an answer after any number of failures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_operator.twilio.cleanup import BACKOFF as CLEANUP
from voiceassist_operator.twilio.client import Retries
from voiceassist_operator.twilio.flex.reconcile import BACKOFF as FLEX
from voiceassist_operator.twilio.model.backoff import Backoff
from voiceassist_operator.twilio.model.schedule import FAILURES, Cause, next_look

ALL = {"cleanup": CLEANUP, "flex": FLEX, "looks": FAILURES, "requests": Retries()}


@pytest.mark.parametrize("backoff", ALL.values(), ids=ALL)
@given(failures=st.integers(1, 100_000), chance=st.floats(0, 1, exclude_max=True))
def test_backoff_a_wait_is_bounded_whatever_the_number_of_failures(backoff: Backoff, failures: int, chance: float) -> None:
    wait = backoff.delay(failures, chance)
    assert backoff.first * backoff.least <= wait <= backoff.longest


def test_backoff_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first=2.0, longest=30.0)
    assert [backoff.delay(failures, 0.0) for failures in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert backoff.delay(1, 0.5) == 1.5


def test_backoff_twilio_is_looked_at_again_after_days_of_failures() -> None:
    """2.0 ** 1024 is an OverflowError: at a look every five minutes that was after three and a half days."""
    pause = next_look(Cause(failed=True), 5000, 3600.0, 0.0)
    assert pause is not None
    assert 250 < pause <= 300
