"""Series and rule tests for promtool: counters with changing rates, in its notation, and one run of `promtool test rules`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STEP = 60
"""Seconds between samples."""


def counter(*spans: tuple[int, float]) -> str:
    """A counter that grows by so much a second for so many seconds, span after span."""
    parts, value = [], 0.0
    for seconds, rate in spans:
        steps = seconds // STEP
        parts.append(f"{value:.10g}+{rate * STEP:.10g}x{steps - 1}" if steps > 1 else f"{value:.10g}")
        value += rate * STEP * steps
    return " ".join([*parts, f"{value:.10g}"])


def gauge(*spans: tuple[int, float]) -> str:
    """A gauge that has a value for so many seconds, span after span."""
    return " ".join(f"{value:g}+0x{max(seconds // STEP - 1, 0)}" for seconds, value in spans)


def series(text: Mapping[str, str]) -> list[dict[str, str]]:
    """Input series by name and labels."""
    return [{"series": name, "values": values} for name, values in text.items()]


Alerts = Mapping[str, Sequence[Mapping[str, str]]]


def alerts_at(rules: Path, folder: Path, inputs: Mapping[str, str], wanted: Mapping[int, Alerts], every: int) -> None:
    """Asserts which alerts fire at a time (seconds): for each alert's name exactly the instances with these labels.

    The rules are evaluated every so many seconds. They are given without annotations, which promtool would compare too.
    """
    checks = [
        {"eval_time": f"{seconds}s", "alertname": name, "exp_alerts": [{"exp_labels": dict(one)} for one in ones]}
        for seconds, alerts in wanted.items()
        for name, ones in alerts.items()
    ]
    run(rules, folder, inputs, {"alert_rule_test": checks}, every)


def run(rules: Path, folder: Path, inputs: Mapping[str, str], checks: Mapping[str, Any], every: int) -> None:
    """Runs one rule test; an AssertionError holds what promtool says."""
    one = {"interval": f"{STEP}s", "input_series": series(inputs), **checks}
    test = {"rule_files": [str(rules)], "evaluation_interval": f"{every}s", "tests": [one]}
    path = folder / "test.json"
    path.write_text(json.dumps(test))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
