"""How often relays are asked and public addresses dialled: all objects together share what an operator at rest may do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unit.operator.making import pods, well
from voiceassist_operator.policy.next_pass import (
    BLOCKED_SECONDS,
    BUSY_POLLS_A_SECOND,
    DIALS_A_SECOND,
    LATE_SECONDS,
    LONGEST_FAILED_SECONDS,
    LONGEST_POLL_SECONDS,
    LONGEST_PROBE_SECONDS,
    POLL_SECONDS,
    POLLS_A_SECOND,
    PROBE_FAILED_SECONDS,
    PROBE_SECONDS,
    RETRY_SECONDS,
    ROLLING_SECONDS,
    STEADY_POLLS,
    dial_is_due,
    until_next_pass,
    until_resync,
)
from voiceassist_operator.policy.observed import Endpoint, EndpointFact, SecretFact
from voiceassist_operator.policy.ownership import Taken

SEEN = well()
PODS = len(SEEN.pods)
RELAY_TAKES_REPORTS_SECONDS = 60.0


def until(*, steady: int = STEADY_POLLS, objects: int = 1, rolling: bool = False, apply_failed: bool = False) -> float:
    return until_next_pass(SEEN, 600.0, rolling=rolling, apply_failed=apply_failed, steady=steady, objects=objects)


@pytest.mark.parametrize("objects", [1, 10, 50])
def test_next_pass_few_objects_are_asked_as_often_as_ever(objects: int) -> None:
    assert until(objects=objects) == POLL_SECONDS


@pytest.mark.parametrize("objects", [200, 400, 500])
def test_next_pass_many_at_rest_share_the_polls(objects: int) -> None:
    assert objects * PODS / until(objects=objects) == pytest.approx(POLLS_A_SECOND)


def test_next_pass_what_has_news_is_asked_as_if_it_were_alone() -> None:
    assert until(steady=STEADY_POLLS - 1, objects=1000) == POLL_SECONDS
    assert until(rolling=True, objects=1000) == ROLLING_SECONDS
    assert until(apply_failed=True, objects=1000) == RETRY_SECONDS


def test_next_pass_configurations_on_their_way_to_many_objects_share_the_polls_too() -> None:
    """After a burst of edits each was asked four times a second: more than the edits themselves cost."""

    def rolled(count: int) -> float:
        return until_next_pass(SEEN, 600.0, rolling=True, apply_failed=False, objects=1000, rolled_at_once=count)

    assert rolled(1) == rolled(5) == ROLLING_SECONDS
    assert 60 * PODS / rolled(60) == pytest.approx(BUSY_POLLS_A_SECOND)
    assert rolled(1000) == POLL_SECONDS


def test_next_pass_one_that_has_just_fallen_silent_is_told_of_soon() -> None:
    late = pods(SEEN, {"late": True})
    assert until_next_pass(late, 600.0, rolling=False, apply_failed=False, objects=1000) == LATE_SECONDS
    ending = pods(SEEN, {"late": True, "terminating": True})
    assert until_next_pass(ending, 600.0, rolling=False, apply_failed=False) == POLL_SECONDS


def test_next_pass_no_relay_waits_so_long_that_what_it_was_told_is_old() -> None:
    assert until(objects=100_000) == LONGEST_POLL_SECONDS < RELAY_TAKES_REPORTS_SECONDS - 10


@pytest.mark.parametrize(
    ("last", "objects", "after"),
    [
        (Endpoint.OK, 1, PROBE_SECONDS),
        (Endpoint.OK, 100, PROBE_SECONDS),
        (Endpoint.OK, 1000, 1000 / DIALS_A_SECOND),
        (Endpoint.OK, 100_000, LONGEST_PROBE_SECONDS),
        (Endpoint.DNS, 1, PROBE_FAILED_SECONDS),
        (Endpoint.DNS, 1000, LONGEST_FAILED_SECONDS),
        (None, 1, PROBE_FAILED_SECONDS),
    ],
)
def test_next_pass_dials_are_shared_as_well(last: Endpoint | None, objects: int, after: float) -> None:
    fact = None if last is None else EndpointFact(last)
    assert not dial_is_due(fact, after - 0.01, objects)
    assert dial_is_due(fact, after, objects)
    assert dial_is_due(fact, float("inf"), objects), "the first one at once"


def test_next_pass_what_no_watch_tells_of_is_looked_at_more_often() -> None:
    assert until_resync(SEEN, 600.0) == until_resync(None, 600.0) == 600.0
    for change in (
        {"taken": (Taken("Service", "a", "x"),)},
        {"credentials": SecretFact("twilio")},
        {"model_key": SecretFact("model", True, released=False)},
    ):
        assert until_resync(replace(SEEN, **change), 600.0) == BLOCKED_SECONDS  # type: ignore[arg-type]
    assert until_resync(replace(SEEN, taken=(Taken("Service", "a", "x"),)), 2.0) == 2.0
