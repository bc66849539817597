"""Burn-rate alerts under promtool, for every objective and every real window; which fire is worked out from the definition."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from monitoring.promtool import alerts_at, counter
from voiceassist_monitoring.slo import Slo, read_slos
from voiceassist_monitoring.windows import BURN_WINDOWS, DAY, HOUR, MINUTE, BurnWindow, Severity, duration

from .conftest import ROOT, RULES

SLOS = read_slos((ROOT / "docs/slo.md").read_text())
HEALTHY = 4 * DAY
WHO = '{namespace="shop",name="support"'
OTHER = '{namespace="shop",name="sales"'


def selected(selector: str, who: str, extra: str = "") -> str:
    """A series that a selector selects."""
    name, _, labels = selector.partition("{")
    labels = labels.rstrip("}").replace('=~"accepted|full|draining|rate|internal_error"', '="accepted"')
    labels = labels.replace('!~"merged|paused"', '="suggested"').replace('=~"suggested|not_relevant"', '="suggested"')
    return f"{name}{who}{',' + labels if labels else ''}{extra}}}"


BAD = {
    "suggestion_latency": None,  # late ones are missing from the bucket
    "first_words": None,
    "turn_success": 'voiceassist_relay_turns_total%s,outcome="failed"}',
    "call_acceptance": 'voiceassist_relay_upgrades_total%s,outcome="full"}',
    "prompt_rollout": None,
}


def burning(slo: Slo, rate: float, seconds: int, events: float = 1.0, who: str = WHO) -> dict[str, str]:
    """Series of a VoiceAssist that was well for days and then burns its budget at a rate for so many seconds."""
    bad = min(rate * slo.budget, 1.0)
    failing = BAD[slo.id]
    if failing is None:
        return {
            selected(slo.total, who): counter((HEALTHY, events), (seconds, events)),
            selected(slo.good, who): counter((HEALTHY, events), (seconds, events * (1 - bad))),
        }
    return {
        selected(slo.good, who): counter((HEALTHY, events), (seconds, events * (1 - bad))),
        failing % who: counter((HEALTHY, 0), (seconds, events * bad)),
    }


def firing(slo: Slo, rate: float, seconds: int) -> list[dict[str, str]]:
    """The alerts of that VoiceAssist, worked out."""
    out = []
    for window in BURN_WINDOWS:
        if window.severity is Severity.CRITICAL and not slo.page:
            continue
        if all(rate * min(seconds, span) / span > window.rate * 1.02 for span in (window.long, window.short)):
            labels = {"long_window": duration(window.long), "short_window": duration(window.short), "severity": window.severity.value}
            out.append({"namespace": "shop", "name": "support", **labels})
    return out


def pairs(slo: Slo) -> list[BurnWindow]:
    return [window for window in BURN_WINDOWS if slo.page or window.severity is Severity.WARNING]


def at_end(rules: Path, folder: Path, inputs: dict[str, str], seconds: int, wanted: dict[str, list[dict[str, str]]]) -> None:
    """Evaluated once, at the end: these alerts wait for nothing, and days of evaluations would take minutes."""
    alerts_at(rules, folder, inputs, {seconds: wanted}, seconds)


CASES = [(slo, window) for slo in SLOS for window in pairs(slo)]


def name(case: tuple[Slo, BurnWindow]) -> str:
    return f"{case[0].id}-{duration(case[1].long)}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_each_window_fires_for_its_burn_and_for_nobody_else(case: tuple[Slo, BurnWindow], bare_rules: Path, tmp_path: Path) -> None:
    slo, window = case
    limit = min(1 / slo.budget, window.rate * 1.3)
    inputs = burning(slo, limit, window.long) | burning(slo, 0.5, window.long, who=OTHER)
    wanted = firing(slo, limit, window.long)
    assert {"long_window": duration(window.long)}.items() <= wanted[0].items() or len(wanted) > 1
    at_end(bare_rules, tmp_path, inputs, HEALTHY + window.long, {slo.alert: wanted})


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_burn_below_the_rate_does_not_fire_its_window(case: tuple[Slo, BurnWindow], bare_rules: Path, tmp_path: Path) -> None:
    slo, window = case
    rate = window.rate * 0.9
    wanted = firing(slo, rate, window.long)
    assert duration(window.long) not in {one["long_window"] for one in wanted}
    at_end(bare_rules, tmp_path, burning(slo, rate, window.long), HEALTHY + window.long, {slo.alert: wanted})


@pytest.mark.parametrize("slo", SLOS, ids=lambda slo: slo.id)
def test_too_few_events_wake_nobody(slo: Slo, bare_rules: Path, tmp_path: Path) -> None:
    few = (slo.minimum_events - 0.5) / (3 * DAY)
    inputs = burning(slo, 1 / slo.budget, HOUR, few)
    at_end(bare_rules, tmp_path, inputs, HEALTHY + HOUR, {slo.alert: []})


@pytest.mark.parametrize("slo", [slo for slo in SLOS if slo.page], ids=lambda slo: slo.id)
def test_it_clears_within_its_short_window(slo: Slo, bare_rules: Path, tmp_path: Path) -> None:
    """An hour of the worst burn, then all is well: the first page is over 6 minutes later."""
    inputs = burning(slo, 1 / slo.budget, HOUR)
    well = 6 * MINUTE
    total = {}
    for key, values in inputs.items():
        good = "failed" not in key and "full" not in key
        total[key] = values.rsplit(" ", 1)[0] + f" {float(values.rsplit(' ', 1)[1]):.10g}+{60 if good else 0}x{well // 60}"
    first = [{"long_window": "1h"}]
    still = [one for one in firing(slo, 1 / slo.budget, HOUR) if one["long_window"] not in {part["long_window"] for part in first}]
    at_end(bare_rules, tmp_path, total, HEALTHY + HOUR + well, {slo.alert: still})


def test_no_events_are_no_error(slos: tuple[Slo, ...], bare_rules: Path, tmp_path: Path) -> None:
    inputs = {}
    for slo in slos:
        inputs |= burning(slo, 0, HOUR, events=0)
    at_end(bare_rules, tmp_path, inputs, HEALTHY + HOUR, {slo.alert: [] for slo in slos})


def test_promtool_finds_nothing_wrong() -> None:
    done = subprocess.run(["promtool", "check", "rules", "--lint-fatal", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
