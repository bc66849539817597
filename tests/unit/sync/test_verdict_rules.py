"""One verdict each: what a further report changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_relay.sync.verdict_rules import NOTHING, Reception, judged, painted, read_reception

VERDICTS = st.sampled_from(["up", "down", "edited"])
REASONS = st.sampled_from(["", "wrong", "too_late"])
REPORTS = st.lists(st.tuples(VERDICTS, REASONS))


@pytest.mark.parametrize(
    ("before", "verdict", "reason", "after"),
    [
        (NOTHING, "up", "", Reception("up")),
        (NOTHING, "down", "wrong", Reception("down", "wrong")),
        (NOTHING, "up", "wrong", Reception("up")),
        (Reception("up"), "down", "", Reception("down")),
        (Reception("down"), "down", "wrong", Reception("down", "wrong")),
        (Reception("down", "wrong"), "down", "too_late", Reception("down", "too_late")),
        (Reception("down", "wrong"), "down", "", Reception("down", "wrong")),
        (Reception("down", "wrong"), "up", "", Reception("up")),
        (Reception("down", "wrong", painted=True), "edited", "", Reception("edited", painted=True)),
    ],
)
def test_verdict_rules_the_last_one_counts(before: Reception, verdict: str, reason: str, after: Reception) -> None:
    assert judged(before, verdict, reason) == after


@given(REPORTS)
def test_verdict_rules_said_again_it_changes_nothing_and_survives_sync(reports: list[tuple[str, str]]) -> None:
    known = NOTHING
    for verdict, reason in reports:
        known = judged(known, verdict, reason)
        assert judged(known, verdict, reason) == known == read_reception(known.wire())
        assert known.verdict == verdict and (known.verdict == "down" or not known.reason)
    assert painted(known) == painted(painted(known)) == read_reception(painted(known).wire())


@pytest.mark.parametrize("data", [{}, {"verdict": 7, "reason": ["x"], "painted": "yes"}, {"mark": "x", "later": {}}])
def test_verdict_rules_whatever_stands_there_is_read(data: dict[str, object]) -> None:
    assert read_reception(data) == NOTHING
