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


WIDTH = 140
PRAGMA = re.compile(r"  # (noqa|type: ignore).*")
WRITTEN = (".py", ".js", ".ts", ".tsx", ".sh", ".yaml", ".yml", ".md", ".toml", "Makefile", "Dockerfile", ".mk")
# Made from something else, or goldens.
MADE = re.compile(
    r"^charts/voiceassist/files/|^docs/(reference|metrics|values|modules)\.md$|^tests/unit/operator/golden/|^tests/fuzz_corpus/|^crds/voiceassists|^tests/contract/versions/"
    r"|^demo/src/voiceassist_demo/page/"
)


def long_lines(path: Path) -> list[int]:
    """The numbers of the lines that are too long. A row of a table, a command or query in a page, and one long word cannot be broken."""
    found, page, code = [], path.suffix == ".md", False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        code ^= page and line.lstrip().startswith("```")
        text = PRAGMA.sub("", line)
        if len(text) > WIDTH and not code and not (page and text.startswith("|")) and max(map(len, text.split())) < WIDTH - 20:
            found.append(number)
    return found


def test_no_line_is_too_long() -> None:
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    written = [ROOT / name for name in done.stdout.split() if name.endswith(WRITTEN) and not MADE.search(name)]
    written = [path for path in written if path.is_file()]
    assert {path.suffix for path in written} >= {".py", ".md", ".yaml", ".sh"}
    assert {str(path.relative_to(ROOT)): found for path in written if (found := long_lines(path))} == {}
