"""The plugin's sources: their own tests under Node.js, and TypeScript's strict eye."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .packages import copy

pytestmark = pytest.mark.timeout(600)


async def test_the_units_of_the_plugin(tmp_path: Path) -> None:
    folder = await copy(tmp_path)
    done = subprocess.run(["node", "scripts/test.mjs"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed and int(passed[1]) > 50, "tests were not found"


async def test_types(tmp_path: Path) -> None:
    folder = await copy(tmp_path)
    done = subprocess.run(["node", "node_modules/typescript/bin/tsc", "-p", "."], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
