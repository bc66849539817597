"""Service level objectives, read from docs/slo.md: the only place where they are stated. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

BY = "by (namespace, name)"
"""Whose series are kept apart: a VoiceAssist's, by the namespace and the name of its object."""
_BLOCK = re.compile(r"^```yaml slo\n(.*?)^```", re.MULTILINE | re.DOTALL)
_KEYS = {"id", "title", "objective", "window", "minimumEvents", "page", "total", "good"}


class SloError(ValueError):
    """docs/slo.md cannot be read; the message names the block and the key."""


@dataclass(frozen=True, slots=True)
class Slo:
    """One objective. `total` and `good` are selectors of counters; `objective` is the share of good events, below 1."""

    id: str
    title: str
    objective: float
    window: str
    minimum_events: int
    page: bool
    total: str
    good: str

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 9)

    @property
    def alert(self) -> str:
        """The name of its burn-rate alerts."""
        return "VoiceAssist" + "".join(part.capitalize() for part in self.id.split("_")) + "Budget"

    def recorded(self, window: str) -> str:
        """The name of the recording rule that holds the error ratio over a window."""
        return f"voiceassist:{self.id}:error_ratio_rate{window}"

    def rate(self, selector: str, window: str) -> str:
        """Events a second of a counter over a window, for each VoiceAssist."""
        return f"sum {BY} (rate({selector}[{window}]))"

    def error_ratio(self, window: str) -> str:
        """Share of bad events over a window; no number (NaN) where there was no event.

        A counter of good events that does not exist yet counts as 0, and more good events than events (one is counted a moment
        before the other) as no error.
        """
        total, good = self.rate(self.total, window), self.rate(self.good, window)
        return f"clamp_min(1 - (({good}) or ({total}) * 0) / ({total}), 0)"

    def events(self, window: str) -> str:
        """The number of events in a window, for each VoiceAssist."""
        return f"sum {BY} (increase({self.total}[{window}]))"


def read_slos(text: str) -> tuple[Slo, ...]:
    """The objectives in docs/slo.md's blocks, in order. Raises SloError."""
    slos = tuple(_slo(yaml.safe_load(block)) for block in _BLOCK.findall(text))
    if not slos:
        raise SloError("docs/slo.md has no block that begins with ```yaml slo")
    if len({slo.id for slo in slos}) != len(slos):
        raise SloError("two objectives in docs/slo.md have the same id")
    return slos


def _slo(block: Any) -> Slo:
    if not isinstance(block, dict) or set(block) != _KEYS:
        have = sorted(block) if isinstance(block, dict) else block
        raise SloError(f"a block in docs/slo.md has {have}; wanted are exactly {sorted(_KEYS)}")
    if not 0 < block["objective"] < 1:
        raise SloError(f"{block['id']}: objective is {block['objective']}; it must lie between 0 and 1")
    return Slo(
        id=block["id"],
        title=block["title"],
        objective=block["objective"],
        window=block["window"],
        minimum_events=block["minimumEvents"],
        page=block["page"],
        total=block["total"],
        good=block["good"],
    )
