"""docs/metrics.md is written from the code, and every metric that a document names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_document_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools/metrics.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_documents_name_only_metrics_that_exist() -> None:
    known = set(re.findall(r"^\| `(voiceassist_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert len(known) > 30
    unknown = {}
    for path in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        named = set(re.findall(r"voiceassist_(?:relay|operator)_\w+", path.read_text()))
        named = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in known else name for name in named} - known
        named -= {"voiceassist_relay_", "voiceassist_operator_"}
        if named:
            unknown[path.name] = sorted(named)
    assert unknown == {}
