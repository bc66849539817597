"""docs/architecture.md tells the folders, docs/modules.md the tree that is on disk, and every module says its job."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("architecture_tool", ROOT / "tools/architecture.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules(pattern: str = "*/src/*.py") -> list[Path]:
    """Python files in the tree, also those that git does not know yet."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in done.stdout.split() if (ROOT / line).exists()]


def test_the_tree_is_the_tree_on_disk() -> None:
    assert (ROOT / "docs/modules.md").read_text() == tool().tree(), "run `make generate`"


def test_top_level_folders_are_told() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    folders = {line.split("/")[0] for line in done.stdout.split() if "/" in line}
    told = set(re.findall(r"^\| `([a-z.-]+)/` ", text, re.MULTILINE))
    assert told == folders


def test_every_module_says_its_job() -> None:
    assert [str(path) for path in modules() if not tool().sentence(path)] == []
