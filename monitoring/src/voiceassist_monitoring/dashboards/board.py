"""Boards, rows, panels and queries as plain data; every panel takes the VoiceAssists chosen by namespace and name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CHOSEN = 'namespace=~"$namespace",name=~"$name"'
"""The label matchers of the board's choice."""
RANGE = "$__rate_interval"
BY = "by (namespace, name)"
OBJECT = "{{namespace}}/{{name}}"
"""Legend of a series for each VoiceAssist."""


class Unit(StrEnum):
    """Units as Grafana names them."""

    SECONDS = "s"
    PERCENT = "percentunit"
    COUNT = "short"
    PER_SECOND = "cps"
    BYTES = "bytes"
    DOLLARS = "currencyUSD"


class Kind(StrEnum):
    """How a panel is drawn."""

    LINES = "timeseries"
    STACKED = "stacked"
    NUMBER = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and the legend of each of its series."""

    promql: str
    legend: str = OBJECT


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `about` says how to read it; `width` is of 24 columns. Steps are (from value, colour), the lowest first."""

    title: str
    about: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 8
    steps: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `uid` names it in links, and its file."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def quantile(share: float, histogram: str, *labels: str, extra: str = "") -> str:
    """A quantile of a relay's histogram over the range, for the chosen VoiceAssists, apart by further labels."""
    by = ", ".join(("le", "namespace", "name", *labels))
    return f"histogram_quantile({share:g}, sum by ({by}) (rate({histogram}_bucket{{{CHOSEN}{extra}}}[{RANGE}])))"


def rate(counter: str, *labels: str, extra: str = "") -> str:
    """Events a second of a counter for the chosen VoiceAssists, apart by further labels."""
    by = ", ".join(("namespace", "name", *labels))
    return f"sum by ({by}) (rate({counter}{{{CHOSEN}{extra}}}[{RANGE}]))"


def mean(histogram: str, extra: str = "") -> str:
    """The mean of a histogram over the range, for each chosen VoiceAssist."""
    chosen = f"{{{CHOSEN}{extra}}}[{RANGE}]"
    return f"sum {BY} (rate({histogram}_sum{chosen})) / sum {BY} (rate({histogram}_count{chosen}))"


def gauge(name: str, *labels: str, extra: str = "") -> str:
    """A gauge summed over the relays of each chosen VoiceAssist."""
    by = ", ".join(("namespace", "name", *labels))
    return f"sum by ({by}) ({name}{{{CHOSEN}{extra}}})"
