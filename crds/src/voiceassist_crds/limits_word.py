"""LimitsWord: what an operator tells a relay of the others, with each question for its status: their spending and their calls.

A header of that request bears it. Only a day, a month and numbers travel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_COUNT: Final = re.compile(r"[0-9]{1,7}")
_PROCESS: Final = re.compile(r"[0-9A-Za-z-]{1,40}")
_MOST: Final = 500
_SET_BACK_SECONDS: Final = 3600.0


def day_at(now: float, known: str) -> str:
    """Returns the day (UTC) at `now` (epoch seconds) for what counts in the day `known`, empty at first.

    A clock that is set back over midnight by less than an hour ends no day: what was counted in it would be lost. One that is set back by
    more was wrong before, and its day is not waited for.
    """
    day, later = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (now, now + _SET_BACK_SECONDS))
    return known if day < known <= later else day


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
    """The process whose own spending is left out of `spent` and `month_spent`; empty: nothing is."""
    coming: float = 0.0
    """What the others' responses under way are likely to take, besides."""
    month: str | None = None
    """The month, UTC, of which `month_spent` is."""
    month_spent: float | None = None
    """As `spent`."""

    def as_header(self) -> str:
        """The header's value."""
        parts = [] if self.spent is None else [f"day={self.day}", f"spent={self.spent:.6f}"]
        parts += [] if self.month_spent is None else [f"month={self.month}", f"monthspent={self.month_spent:.6f}"]
        parts += [f"coming={self.coming:.6f}"] if parts and self.coming else []
        parts += [f"but={self.but}"] if parts and self.but else []
        return " ".join(parts if self.calls is None else [*parts, f"calls={self.calls}"])

    @classmethod
    def read(cls, value: str) -> LimitsWord:
        """Reads what an operator of any version sent; what has another form, or is not known here, is passed over."""
        said = dict(part.split("=", 1) for part in value[:_MOST].split() if "=" in part)
        calls, but, coming = (said.get(key, "") for key in ("calls", "but", "coming"))
        count = int(calls) if _COUNT.fullmatch(calls) else None
        day, spent = _of(said, "day", _DAY, "spent")
        month, month_spent = _of(said, "month", _MONTH, "monthspent")
        if spent is None and month_spent is None:
            return cls(calls=count)
        likely = float(coming) if _AMOUNT.fullmatch(coming) else 0.0
        return cls(day, spent, count, but if _PROCESS.fullmatch(but) else "", likely, month, month_spent)


def _of(said: Mapping[str, str], span: str, form: re.Pattern[str], amount: str) -> tuple[str | None, float | None]:
    """A day or a month, and what was spent in it; nothing, where either has another form."""
    name, spent = said.get(span, ""), said.get(amount, "")
    return (name, float(spent)) if form.fullmatch(name) and _AMOUNT.fullmatch(spent) else (None, None)
