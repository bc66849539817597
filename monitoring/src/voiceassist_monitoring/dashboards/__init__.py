"""Dashboards: what each shows, as data; and how that becomes Grafana's JSON."""

from __future__ import annotations

from collections.abc import Sequence

from ..slo import Slo
from ..windows import TRUE, Scale
from .board import Board
from .capacity import CAPACITY
from .cost import COST
from .latency import LATENCY
from .operator import OPERATOR
from .overview import overview
from .prompts import PROMPTS


def boards(slos: Sequence[Slo], scale: Scale = TRUE) -> tuple[Board, ...]:
    """Every board; the scale is that of the rules that record what they show."""
    return (overview(slos, scale), LATENCY, CAPACITY, OPERATOR, PROMPTS, COST)


__all__ = ["Board", "boards"]
