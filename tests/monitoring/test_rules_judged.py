"""What a linter of rules would say: promtool's own lint, alerts on a ratio that do not wait, and labels that a text names and has not.

Cloudflare's pint, which knows more of them, is not to be had as a module; those of its kinds that fit are written here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from monitoring.conftest import RULES

AT_ONCE = {
    "Budget": "a burn rate over two windows: the short one must agree, and a number of events is demanded. A wait would be a third window.",
}
"""Alerts on a ratio that fire without waiting, by how their names end, and why that is meant."""


def lint(path: Path) -> str:
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", path], capture_output=True, text=True, check=False, timeout=100
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def alerts(path: Path = RULES) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"] if "alert" in rule]


def is_ratio(rule: dict[str, Any]) -> bool:
    """Whether it compares parts of something: one event more or less may carry it over the limit for a moment."""
    return "/" in rule["expr"] or "ratio" in rule["expr"]


def waits(rule: dict[str, Any]) -> bool:
    return re.match(r"0+(ms|[smhdwy])?$", rule.get("for", "0s")) is None


def test_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    assert lint(RULES) == ""
    rules = yaml.safe_load(RULES.read_text())
    rules["groups"][-1]["rules"].append(rules["groups"][-1]["rules"][0])
    twice = tmp_path / "twice.yaml"
    twice.write_text(yaml.safe_dump(rules))
    assert "duplicate" in lint(twice)


def test_an_alert_on_a_ratio_waits_unless_it_is_said_why_not() -> None:
    at_once = {rule["alert"] for rule in alerts() if is_ratio(rule) and not waits(rule)}
    assert {name for name in at_once if not name.endswith(tuple(AT_ONCE))} == set()
    assert all(any(name.endswith(ending) for name in at_once) for ending in AT_ONCE)
    assert {"VoiceAssistStreamsLost", "VoiceAssistNearCapacity"} <= {rule["alert"] for rule in alerts() if is_ratio(rule) and waits(rule)}


def test_a_text_names_only_labels_that_the_expression_has_left() -> None:
    for rule in alerts():
        named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        recorded = {"namespace", "name"} if "voiceassist:" in rule["expr"] else set()
        left = recorded | {label.strip() for found in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in found.split(",")}
        assert named <= left, rule["alert"]
