"""How strongly counts speak against "the canary takes at most so many times the tokens by turn that the stable prompt takes". Pure.

A turn's tokens have no bound and turns of one call are alike, so that calls are what is independent: the mean by turn is a quotient of two
sums over calls, and its variance follows from how far calls are apart (the delta method). The logarithm of the quotient of both prompts'
means is then judged by a normal mixture: the likelihood under a half-normal distribution of what is too much, divided by the one under
nothing too much. It is a sequential test as that of shares is, but its false alarms are bounded by a only as calls become many; so fewer
than FEWEST_CALLS of either prompt are no evidence.
Sources: Robbins 1970, "Statistical methods related to the law of the iterated logarithm"; Waudby-Smith et al. 2024, "Time-uniform central
limit theory and asymptotic confidence sequences"; Deng, Knoblich, Lu 2018, "Applying the delta method in metric analytics".
"""

from __future__ import annotations

from math import erf, log, sqrt
from typing import NamedTuple

FEWEST_CALLS = 30
"""Calls of each prompt before their mean is spoken of."""
EXPECTED_EXCESS = 0.3
"""The scale, as a logarithm, of what is looked for beyond the allowance: tokens by a third more. Another excess is found later."""


class Mean(NamedTuple):
    """Tokens by turn of so many calls, and the sums from which it follows how far calls are apart."""

    calls: int
    turns: int
    tokens: int
    turns_squared: int
    tokens_squared: int
    tokens_by_turns: int

    @property
    def value(self) -> float:
        """Tokens by turn; 0 where there was no turn."""
        return self.tokens / self.turns if self.turns > 0 else 0.0

    @property
    def relative_variance(self) -> float:
        """Of the mean's logarithm."""
        apart = self.tokens_squared - 2 * self.value * self.tokens_by_turns + self.value**2 * self.turns_squared
        return max(apart, 0.0) / max(self.tokens, 1) ** 2 * self.calls / max(self.calls - 1, 1)


def log_evidence_of_more(canary: Mean, stable: Mean, times: float) -> float:
    """Returns the log of the e-value against: the canary's mean <= `times` the stable one's; 0 where it speaks against nothing."""
    if min(canary.calls, stable.calls) < FEWEST_CALLS or min(canary.value, stable.value) <= 0:
        return 0.0
    return _log_evidence(log(canary.value / stable.value / times), canary.relative_variance + stable.relative_variance)


def log_evidence_of_more_than(canary: Mean, bound: float) -> float:
    """Returns the log of the e-value against: the canary's mean <= `bound`."""
    if canary.calls < FEWEST_CALLS or canary.value <= 0:
        return 0.0
    return _log_evidence(log(canary.value / bound) if bound > 0 else 1.0, canary.relative_variance)


def _log_evidence(excess: float, variance: float) -> float:
    if excess <= 0:
        return 0.0
    variance = max(variance, 1e-9)
    both = variance + EXPECTED_EXCESS**2
    tail = 1 + erf(excess * EXPECTED_EXCESS / sqrt(2 * variance * both))
    return 0.5 * log(variance / both) + excess**2 * EXPECTED_EXCESS**2 / (2 * variance * both) + log(tail)
