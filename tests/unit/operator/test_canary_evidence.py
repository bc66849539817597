"""What a canary is judged by, check by check."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.resource import AnalysisCheck, AnalysisMetric, CanaryAnalysis
from voiceassist_crds.status import PromptCounts
from voiceassist_operator.policy.canary.analysis import FALSE_ALARMS, judge
from voiceassist_operator.policy.canary.evidence import Share, log_evidence_above, log_evidence_of_decrease, log_evidence_of_increase
from voiceassist_operator.policy.canary.mean_evidence import Mean

CHECKS = CanaryAnalysis().checks


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 400), st.integers(0, 400))
def test_canary_evidence_speaks_against_nobody_whose_share_is_allowed(hits: int, misses: int, theirs: int, others: int) -> None:
    canary, stable = Share(hits, hits + misses), Share(theirs, theirs + others)
    if stable.trials and canary.value <= stable.value:
        assert log_evidence_of_increase(canary, stable, 0.0) <= 1e-9
    if stable.trials and canary.value >= stable.value:
        assert log_evidence_of_decrease(canary, stable, 0.0) <= 1e-9
    assert log_evidence_above(canary, max(canary.value, 0.001)) <= 1e-9
    if not stable.trials:
        assert log_evidence_of_increase(canary, stable, 0.0) <= 1e-9, "nothing was seen to compare with"


def test_canary_evidence_is_the_likelihood_that_is_written_down() -> None:
    # 3 of 3 against a bound of 0.5: Beta(1, 4) gives B(4, 4) / B(1, 4) = 1/35, Beta(1, 1) gives 1/4; the bound 1/8
    assert log_evidence_above(Share(3, 3), 0.5) == pytest.approx(log((0.8 / 35 + 0.2 / 4) * 8))


CLEAN = PromptCounts(calls=100, turns=500, failed=5, answers=400, late=8, verdicts=40, negative=4, not_relevant=90, outputs=495, repaired=9)


@pytest.mark.parametrize(
    ("metric", "counts"),
    [
        (AnalysisMetric.TURN_FAILURE, {"turns": 40, "failed": 15, "calls_with_failures": 5}),
        (AnalysisMetric.NEGATIVE_FEEDBACK, {"turns": 40, "verdicts": 20, "negative": 18, "calls_with_negative": 9}),
        (AnalysisMetric.NOT_RELEVANT_SHIFT, {"turns": 60, "not_relevant": 58, "calls_with_not_relevant": 9}),
        (AnalysisMetric.LATENCY_P95, {"turns": 40, "answers": 30, "late": 20, "calls_with_late": 9}),
        (AnalysisMetric.SCHEMA_REPAIR, {"turns": 40, "outputs": 40, "repaired": 16, "calls_with_repairs": 9}),
    ],
    ids=lambda one: one.value if isinstance(one, AnalysisMetric) else "",
)
def test_canary_evidence_each_check_finds_what_it_is_for(metric: AnalysisMetric, counts: dict[str, int]) -> None:
    finding = judge(PromptCounts(calls=10, **counts), CLEAN, CHECKS, 20).finding
    assert finding is not None
    assert finding.metric is metric
    assert finding.text.startswith(metric.value)
    few = {name: 2 if name.startswith("calls_with") else value for name, value in counts.items()}
    assert judge(PromptCounts(calls=10, **few), CLEAN, CHECKS, 20).finding is None, "turns of one or two calls are no verdict"


def test_canary_evidence_a_prompt_that_never_holds_back_is_a_shift_too() -> None:
    stable = CLEAN.model_copy(update={"not_relevant": 300})
    finding = judge(PromptCounts(calls=10, turns=60, not_relevant=0), stable, CHECKS, 20).finding
    assert finding is not None
    assert finding.metric is AnalysisMetric.NOT_RELEVANT_SHIFT


def test_canary_evidence_failures_of_one_bad_call_are_no_verdict() -> None:
    ours = {"turns": 30, "failed": 10}
    assert judge(PromptCounts(calls=10, calls_with_failures=2, **ours), CLEAN, CHECKS, 20).finding is None
    assert judge(PromptCounts(calls=10, calls_with_failures=3, **ours), CLEAN, CHECKS, 20).finding is not None


def test_canary_evidence_an_absolute_bound_needs_nothing_to_compare_with() -> None:
    check = AnalysisCheck(metric=AnalysisMetric.TURN_FAILURE, max=0.05)
    bad = PromptCounts(calls=10, calls_with_failures=6, turns=30, failed=12)
    assert judge(bad, PromptCounts(), [check], 0).finding is not None
    assert judge(bad, PromptCounts(), CHECKS, 0).finding is None, "the others say more or less than the stable one"


def spending(calls: int, each: int, spread: int = 0) -> PromptCounts:
    """So many calls of four turns; half of them take `spread` tokens more, half less, than `each` a turn."""
    tokens = [4 * (each + (spread if number % 2 else -spread)) for number in range(calls)]
    return PromptCounts(
        calls=calls,
        turns=4 * calls,
        measured_calls=calls,
        measured_turns=4 * calls,
        tokens=sum(tokens),
        turns_squared=16 * calls,
        tokens_squared=sum(one * one for one in tokens),
        tokens_by_turns=sum(4 * one for one in tokens),
    )


def test_canary_evidence_the_means_variance_is_that_of_calls() -> None:
    found = Mean(4, 16, 16_000, 64, 4 * 4_000**2 + 2 * 2 * 400**2, 64_000)  # 3,600 and 4,400 tokens: 900 and 1,100 a turn
    assert found.value == 1000
    assert found.relative_variance == pytest.approx((100**2 / 1000**2) / 3)


TOKENS = AnalysisCheck(metric=AnalysisMetric.TOKENS_PER_TURN, max_increase=0.25)


def test_canary_evidence_tokens_by_turn_are_a_mean_beside_the_stable_ones() -> None:
    stable = spending(400, 1000, 300)
    finding = judge(spending(60, 2000, 300), stable, [TOKENS], 20).finding
    assert finding is not None
    assert finding.text.startswith(
        "TokensPerTurn: 2000 tokens by turn (240 turns of 60 calls); 1000 with the stable one (1600 turns of 400"
    )
    for allowed in (spending(60, 1240, 300), spending(29, 9000), PromptCounts(turns=100, calls=50)):
        assert judge(allowed, stable, [TOKENS], 20).finding is None
    assert judge(spending(60, 2000, 300), spending(29, 1000), [TOKENS], 20).finding is None, "too few calls to compare with"


def test_canary_evidence_tokens_by_turn_have_a_bound_of_their_own() -> None:
    bound = AnalysisCheck(metric=AnalysisMetric.TOKENS_PER_TURN, max=1500)
    assert judge(spending(60, 2000, 300), PromptCounts(), [bound], 0).finding is not None
    assert judge(spending(60, 1490, 300), PromptCounts(), [bound], 0).finding is None
    nothing = bound.model_copy(update={"max": 0.0})
    assert judge(spending(60, 1490, 300), PromptCounts(), [nothing], 0).finding is not None


def test_canary_evidence_too_few_turns_are_waited_for() -> None:
    assert judge(PromptCounts(turns=3), CLEAN, CHECKS, 20).lacks == "17 more turns of the canary, of 20"
    assert judge(PromptCounts(turns=20), CLEAN, CHECKS, 20).lacks == ""
    assert FALSE_ALARMS < 0.01


@pytest.mark.parametrize("seen", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("metric", "hits", "calls"),
    [
        (AnalysisMetric.TURN_FAILURE, "failed", "calls_with_failures"),
        (AnalysisMetric.LATENCY_P95, "late", "calls_with_late"),
        (AnalysisMetric.SCHEMA_REPAIR, "repaired", "calls_with_repairs"),
        (AnalysisMetric.NEGATIVE_FEEDBACK, "negative", "calls_with_negative"),
        (AnalysisMetric.NOT_RELEVANT_SHIFT, "not_relevant", "calls_with_not_relevant"),
    ],
)
def test_canary_evidence_from_few_calls_is_a_verdict_neither_way(metric: AnalysisMetric, hits: str, calls: str, seen: int) -> None:
    check = AnalysisCheck(metric=metric, max_increase=0.05)
    all_turns = {"turns": 400, "answers": 400, "outputs": 400, "verdicts": 400}
    stable = PromptCounts(calls=100, **all_turns)
    canary = PromptCounts(calls=30, **dict.fromkeys(all_turns, 60), **{hits: 30, calls: seen})
    judged = judge(canary, stable, [check], 20)
    if seen == 3:
        assert judged.finding is not None
        assert judged.finding.metric is metric
    else:
        assert (judged.finding, judged.lacks) == (None, f"more calls, since {metric.value} was seen in {seen} only")


def test_canary_evidence_more_thumbs_down_than_verdicts_are_all_of_them() -> None:
    """A verdict of before the roll-out that is changed in it counts as one down and no verdict."""
    odd = PromptCounts(calls=9, turns=50, verdicts=1, negative=2)
    assert judge(odd, CLEAN, CHECKS, 10) == judge(PromptCounts(calls=9, turns=50, verdicts=1, negative=1), CLEAN, CHECKS, 10)
    for negative, verdicts in ((1, 0), (-1, 1)):
        assert judge(PromptCounts(calls=9, turns=50, verdicts=verdicts, negative=negative), CLEAN, CHECKS, 10).finding is None
