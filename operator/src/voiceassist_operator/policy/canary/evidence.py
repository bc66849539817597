"""How strongly counts speak against "the canary's share is at most the stable one's, plus an allowance". Pure.

A sequential test by an e-process (universal inference): the likelihood of what was seen under a mixture of all shares, divided by the
highest likelihood that any pair of shares within the allowance can give it. While such a pair is the truth, the quotient ever reaches 1/a
with a probability of at most a, however often one looks (Ville's inequality); so a roll-out may be judged after every turn.
Sources: Wasserman, Ramdas, Balakrishnan 2020, "Universal inference"; Ramdas et al. 2023, "Game-theoretic statistics".
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p
from typing import NamedTuple

Prior = tuple[tuple[float, float, float], ...]
"""A mixture of Beta distributions: (weight, a, b)."""
CANARY_PRIOR: Prior = ((0.8, 1.0, 4.0), (0.2, 1.0, 1.0))
"""Over the canary's share: mostly below one half."""
STABLE_PRIOR: Prior = ((0.8, 1.0, 50.0), (0.2, 1.0, 1.0))
"""Over the stable one's: mostly small. A wrong guess costs turns until a verdict, never a false alarm."""
_EDGE = 1e-12
_ROUNDS = 24


class Share(NamedTuple):
    """Of `trials`, `hits` had what is looked for."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        """From 0 to 1; 0 of none."""
        return self.hits / self.trials if self.trials else 0.0


def log_evidence_of_increase(canary: Share, stable: Share, allowance: float) -> float:
    """Returns the log of the e-value against: canary's share <= stable's share + `allowance` (0 to 1); 0 at least."""
    if not stable.trials or canary.value <= stable.value + allowance:
        return 0.0
    mixture = _log_mixture(canary, CANARY_PRIOR) + _log_mixture(stable, STABLE_PRIOR)
    return mixture - _best_within(canary, stable, allowance)


def log_evidence_of_decrease(canary: Share, stable: Share, allowance: float) -> float:
    """Returns the log of the e-value against: canary's share >= stable's share - `allowance`."""
    return log_evidence_of_increase(_others(canary), _others(stable), allowance)


def log_evidence_above(canary: Share, bound: float) -> float:
    """Returns the log of the e-value against: canary's share <= `bound`; 0 where it speaks against nothing."""
    if canary.value <= bound:
        return 0.0
    return _log_mixture(canary, CANARY_PRIOR) - _log_likelihood(canary, bound)


def _others(share: Share) -> Share:
    return Share(share.trials - share.hits, share.trials)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_mixture(share: Share, prior: Prior) -> float:
    misses = share.trials - share.hits
    parts = [log(weight) + _log_beta(a + share.hits, b + misses) - _log_beta(a, b) for weight, a, b in prior]
    most = max(parts)
    return most + log(sum(exp(part - most) for part in parts))


def _log_likelihood(share: Share, value: float) -> float:
    value = min(max(value, _EDGE), 1 - _EDGE)
    misses = share.trials - share.hits
    return (share.hits * log(value) if share.hits else 0.0) + (misses * log1p(-value) if misses else 0.0)


def _best_within(canary: Share, stable: Share, allowance: float) -> float:
    """The highest log-likelihood of any two shares with canary <= stable + allowance, where what was seen lies outside: it is on the line
    where equality holds."""

    def on_the_line(value: float) -> float:
        return _log_likelihood(canary, value + allowance) + _log_likelihood(stable, value)

    low, high = stable.value, max(canary.value - allowance, stable.value)
    for _ in range(_ROUNDS):  # the sum of two concave functions has one top, between their own
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if on_the_line(left) < on_the_line(right):
            low = left
        else:
            high = right
    return on_the_line((low + high) / 2)
