#!/usr/bin/env python3
"""Runs tiers of tests with branch coverage, child processes too, and prints it by package.

    tools/coverage.py [TIER ...]     (default: unit contract integration)

A package's share is of statements and branches together, as coverage.py counts them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ("unit", "contract", "integration")


def by_package(report: dict[str, dict[str, dict[str, dict[str, int]]]]) -> list[tuple[str, int, int, int, int]]:
    """Package, statements, those that ran, branches, those taken; from coverage's JSON report."""
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, file in report["files"].items():
        path = Path(name)
        parts = path.parts[path.parts.index("src") + 1 :] if "src" in path.parts else path.parts
        package = ".".join(parts[:-1])
        one = file["summary"]
        for at, key in enumerate(("num_statements", "covered_lines", "num_branches", "covered_branches")):
            rows[package][at] += one[key]
    return [(package, *counts) for package, counts in sorted(rows.items())]  # type: ignore[misc]


def table(rows: list[tuple[str, int, int, int, int]]) -> str:
    """The rows as a Markdown table, with their sum."""
    total = ("all", *(sum(row[at] for row in rows) for at in range(1, 5)))
    lines = ["| package | statements | ran | branches | taken | share |", "|---|---:|---:|---:|---:|---:|"]
    for package, statements, ran, branches, taken in [*rows, total]:
        share = 100 * (ran + taken) / max(statements + branches, 1)  # type: ignore[operator]
        lines.append(f"| `{package}` | {statements} | {ran} | {branches} | {taken} | {share:.1f} % |")
    return "\n".join(lines)


def main() -> int:
    """Exit code of the tests, or 1."""
    tiers = sys.argv[1:] or list(DEFAULT)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "COVERAGE_FILE": f"{folder}/data"}
        options = ["--cov", "--cov-config=pyproject.toml", "--cov-report=", "-q", "-n", "2", "--dist", "loadfile"]
        command = [sys.executable, "-m", "pytest", *(f"tests/{tier}" for tier in tiers), *options]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=sys.stderr).returncode
        if list(Path(folder).glob("data.*")):  # of processes that ended after pytest had joined the others' data
            subprocess.run([sys.executable, "-m", "coverage", "combine", "-q", "--append"], cwd=ROOT, env=environment, check=False)
        report = Path(folder) / "report.json"
        made = [sys.executable, "-m", "coverage", "json", "-q", "-o", str(report)]
        if subprocess.run(made, cwd=ROOT, env=environment, check=False).returncode:
            return 1
        print(table(by_package(json.loads(report.read_text()))))
    return code


if __name__ == "__main__":
    sys.exit(main())
