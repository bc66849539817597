"""A relay and an operator to which nothing has happened yet: their series, there as 0 from the start, wake nobody."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from monitoring.promtool import alerts_at, run
from voiceassist_monitoring.rules import alert_names
from voiceassist_monitoring.slo import Slo
from voiceassist_monitoring.windows import HOUR, MINUTE
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_relay.metrics.relay_metrics import RelayMetrics

STEPS = 4 * 60


def relay() -> str:
    metrics = RelayMetrics()
    metrics.belongs_to("shop", "support")
    metrics.use_revisions(["0123456789"])
    metrics.use_models(["gpt-realtime-2.1-mini"])
    metrics.config_in_force("0123456789")
    metrics.peer("model", True)
    metrics.peer("sync", True)
    metrics.max_calls.set(60)
    return metrics.render().decode()


def operator() -> str:
    metrics = OperatorMetrics()
    metrics.leading(True)
    for kind in ("RelayAvailable", "PromptRolledOut", "ModelReachable"):
        metrics.conditions("shop", "support", [{"type": kind, "status": "True", "reason": "Ready"}])
    return metrics.render().decode()


def inputs() -> dict[str, str]:
    """Each series of ours with the value that it has, for four hours."""
    found = {}
    for text in (relay(), operator()):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("voiceassist_"):
                    labels = ",".join(f'{name}="{value}"' for name, value in {**sample.labels, "pod": "a"}.items())
                    found[f"{sample.name}{{{labels}}}"] = f"{sample.value:g}+0x{STEPS}"
    return found


def test_a_relay_that_did_nothing_yet_wakes_nobody(slos: tuple[Slo, ...], bare_rules: Path, tmp_path: Path) -> None:
    quiet: dict[str, list[dict[str, str]]] = {name: [] for name in alert_names(slos)}
    alerts_at(bare_rules, tmp_path, inputs(), dict.fromkeys((MINUTE, 30 * MINUTE, 4 * HOUR), quiet), every=60)


def test_the_very_first_calls_refused_are_counted(bare_rules: Path, tmp_path: Path) -> None:
    """The series of `full` is there before: what is refused first is seen, though it was all in one minute."""
    series = inputs()
    (full,) = [name for name in series if name.startswith("voiceassist_relay_upgrades_total") and 'outcome="full"' in name]
    assert series[full] == f"0+0x{STEPS}"
    series[full] = f"0+0x60 12+0x{STEPS - 61}"
    record = "voiceassist:call_acceptance:error_ratio_rate5m"
    sample = {"labels": f'{{__name__="{record}",namespace="shop",name="support"}}', "value": 1}
    run(bare_rules, tmp_path, series, {"promql_expr_test": [{"expr": record, "eval_time": "62m", "exp_samples": [sample]}]}, every=60)
