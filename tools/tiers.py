#!/usr/bin/env python3
"""Runs the test tiers, prints the seconds of each, and says which were NOT RUN and why.

    tools/tiers.py [--fast] [TIER ...]

A tier whose prerequisites are missing is listed as NOT RUN; with CI=true that is a failure. Debian packages that a tier needs
are installed when this runs as root on Debian.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv/bin/python"
CI = os.environ.get("CI") == "true"


@dataclass(frozen=True)
class Tier:
    """One directory of tests and what it takes to run it. `programs` maps a program to its Debian package."""

    name: str
    fast: bool = False
    programs: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    prerequisites: str = ""  # a script that prints one line for each thing that is missing


TIERS = (
    Tier("unit", fast=True, arguments=("-n", "2")),
    Tier("contract", fast=True, arguments=("-n", "2")),
    Tier("integration", arguments=("-n", "2", "--dist", "loadfile")),
    Tier("functions", programs={"node": "nodejs", "npm": "npm"}, prerequisites="tests/functions/prerequisites.py"),
    Tier("clients", programs={"node": "nodejs", "npm": "npm"}, prerequisites="tests/clients/prerequisites.py", arguments=("-n", "2")),
    Tier("charts"),
    Tier("monitoring", programs={"promtool": "prometheus", "prometheus": "prometheus"}),
    Tier("browser", programs={"chromium": "chromium", "prometheus": "prometheus"}),
    Tier("load"),
    Tier("cluster", prerequisites="tests/cluster/prerequisites.py"),
)


@dataclass
class Outcome:
    """What became of a tier."""

    tier: str
    seconds: float = 0.0
    code: int = 0
    not_run: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def install(packages: list[str]) -> str:
    """Installs Debian packages as root; else says in one line what is missing."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"missing: {', '.join(packages)}; install with: sudo apt-get install {' '.join(packages)}"
    print(f"tiers: installing {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            return f"{' '.join(command[:2])} failed: {done.stderr.strip().splitlines()[-1:] or done.returncode}"
    return ""


def missing(tier: Tier) -> str:
    """Why the tier cannot run here; empty when it can."""
    packages = [package for program, package in tier.programs.items() if shutil.which(program) is None]
    if packages and (reason := install(packages)):
        return reason
    if tier.prerequisites:
        done = subprocess.run([PYTHON, ROOT / tier.prerequisites], capture_output=True, text=True, check=False)
        return "; ".join((done.stdout + (done.stderr if done.returncode else "")).strip().splitlines()[-5:])
    return ""


def run(tier: Tier) -> Outcome:
    """Runs one tier with pytest."""
    outcome = Outcome(tier.name)
    begin = time.monotonic()
    print(f"\n=== {tier.name}", flush=True)
    outcome.not_run = missing(tier)
    if not outcome.not_run:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [PYTHON, "-m", "pytest", f"tests/{tier.name}", "-q", f"--junitxml={report}", *tier.arguments]
            outcome.code = subprocess.run(command, cwd=ROOT, check=False).returncode
            if report.exists():
                for suite in ET.parse(report).getroot().iter("testsuite"):
                    count = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
                    outcome.failed += count["failures"] + count["errors"]
                    outcome.skipped += count["skipped"]
                    outcome.passed += count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    outcome.seconds = time.monotonic() - begin
    return outcome


def main() -> int:
    """Runs the tiers asked for and closes with a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="only the tiers that are quick: " + ", ".join(t.name for t in TIERS if t.fast))
    parser.add_argument("tier", nargs="*", metavar="TIER", help=", ".join(t.name for t in TIERS))
    options = parser.parse_args()
    known = {tier.name for tier in TIERS}
    if unknown := set(options.tier) - known:
        parser.error(f"no such tier: {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TIERS)}")
    there = [tier for tier in TIERS if any((ROOT / "tests" / tier.name).glob("**/test_*.py"))]
    wanted = [tier for tier in there if (not options.tier or tier.name in options.tier) and (not options.fast or tier.fast)]
    outcomes = [run(tier) for tier in wanted]
    print("\n=== summary")
    bad = False
    for outcome in outcomes:
        if outcome.not_run:
            bad |= CI
            print(f"{outcome.tier:12} NOT RUN  {outcome.not_run}")
        else:
            failed = outcome.code != 0
            bad |= failed
            print(
                f"{outcome.tier:12} {'FAILED' if failed else 'ok':7} {outcome.seconds:6.0f} s  "
                f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped"
            )
    total = [sum(getattr(o, key) for o in outcomes) for key in ("passed", "failed", "skipped")]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if bad or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
