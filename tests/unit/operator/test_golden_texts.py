"""What people read stays as it is, letter for letter: conditions' texts in every situation of the tables, and the command's --help.

The goldens are the operator's own output: VOICEASSIST_WRITE_GOLDEN=1 pytest tests/unit/operator/test_golden_texts.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from unit.operator import test_conditions, test_twilio_conditions
from unit.operator.making import LATER
from voiceassist_crds import __version__
from voiceassist_operator.policy.events import Event, due_events
from voiceassist_operator.policy.observed import Observed
from voiceassist_operator.policy.plan import make_plan

MUCH_LATER = "2026-01-02T00:00:00Z"
GOLDEN = Path(__file__).parent / "golden"
COMMAND = Path(sys.executable).parent / "voiceassist-operator"


def compare(name: str, text: str) -> None:
    golden = GOLDEN / name
    if os.environ.get("VOICEASSIST_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def situations() -> dict[str, Callable[[], Observed]]:
    rows: dict[str, Callable[[], Observed]] = {}
    for module in (test_conditions, test_twilio_conditions):
        for name, make, *_ in module.ROWS:
            rows.setdefault(f"{module.__name__.rpartition('.')[2]}: {name}", make)
    return rows


def _said(event: Event) -> str:
    return f"{'Warning' if event.warning else 'Normal'} {event.condition['type']} {event.condition['reason']}"


def told(seen: Observed) -> dict[str, Any]:
    plan = make_plan(seen, LATER)
    conditions = {one["type"]: f"{one['status']} {one['reason']}: {one['message']}" for one in plan.status["conditions"]}
    return {
        "conditions": conditions,
        "events": [_said(one) for one in due_events({}, plan.status["conditions"], MUCH_LATER)],
        "rolling": plan.rolling,
    }


def test_golden_texts_conditions_texts() -> None:
    rows = situations()
    assert len(rows) > 50
    compare("conditions.yaml", yaml.safe_dump({name: told(make()) for name, make in rows.items()}, sort_keys=False, width=1000))


@pytest.mark.parametrize("arguments", [(), ("run",), ("plan",)], ids=lambda one: "_".join(("help", *one)))
def test_golden_texts_help(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [COMMAND, *arguments, "--help"], capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "COLUMNS": "1000"}
    )
    compare("_".join(("help", *arguments)) + ".txt", done.stdout.replace(__version__, "VERSION"))
