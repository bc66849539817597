"""Fixtures of the monitoring tier: the rules as they are shipped, and without their annotations for promtool's comparison."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from voiceassist_monitoring.cli import OUT
from voiceassist_monitoring.slo import Slo, read_slos

ROOT = Path(__file__).parents[2]
RULES = ROOT / OUT / "rules.yaml"


@pytest.fixture(scope="session")
def slos() -> tuple[Slo, ...]:
    return read_slos((ROOT / "docs/slo.md").read_text())


@pytest.fixture(scope="session")
def bare_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rules))
    return path
