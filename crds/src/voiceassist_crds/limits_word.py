"""LimitsWord: what an operator tells a relay of the others, with each question for its status: their spending and their calls.

A header of that request bears it. Only a day and numbers travel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_COUNT: Final = re.compile(r"[0-9]{1,7}")
_PROCESS: Final = re.compile(r"[0-9A-Za-z-]{1,40}")
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
    but: str = ""
    """The process whose own spending is left out of `spent`; empty: nothing is."""
    coming: float = 0.0
    """What the others' responses under way are likely to take, besides."""

    def as_header(self) -> str:
        """The header's value."""
        parts = [] if self.spent is None else [f"day={self.day}", f"spent={self.spent:.6f}"]
        parts += [f"coming={self.coming:.6f}"] if parts and self.coming else []
        parts += [f"but={self.but}"] if parts and self.but else []
        return " ".join(parts if self.calls is None else [*parts, f"calls={self.calls}"])

    @classmethod
    def read(cls, value: str) -> LimitsWord:
        """Reads what an operator of any version sent; what has another form, or is not known here, is passed over."""
        said = dict(part.split("=", 1) for part in value[:_MOST].split() if "=" in part)
        day, spent, calls = said.get("day", ""), said.get("spent", ""), said.get("calls", "")
        known = _DAY.fullmatch(day) is not None and _AMOUNT.fullmatch(spent) is not None
        count = int(calls) if _COUNT.fullmatch(calls) else None
        coming, but = said.get("coming", ""), said.get("but", "")
        likely = float(coming) if _AMOUNT.fullmatch(coming) else 0.0
        return cls(day, float(spent), count, but if _PROCESS.fullmatch(but) else "", likely) if known else cls(calls=count)
