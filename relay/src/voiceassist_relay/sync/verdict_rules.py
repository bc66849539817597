"""What an agent made of one suggestion, and what a further report changes (pure): one verdict each, the last one counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

DOWN: Final = "down"


@dataclass(frozen=True, slots=True)
class Reception:
    """What is known of a suggestion at its reader."""

    verdict: str = ""
    """up, down, edited; empty: none yet."""
    reason: str = ""
    """Why it was not helpful; only with `down`."""
    painted: bool = False
    """The report of its paint was counted."""

    def wire(self) -> dict[str, Any]:
        """As JSON values, without what is not known."""
        said: dict[str, Any] = {name: value for name, value in (("verdict", self.verdict), ("reason", self.reason)) if value}
        return said | ({"painted": True} if self.painted else {})


NOTHING: Final = Reception()


def read_reception(data: Mapping[str, Any]) -> Reception:
    """Reads leniently: what is no text is not known."""
    verdict, reason = (value if isinstance(value, str) else "" for value in (data.get("verdict"), data.get("reason")))
    return Reception(verdict, reason, data.get("painted") is True)


def judged(before: Reception, verdict: str, reason: str = "") -> Reception:
    """After a verdict. `down` without a reason leaves the one that was given; any other verdict takes it away."""
    if verdict != DOWN:
        return replace(before, verdict=verdict, reason="")
    return replace(before, verdict=verdict, reason=reason or (before.reason if before.verdict == DOWN else ""))


def painted(before: Reception) -> Reception:
    """After the report of its paint."""
    return replace(before, painted=True)
