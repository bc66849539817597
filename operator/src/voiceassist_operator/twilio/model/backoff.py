"""Waits that double from one failure to the next, with a random part. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter, in seconds.

    A wait is `first` * 2**(failures - 1), `longest` at most, times a random share between `least` and 1.
    """

    first: float
    longest: float
    least: float = 0.5

    def delay(self, failures: int, chance: float) -> float:
        """Returns the seconds to wait after so many failures in a row (at least 1). `chance` is drawn evenly from [0, 1)."""
        doublings = min(failures - 1, max(0, math.ceil(math.log2(self.longest / self.first))))  # else a float overflows in the end
        ceiling = min(self.longest, self.first * 2.0**doublings)
        return ceiling * (self.least + (1 - self.least) * chance)
