"""LimitsWord: what an operator tells a relay of the others, with each question for its status: their spending and their calls.

A header of that request bears it. Only a day and numbers travel.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_COUNT: Final = re.compile(r"[0-9]{1,7}")
_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class LimitsWord:
    """What is known of the other relays of a VoiceAssist; None: nothing is said of it."""

    day: str | None = None
    """The day, UTC, of which `spent` is."""
    spent: float | None = None
    """What all others spent, those that are no more too, in the unit of the budget."""
    calls: int | None = None
    """Calls that they have now."""

    def as_header(self) -> str:
        """The header's value."""
        parts = [] if self.spent is None else [f"day={self.day}", f"spent={self.spent:.6f}"]
        return " ".join(parts if self.calls is None else [*parts, f"calls={self.calls}"])

    @classmethod
    def read(cls, value: str) -> LimitsWord:
        """Reads what an operator of any version sent; what has another form, or is not known here, is passed over."""
        said = dict(part.split("=", 1) for part in value[:_MOST].split() if "=" in part)
        day, spent, calls = said.get("day", ""), said.get("spent", ""), said.get("calls", "")
        known = _DAY.fullmatch(day) is not None and _AMOUNT.fullmatch(spent) is not None and math.isfinite(float(spent))
        count = int(calls) if _COUNT.fullmatch(calls) else None
        return cls(day, float(spent), count) if known else cls(calls=count)
