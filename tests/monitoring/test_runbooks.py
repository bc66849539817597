"""Runbooks: one for each alert, and what they ask for exists: metrics, labels, conditions, reasons, fields, log lines."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.alerts.runbook import QUERY
from unit.test_metric_names import NAME, SERIES
from voiceassist_crds.reasons import ConditionType, Reason
from voiceassist_monitoring.rules import alert_names, groups
from voiceassist_monitoring.slo import Slo, read_slos

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/runbooks"
PAGES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"))}
HEADINGS = ["What it means", "How sure", "Look first", "What to do", "Afterwards"]
ALERTS = alert_names(read_slos((ROOT / "docs/slo.md").read_text()))
SOURCE = "\n".join(path.read_text() for package in ("relay", "operator") for path in sorted((ROOT / package / "src").rglob("*.py")))
CRD = yaml.safe_load((ROOT / "crds/voiceassists.voiceassist.dev.yaml").read_text())
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(PAGES[page]) if kind == language]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(slos: tuple[Slo, ...]) -> None:
    assert set(PAGES) == set(alert_names(slos))


@pytest.mark.parametrize("page", ALERTS)
def test_a_runbook_has_its_headings_and_says_how_it_was_followed(page: str) -> None:
    assert re.findall(r"^## (.*)$", PAGES[page], re.MULTILINE) == HEADINGS
    assert PAGES[page].startswith(f"# {page}\n")
    last = PAGES[page].rstrip().split("\n\n")[-1]
    assert last.startswith("Followed against: ")
    assert "tests/cluster/operator/test_alerts_live.py" in last


@pytest.mark.parametrize("page", ALERTS)
def test_every_query_stands_below_a_sentence_that_the_live_test_finds(page: str) -> None:
    assert [query.strip() for query in blocks(page, "promql")] == [query for _, query in QUERY.findall(PAGES[page])]


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    queries = [query for page in PAGES for query in blocks(page, "promql")]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "rules.json"
    path.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", ALERTS)
def test_queries_ask_for_metrics_that_are_there(page: str) -> None:
    queries = blocks(page, "promql")
    assert queries
    for query in queries:
        assert set(NAME.findall(query)) <= SERIES
        assert NAME.search(query) or query.startswith("up{")


@pytest.mark.parametrize("page", ALERTS)
def test_conditions_and_reasons_are_those_of_the_code(page: str) -> None:
    prose = re.findall(r"^\d+\. `([A-Z]\w+)`", PAGES[page], re.MULTILINE)
    matched = [one for value in re.findall(r'reason=~?"([^"]*)"', PAGES[page]) for one in value.split("|")]
    assert set(prose) | set(matched) <= {reason.value for reason in Reason} | {"draining"}
    types = re.findall(r'type="(\w+)"', PAGES[page]) + re.findall(r'@\.type=="(\w+)"', PAGES[page])
    assert set(types) <= {kind.value for kind in ConditionType}


@pytest.mark.parametrize("page", ALERTS)
def test_fields_are_those_of_the_kind(page: str) -> None:
    schema = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for field in re.findall(r"\b((?:spec|status)(?:\.[a-z]\w+)+)", re.sub(r"'\{\.spec\.holderIdentity\}'", "", PAGES[page])):
        at = schema
        for part in field.split("."):
            assert part in at["properties"], field
            at = at["properties"][part]
            at = at.get("items", at)


@pytest.mark.parametrize("page", ALERTS)
def test_commands_are_kubectls_and_the_log_lines_are_in_the_code(page: str) -> None:
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert commands
    for command in commands:
        assert command.startswith("kubectl "), command
        for pattern in re.findall(r"grep (?:-E )?'([^']*)'", command):
            for words in pattern.split("|"):
                assert words in SOURCE, words


def test_the_documents_table_has_every_alert_with_its_severities(slos: tuple[Slo, ...]) -> None:
    shipped: dict[str, set[str]] = {}
    for rule in (rule for group in groups(slos) for rule in group["rules"] if "alert" in rule):
        shipped.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/\1\.md\) \| ([a-z, ]+) \|", (ROOT / "docs/observability.md").read_text(), re.MULTILINE)
    assert {alert: set(told.split(", ")) for alert, told in rows} == shipped
