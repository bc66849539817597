"""Whether a canary does worse than the stable prompt, by what both did in the same time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import NamedTuple

from voiceassist_crds.resource import AnalysisCheck, AnalysisMetric
from voiceassist_crds.status import PromptCounts

from .evidence import Share, log_evidence_above, log_evidence_of_decrease, log_evidence_of_increase
from .mean_evidence import Mean, log_evidence_of_more, log_evidence_of_more_than

FALSE_ALARMS = 0.009
"""The probability, at most, that a canary as good as the stable prompt is rejected in its whole life, by any of the checks."""
FAILURE_PART = 0.5
"""TurnFailure's part of that where it is among several: what harms most is found first."""
FEWEST_CALLS = 3
"""Calls in which a canary had what speaks against it, before it does: turns of one call are not independent of each other."""
_WORDS = {
    AnalysisMetric.TURN_FAILURE: "turns failed",
    AnalysisMetric.NOT_RELEVANT_SHIFT: "turns were held to need no answer",
    AnalysisMetric.NEGATIVE_FEEDBACK: "verdicts of agents were against it",
    AnalysisMetric.LATENCY_P95: "answers came late",
    AnalysisMetric.SCHEMA_REPAIR: "outputs had to be repaired, or could not be read",
}
_CALLS = {
    AnalysisMetric.TURN_FAILURE: "calls_with_failures",
    AnalysisMetric.NOT_RELEVANT_SHIFT: "calls_with_not_relevant",
    AnalysisMetric.NEGATIVE_FEEDBACK: "calls_with_negative",
    AnalysisMetric.LATENCY_P95: "calls_with_late",
    AnalysisMetric.SCHEMA_REPAIR: "calls_with_repairs",
}


class Finding(NamedTuple):
    """A check that a canary does not pass, and the figures that decided."""

    metric: AnalysisMetric
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What can be said now."""

    finding: Finding | None
    lacks: str
    """What is waited for before a step may end; empty where enough was seen."""


def judge(canary: PromptCounts, stable: PromptCounts, checks: Sequence[AnalysisCheck], minimum_turns: int) -> Judgement:
    """Returns a finding as soon as one of the checks has enough evidence, however few turns there were.

    Evidence from fewer calls than FEWEST_CALLS is no verdict, neither against the canary nor for it: more calls are waited for.
    """
    lacks = []
    if (missing := minimum_turns - canary.turns) > 0:
        lacks.append(f"{missing} more turns of the canary, of {minimum_turns}")
    for check, alarm in zip(checks, _alarms(checks), strict=True):
        for finding, calls in _findings(check, canary, stable, alarm):
            if calls >= FEWEST_CALLS:
                return Judgement(finding, "")
            lacks.append(f"more calls, since {check.metric.value} was seen in {calls} only")
    return Judgement(None, ", ".join(lacks))


def _alarms(checks: Sequence[AnalysisCheck]) -> list[float]:
    """Each check's part of the false alarms; they add up to FALSE_ALARMS."""
    first = [check.metric is AnalysisMetric.TURN_FAILURE for check in checks]
    others = len(checks) - sum(first)
    if not any(first) or not others:
        return [FALSE_ALARMS / max(len(checks), 1)] * len(checks)
    return [FALSE_ALARMS * (FAILURE_PART / sum(first) if one else (1 - FAILURE_PART) / others) for one in first]


def _findings(check: AnalysisCheck, canary: PromptCounts, stable: PromptCounts, alarm: float) -> Iterator[tuple[Finding, int]]:
    """What there is enough evidence for, and in how many of the canary's calls it was seen."""
    metric = check.metric
    if metric is AnalysisMetric.TOKENS_PER_TURN:
        if (found := _tokens_finding(check, canary, stable, alarm)) is not None:
            yield found, canary.measured_calls
        return
    ours, theirs = _share(metric, canary), _share(metric, stable)
    needed = log(1 / alarm)
    calls: int = getattr(canary, _CALLS[metric])
    if check.max is not None:
        weighed, than = [(log_evidence_above(ours, check.max), calls)], f"at most {check.max:.1%} are allowed"
    else:
        allowance = check.max_increase if check.max_increase is not None else 0.0
        than = f"{theirs.hits} of {theirs.trials} with the stable one ({theirs.value:.1%}), and {allowance:.1%} more are allowed"
        weighed = [(log_evidence_of_increase(ours, theirs, allowance), calls)]
        if metric is AnalysisMetric.NOT_RELEVANT_SHIFT:  # either way is a shift: half of the alarms for each
            needed += log(2)
            than = than.replace("more", "more or less")
            weighed.append((log_evidence_of_decrease(ours, theirs, allowance), canary.calls))
    for evidence, seen_in in weighed:
        if evidence >= needed:
            text = f"{metric.value}: {ours.hits} of {ours.trials} {_WORDS[metric]} ({ours.value:.1%}); {than}; {_odds(evidence, needed)}"
            yield Finding(metric, text), seen_in


def _tokens_finding(check: AnalysisCheck, canary: PromptCounts, stable: PromptCounts, alarm: float) -> Finding | None:
    ours, theirs, needed = _mean(canary), _mean(stable), log(1 / alarm)
    if check.max is not None:
        evidence, than = log_evidence_of_more_than(ours, check.max), f"at most {check.max:.0f} are allowed"
    else:
        increase = check.max_increase if check.max_increase is not None else 0.0
        evidence = log_evidence_of_more(ours, theirs, 1 + increase)
        than = f"{theirs.value:.0f} with the stable one ({theirs.turns} turns of {theirs.calls} calls), and {increase:.1%} more are allowed"
    if evidence < needed:
        return None
    figures = f"{ours.value:.0f} tokens by turn ({ours.turns} turns of {ours.calls} calls)"
    return Finding(check.metric, f"{check.metric.value}: {figures}; {than}; {_odds(evidence, needed)}")


def _odds(evidence: float, needed: float) -> str:
    return f"evidence {exp(min(evidence, 50)):.0f} to 1, {exp(needed):.0f} to 1 decides"


def _mean(counts: PromptCounts) -> Mean:
    return Mean(
        counts.measured_calls,
        counts.measured_turns,
        counts.tokens,
        counts.turns_squared,
        counts.tokens_squared,
        counts.tokens_by_turns,
    )


def _share(metric: AnalysisMetric, counts: PromptCounts) -> Share:
    """Never more than all: a relay's counts may begin between a first verdict and the one that takes its place."""
    match metric:
        case AnalysisMetric.TURN_FAILURE:
            hits, trials = counts.failed, counts.turns
        case AnalysisMetric.NOT_RELEVANT_SHIFT:
            hits, trials = counts.not_relevant, counts.turns - counts.failed
        case AnalysisMetric.NEGATIVE_FEEDBACK:
            hits, trials = counts.negative, counts.verdicts
        case AnalysisMetric.LATENCY_P95:
            hits, trials = counts.late, counts.answers
        case AnalysisMetric.SCHEMA_REPAIR:
            hits, trials = counts.repaired, counts.outputs
        case AnalysisMetric.TOKENS_PER_TURN:  # a mean, and no share
            hits, trials = 0, 0
    trials = max(trials, 0)
    return Share(min(max(hits, 0), trials), trials)
