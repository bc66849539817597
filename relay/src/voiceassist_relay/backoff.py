"""Backoff (pure): exponential, with full jitter, and a ceiling that has an answer after any number of failures."""

from __future__ import annotations

_DOUBLINGS = 32


def ceiling(failures: int, first: float, longest: float) -> float:
    """The longest wait, in seconds, after so many failures before this one (0: the first)."""
    return min(longest, first * 2.0 ** min(failures, _DOUBLINGS))
