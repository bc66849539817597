#!/usr/bin/env python3
"""Names modules over 400 lines: a hint to look whether one has two jobs, never a failure. A module is cut by role, not for its length."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANY = 400


def long_modules(root: Path = ROOT) -> dict[str, int]:
    """Python files with their lines, where these are many; also files that git does not know yet."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "*.py"]
    names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout.split()
    counts = {name: len((root / name).read_text().splitlines()) for name in names if (root / name).exists()}
    return {name: count for name, count in sorted(counts.items()) if count > MANY}


if __name__ == "__main__":
    for name, count in long_modules().items():
        print(f"{name}: warning: {count} lines; has it two jobs?")
