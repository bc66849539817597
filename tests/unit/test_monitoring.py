"""What the rules, the objectives and the code say of each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voiceassist_crds.reasons import ConditionType, Reason, Refusal
from voiceassist_monitoring.causes import CAUSES
from voiceassist_monitoring.cli import OUT, check
from voiceassist_monitoring.slo import SloError, read_slos
from voiceassist_monitoring.windows import BURN_WINDOWS, MINUTE, Scale, duration

ROOT = Path(__file__).parents[2]
SLO = ROOT / "docs/slo.md"
TEXT = SLO.read_text()


def test_rules_and_dashboards_are_what_their_sources_make(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(SLO, ROOT / OUT) == 0, capsys.readouterr().err


def test_a_changed_rule_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("groups: []\n")
    assert check(SLO, tmp_path) == 1


def test_the_windows_are_those_of_the_document() -> None:
    """Severity, windows, rate and the budget spent, as docs/slo.md's table has them."""
    rows = re.findall(r"^\| (critical|warning) \| (.+?) \| (.+?) \| ([\d.]+) \| (\d+) % \|$", TEXT, re.MULTILINE)
    units = {"min": "m", "h": "h", "d": "d"}
    written = [
        (severity, *("".join((n, units[u])) for n, u in (long.split(), short.split())), float(rate), int(spent))
        for severity, long, short, rate, spent in rows
    ]
    known = [(one.severity.value, duration(one.long), duration(one.short), one.rate, round(one.budget_spent * 100)) for one in BURN_WINDOWS]
    assert written == known


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "no block"),
        ("```yaml slo\nid: a\n```\n", "wanted are exactly"),
        (re.sub(r"objective: 0\.95", "objective: 95", TEXT), "between 0 and 1"),
        (TEXT.replace("id: turn_success", "id: suggestion_latency"), "same id"),
    ],
)
def test_an_objective_that_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(SloError, match=said):
        read_slos(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "5m"), (5, "5s"), (3600, "1h"), (90, "90s"), (0.5, "500ms"), (259200, "3d"), (0, "0ms")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_scale_shortens_every_time_and_leaves_out_the_long_windows() -> None:
    live = Scale(1 / 60, 3600)
    assert [(duration(live.seconds(one.long)), duration(live.seconds(one.short))) for one in live.windows] == [("1m", "5s")]
    assert live.duration(5 * MINUTE) == "5s"


def test_causes_name_conditions_and_reasons_that_exist() -> None:
    text = "\n".join(cause.promql for cause in CAUSES)
    types = set(re.findall(r'type="(\w+)"', text))
    reasons = {one for group in re.findall(r'reason=~?"([A-Z][\w|]+)"', text) for one in group.split("|")}
    assert types
    assert types <= {one.value for one in ConditionType}
    assert reasons
    assert reasons <= {one.value for one in Reason}


def test_objectives_name_outcomes_that_exist() -> None:
    slos = {slo.id: slo for slo in read_slos(TEXT)}
    outcomes = set(re.findall(r"\w+", slos["call_acceptance"].total.split('"')[1]))
    assert outcomes <= {one.value for one in Refusal}
