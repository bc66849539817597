"""Metrics in alerts, panels and documents are metrics of the code, and every metric of the code is shown somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voiceassist_monitoring.dashboards import boards
from voiceassist_monitoring.rules import groups
from voiceassist_monitoring.slo import read_slos
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_relay.metrics.relay_metrics import RelayMetrics

ROOT = Path(__file__).parents[2]
SLOS = read_slos((ROOT / "docs/slo.md").read_text())
NAME = re.compile(r"\bvoiceassist_(?:relay|operator)_[a-z0-9_]+\b")
RECORDED = re.compile(r"\bvoiceassist:[a-z0-9_:]+\b")
PROMQL = {
    **{
        f"rule {rule.get('alert', rule.get('record'))} {rule.get('labels', '')}": rule["expr"]
        for one in groups(SLOS)
        for rule in one["rules"]
    },
    **{
        f"panel {board.title}: {panel.title}": "\n".join(query.promql for query in panel.queries)
        for board in boards(SLOS)
        for panel in board.panels
    },
}
DOCUMENTS = sorted(path for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")] if path.name != "metrics.md")


def _samples() -> tuple[set[str], set[str]]:
    """Names of the code's metrics (a counter's with `_total`), and of the series that they have."""
    metrics, series = set(), set()
    for registry in (RelayMetrics().registry, OperatorMetrics().registry):
        for family in registry.collect():
            if not family.name.startswith("voiceassist_"):
                continue
            name = f"{family.name}_total" if family.type == "counter" else family.name
            metrics.add(name)
            series.add(name)
            if family.type == "histogram":
                series |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return metrics, series


METRICS, SERIES = _samples()
RECORDS = {rule["record"] for one in groups(SLOS) for rule in one["rules"] if "record" in rule} | {"voiceassist:token_price_usd"}


@pytest.mark.parametrize("where", PROMQL)
def test_a_query_asks_for_what_is_there(where: str) -> None:
    assert set(NAME.findall(PROMQL[where])) <= SERIES
    assert set(RECORDED.findall(PROMQL[where])) <= RECORDS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_metrics_that_are_there(path: Path) -> None:
    named = {name for name in NAME.findall(path.read_text()) if not name.endswith("_")}
    assert named <= SERIES


def test_every_metric_is_in_a_panel_or_an_alert() -> None:
    asked = set(NAME.findall("\n".join(PROMQL.values())))
    shown = {metric for metric in METRICS if {metric, f"{metric}_bucket", f"{metric}_count", f"{metric}_sum"} & asked}
    assert shown == METRICS


def test_labels_in_queries_are_labels_of_their_metrics() -> None:
    """A matcher or grouping on a label that a metric does not have would select nothing, or everything."""
    labels = {}
    for registry in (RelayMetrics().registry, OperatorMetrics().registry):
        for collector in registry._collector_to_names:
            if hasattr(collector, "_labelnames"):
                labels[collector._name] = set(collector._labelnames) | {"namespace", "name", "le"}
    for where, promql in PROMQL.items():
        for name, matchers in re.findall(r"(voiceassist_(?:relay|operator)_[a-z0-9_]+)\{([^}]*)\}", promql):
            base = next(known for known in sorted(labels, key=len, reverse=True) if name.startswith(known))
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert used <= labels[base], f"{where}: {name} has no label {used - labels[base]}"
