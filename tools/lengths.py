#!/usr/bin/env python3
"""Refuses lines over 140 characters, in code and pages alike, and names modules over 400 lines.

The latter is a hint to look whether one has two jobs, never a failure: a module is cut by role, not for its length.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANY, WIDTH = 400, 140
WRITTEN = (".py", ".js", ".ts", ".tsx", ".sh", ".yaml", ".yml", ".md", ".toml", "Makefile", "Dockerfile", ".mk")
PRAGMA = re.compile(r"  # (noqa|type: ignore).*")
# Made from something else, goldens, or held by a tool of its own.
MADE = re.compile(
    r"^charts/voiceassist/files/|^docs/(reference|metrics|values|modules)\.md$|/golden/|^tests/fuzz_corpus/|^crds/(src/voiceassist_crds/)?voiceassists"
    r"|^demo/src/voiceassist_demo/page/|^flex-plugin/|^tests/contract/versions/|package-lock"
)


def files(root: Path, *patterns: str) -> list[str]:
    """Files by their names in the tree, also those that git does not know yet."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", *patterns]
    names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in names if (root / name).is_file())


def long_modules(root: Path = ROOT) -> dict[str, int]:
    """Python files with their lines, where these are many."""
    counts = {name: len((root / name).read_text().splitlines()) for name in files(root, "*.py")}
    return {name: count for name, count in counts.items() if count > MANY}


def long_lines(path: Path) -> list[int]:
    """The numbers of the lines that are too long. A row of a table, a command or query in a page, and one long word cannot be broken."""
    found, page, code = [], path.suffix == ".md", False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        code ^= page and line.lstrip().startswith("```")
        text = PRAGMA.sub("", line)
        if len(text) > WIDTH and not code and not (page and text.startswith("|")) and max(map(len, text.split())) < WIDTH - 20:
            found.append(number)
    return found


def all_long_lines(root: Path = ROOT) -> dict[str, list[int]]:
    """Files that people write, with the numbers of their lines that are too long."""
    written = [name for name in files(root) if name.endswith(WRITTEN) and not MADE.search(name)]
    return {name: found for name in written if (found := long_lines(root / name))}


if __name__ == "__main__":
    for name, count in long_modules().items():
        print(f"{name}: warning: {count} lines; has it two jobs?")
    for name, numbers in (long := all_long_lines()).items():
        print(f"{name}: over {WIDTH} characters: line {', '.join(map(str, numbers))}", file=sys.stderr)
    sys.exit(1 if long else 0)
