"""docs/reference.md is what the CRD says; docs/conditions.md has every condition and reason, and each reason is used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from voiceassist_crds.reasons import ConditionType, Reason

ROOT = Path(__file__).parents[3]
CONDITIONS = (ROOT / "docs/conditions.md").read_text()


def rows(heading: str) -> list[str]:
    section = CONDITIONS.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_documents_the_reference_is_what_the_crd_says() -> None:
    done = subprocess.run([sys.executable, "tools/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_documents_every_condition_is_told_once() -> None:
    assert sorted(rows("Types")) == sorted(kind.value for kind in ConditionType)


def test_documents_every_reason_is_told_once() -> None:
    assert sorted(rows("Reasons")) == sorted(reason.value for reason in Reason)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_documents_every_reason_is_used(reason: Reason) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "operator/src").rglob("*.py"))
    assert re.search(rf"\bReason\.{reason.name}\b", sources)
