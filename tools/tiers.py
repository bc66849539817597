#!/usr/bin/env python3
"""Runs the test tiers, prints the seconds of each, and says which were NOT RUN and why.

    tools/tiers.py [--fast] [--changed] [--one-by-one] [TIER ...]

First everything is made that any of the tiers needs and that is not there yet: Debian packages (as root on Debian), npm packages, the
cluster's programs and images. No test runs meanwhile. A tier whose prerequisites cannot be had is listed as NOT RUN; with CI=true that is
a failure. Then tiers run in lanes beside each other, so that the cores are kept busy and no more than that; the longest of a lane begin.
Those that measure run one after the other at the end, with nothing beside them. What a tier prints comes in one piece when it is over,
unless it is the only one at work. The summary tells how many cores each kept busy, without what it left running beside it, such as
clusters; and how many those beside each other did, with these.
A tier of which a few tests failed has these run once more at the very end, when nothing else is at work. What passes then is named in the
summary, as a fault that is to be mended: of the test, or a race of the product. What fails again is a failure.
With --changed only the tests run that a change since the branch left main can reach (tools/reach.py).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import reach  # noqa: E402 - beside this file

PYTHON = ROOT / ".venv/bin/python"
CI = os.environ.get("CI") == "true"


class Lane(Enum):
    """Which tiers run beside which: one of each of these lanes at a time, until a lane has no more: it takes what the others have left."""

    CLUSTERS = "two workers with a cluster each, which keep more than a core busy"
    COMPUTING = "they keep most of a core busy"
    WAITING = "they leave most of a core free"
    ALONE = "one after the other when nothing else runs, as they measure, or keep every core busy"


@dataclass(frozen=True)
class Tier:
    """Tests and what it takes to run them: those of `tests/<name>`, or the part of another tier's that `part` names by a pattern.

    `programs` maps a program to its Debian package. `seconds`, which is what it took of late, decides which tier of a lane begins.
    """

    name: str
    lane: Lane = Lane.COMPUTING
    seconds: int = 0
    fast: bool = False
    programs: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    prerequisites: str = ""  # a script that prints one line for each thing that is missing
    part: str = ""


TIERS = (
    Tier("unit", seconds=137, fast=True, arguments=("-n", "2")),
    Tier("contract", seconds=47, fast=True, prerequisites="tests/contract/prerequisites.py", arguments=("-n", "2")),
    Tier("integration", seconds=800, arguments=("-n", "3", "--dist", "worksteal")),
    Tier(
        "proxies",
        Lane.WAITING,
        seconds=112,
        programs={"nginx": "nginx", "haproxy": "haproxy", "squid": "squid-openssl"},
        prerequisites="tests/proxies/prerequisites.py",
        arguments=("-n", "2"),
    ),
    # One worker: each of LiteLLM's processes reads in half a million objects first.
    Tier(
        "servers",
        Lane.WAITING,
        seconds=326,
        programs={"node": "nodejs", "npm": "npm"},
        prerequisites="tests/servers/prerequisites.py",
    ),
    Tier(
        "functions",
        Lane.WAITING,
        seconds=33,
        programs={"node": "nodejs", "npm": "npm"},
        prerequisites="tests/functions/prerequisites.py",
    ),
    Tier(
        "clients",
        Lane.WAITING,
        seconds=70,
        programs={"node": "nodejs", "npm": "npm"},
        prerequisites="tests/clients/prerequisites.py",
        arguments=("-n", "2"),
    ),
    Tier(
        "panel",
        seconds=160,
        programs={"node": "nodejs", "npm": "npm", "chromium": "chromium"},
        prerequisites="tests/panel/prerequisites.py",
        arguments=("-n", "2"),
    ),
    Tier("plugin", seconds=145, programs={"node": "nodejs", "npm": "npm"}, prerequisites="tests/plugin/prerequisites.py"),
    Tier("charts", seconds=56, prerequisites="tests/charts/prerequisites.py"),
    Tier("monitoring", seconds=46, programs={"promtool": "prometheus", "prometheus": "prometheus"}),
    Tier(
        "browser",
        Lane.WAITING,
        seconds=98,
        programs={"node": "nodejs", "npm": "npm", "chromium": "chromium", "prometheus": "prometheus"},
        prerequisites="tests/browser/prerequisites.py",
    ),
    Tier(
        "flex",
        Lane.WAITING,
        seconds=380,
        programs={"node": "nodejs", "npm": "npm", "chromium": "chromium"},
        prerequisites="tests/flex/prerequisites.py",
        arguments=("-n", "2", "--dist", "loadfile"),
    ),
    Tier("twilio", Lane.WAITING, seconds=349, part="tests/cluster/operator/test_twilio_*.py", programs={"squid": "squid-openssl"}),
    # Each worker has an API server of its own.
    Tier(
        "operator",
        Lane.CLUSTERS,
        seconds=600,
        part="tests/cluster/operator/test_[!t]*.py",
        programs={"squid": "squid-openssl"},
        arguments=("-n", "2", "--dist", "loadfile"),
    ),
    # test_ipv6_alone and test_lab_ends, which have clusters of their own.
    Tier("labs", seconds=73, part="tests/cluster/test_*_[ae]*.py", programs={"squid": "squid-openssl"}),
    # A thousand calls at once, which keep six tenths of a core busy. What it asserts has room for what else the kernel lets run.
    Tier("herd", Lane.WAITING, seconds=169, part="tests/load/test_model_herd.py"),
    Tier(
        "load",
        Lane.ALONE,
        programs={"valgrind": "valgrind"},
        arguments=("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder"),
    ),
    # Each worker has a cluster of its own.
    Tier(
        "cluster",
        Lane.CLUSTERS,
        seconds=690,
        programs={"squid": "squid-openssl"},
        prerequisites="tests/cluster/prerequisites.py",
        arguments=("-n", "2", "--dist", "loadfile"),
    ),
)


@dataclass
class Outcome:
    """What became of a tier."""

    tier: str
    seconds: float = 0.0
    cpu: float = 0.0  # seconds
    code: int = 0
    not_run: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)  # pytest's names of tests
    second_try: list[str] = field(default_factory=list)  # of those, what passed when it ran once more


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


STILL = 60.0
"""Seconds after which what prints nothing until its end says that it is still at work."""
QUICK = 5.0
"""Seconds below which a prerequisite's script says nothing of the time that it took: it has found all there."""
FAILED = 1
"""pytest's code for: all was run, and tests failed."""
FEW = 8
"""Failed tests of a tier up to which they run once more: more of them is no accident."""
_printing = Lock()
_choosing = Lock()


def say(text: str) -> None:
    """Prints in one piece."""
    with _printing:
        print(text, flush=True)


def lacking(tier: Tier) -> list[str]:
    """The Debian packages of programs that are not found."""
    return [package for program, package in tier.programs.items() if shutil.which(program) is None]


def prepare(tier: Tier) -> str:
    """Runs the tier's script, which makes what is not there yet; why the tier cannot run here, empty when it can."""
    if not tier.prerequisites:
        return ""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as told:
        # What the script prints is what is missing; how far it is goes to standard error, which is the terminal's.
        process = subprocess.Popen([PYTHON, ROOT / tier.prerequisites], stdout=told)
        wait(process, f"prerequisites of {tier.name}")
        if (seconds := time.monotonic() - begin) > QUICK:
            say(f"tiers: prerequisites of {tier.name} took {seconds:.0f} s")
        told.seek(0)
        reasons = told.read().strip().splitlines()[-5:]
    if process.returncode and not reasons:
        reasons = [f"{tier.prerequisites} failed with {process.returncode}"]
    return "; ".join(reasons)


def prerequisites(tiers: list[Tier]) -> dict[str, str]:
    """Makes what all the tiers need before any of them begins; by a tier's name why it cannot run, empty when it can."""
    begin = time.monotonic()
    reasons = {tier.name: "" for tier in tiers}
    if packages := sorted({package for tier in tiers for package in lacking(tier)}):
        reason = install(packages)
        reasons |= {tier.name: reason if len(tiers) == 1 else install(lacking(tier)) for tier in tiers if reason and lacking(tier)}
    scripts = [tier for tier in tiers if not reasons[tier.name]]
    # Two at once, as npm waits for the network while a compiler computes; the longest first.
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting = {tier.name: pool.submit(prepare, tier) for tier in sorted(scripts, key=lambda tier: -tier.seconds)}
        reasons |= {name: prepared.result() for name, prepared in waiting.items()}
    say(f"tiers: prerequisites took {time.monotonic() - begin:.0f} s")
    return reasons


def wait(process: subprocess.Popen[bytes], what: str = "") -> float:
    """Waits for a process, and says once a minute that this is at work, if it has a name; CPU seconds of it and what it has waited for."""
    begin = said = time.monotonic()
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if what and (now := time.monotonic()) - said > STILL:
            said = now
            say(f"=== {what}: {(now - begin) / 60:.0f} min so far")
        time.sleep(0.1)


def whole(tier: Tier) -> list[str]:
    """What pytest is given to run all of a tier."""
    if tier.part:
        return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(tier.part))
    own = f"tests/{tier.name}"
    return [own, *(f"--ignore-glob={ROOT / other.part}" for other in TIERS if other.part.startswith(f"{own}/"))]


def run(tier: Tier, only: list[str], alone: bool) -> Outcome:
    """Runs one tier with pytest: all of it, or only these files. Alone on the terminal, or with its output kept until its end."""
    outcome = Outcome(tier.name)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report, kept, cache = Path(folder) / "report.xml", Path(folder) / "output", Path(folder) / "cache"
        # Each of the many processes that tests start would compile all of its modules, if none of them kept what it has compiled.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        settings = ["-q", f"--rootdir={ROOT}", f"--junitxml={report}", "-o", f"cache_dir={cache}"]
        command = [PYTHON, "-m", "pytest", *(only or whole(tier)), *settings, *tier.arguments]
        if alone:
            say(f"\n=== {tier.name}")
            process = subprocess.Popen(command, cwd=ROOT, env=environment)
            outcome.cpu = wait(process)
        else:
            say(f"=== {tier.name}: begun")
            with kept.open("wb") as out:
                process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
                outcome.cpu = wait(process, tier.name)
            say(f"\n=== {tier.name}\n{kept.read_text(errors='replace').rstrip()}")
        outcome.code = process.returncode
        if report.exists():
            for suite in ET.parse(report).getroot().iter("testsuite"):
                count = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
                outcome.failed += count["failures"] + count["errors"]
                outcome.skipped += count["skipped"]
                outcome.passed += count["tests"] - count["failures"] - count["errors"] - count["skipped"]
        if (last := cache / "v/cache/lastfailed").exists():
            outcome.failures = list(json.loads(last.read_text()))
    outcome.seconds = time.monotonic() - begin
    return outcome


def try_again(tier: Tier, first: Outcome) -> None:
    """Runs a tier's few failed tests once more, when nothing else is at work, and takes those that pass into its outcome."""
    # A test that fails in its own words and in its fixtures' ends is counted twice and named once.
    if first.code != FAILED or not 0 < len(first.failures) <= first.failed <= FEW:
        return
    say(f"\n=== {tier.name}: {first.failed} failed; once more, with nothing beside")
    second = run(replace(tier, arguments=()), first.failures, alone=True)
    first.second_try = [name for name in first.failures if name not in second.failures] if second.code in (0, FAILED) else []
    first.passed += len(first.second_try)
    first.failed = len(first.failures) - len(first.second_try)
    first.seconds += second.seconds
    first.cpu += second.cpu
    first.code = FAILED if first.failed else 0


def run_all(wanted: list[Tier], reached: dict[str, list[str]], *, one_by_one: bool) -> list[Outcome]:
    """Runs tiers beside each other, or one by one; the outcomes are in the order of the tiers."""
    reasons = prerequisites(wanted)
    outcomes = {tier.name: Outcome(tier.name, not_run=reasons[tier.name]) for tier in wanted}
    there = [tier for tier in wanted if not outcomes[tier.name].not_run]

    def go(tiers: list[Tier], *, alone: bool) -> None:
        while True:
            with _choosing:
                if not tiers:
                    return
                tier = tiers.pop(0)
            outcomes[tier.name] = run(tier, reached.get(tier.name, []), alone)

    together = [] if one_by_one else [tier for tier in there if tier.lane is not Lane.ALONE]
    if together:
        beside(together, go)
    go([tier for tier in there if tier not in together], alone=True)
    for tier in there:
        try_again(tier, outcomes[tier.name])
    return list(outcomes.values())


def beside(tiers: list[Tier], go: Callable[..., None]) -> None:
    """Runs the lanes of these tiers at the same time by `go`, and says how busy that kept the machine."""
    lanes: dict[Lane, list[Tier]] = {lane: [] for lane in Lane}
    for tier in sorted(tiers, key=lambda tier: -tier.seconds):
        lanes[tier.lane].append(tier)

    def follow(lane: list[Tier]) -> None:
        for one in (lane, lanes[Lane.WAITING], lanes[Lane.COMPUTING], lanes[Lane.CLUSTERS]):
            go(one, alone=len(tiers) == 1)

    busy = Busy()
    with ThreadPoolExecutor(max_workers=len(lanes)) as pool:
        for done in [pool.submit(follow, lane) for lane in lanes.values() if lane]:
            done.result()
    if len(tiers) > 1:
        say(f"tiers: {len(tiers)} beside each other took {busy}")


class Busy:
    """What the machine does from now on, with what no tier waits for."""

    def __init__(self) -> None:
        self._begin, self._idle = time.monotonic(), self._now()

    @staticmethod
    def _now() -> float:
        """Seconds in which a core had nothing to do, of all cores, since the machine began; no number where nobody counts."""
        try:
            return float(Path("/proc/uptime").read_text().split()[1])
        except OSError:
            return math.nan

    def __str__(self) -> str:
        seconds, cores = time.monotonic() - self._begin, os.cpu_count() or 1
        return f"{seconds:.0f} s, with {cores - (self._now() - self._idle) / max(seconds, 0.1):.2f} of {cores} cores busy"


def main() -> int:
    """Runs the tiers asked for and closes with a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="only the tiers that are quick: " + ", ".join(t.name for t in TIERS if t.fast))
    parser.add_argument("--changed", action="store_true", help="only the tests that a change since main can reach")
    parser.add_argument("--one-by-one", action="store_true", help="no tier beside another one")
    parser.add_argument("tier", nargs="*", metavar="TIER", help=", ".join(t.name for t in TIERS))
    options = parser.parse_args()
    known = {tier.name for tier in TIERS}
    if unknown := set(options.tier) - known:
        parser.error(f"no such tier: {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TIERS)}")
    there = [tier for tier in TIERS if any(ROOT.glob(tier.part or f"tests/{tier.name}/**/test_*.py"))]
    wanted = [tier for tier in there if (not options.tier or tier.name in options.tier) and (not options.fast or tier.fast)]
    reached: dict[str, list[str]] = {}
    if options.changed:
        reached = reach.reached_tests(ROOT)
        wanted = [tier for tier in wanted if tier.name in reached]
        if not wanted:
            print("no test can be reached by what has changed")
            return 0
        print("\n".join(f"{tier.name}: {len(reached[tier.name])} files" for tier in wanted), flush=True)
    begin = time.monotonic()
    outcomes = run_all(wanted, reached, one_by_one=options.one_by_one)
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
                f"{outcome.cpu / max(outcome.seconds, 0.1):4.1f} cores  "
                f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped"
            )
    for name in [name for outcome in outcomes for name in outcome.second_try]:
        print(f"TO BE MENDED: failed at first, passed when nothing else ran: {name}")
    total = [sum(getattr(o, key) for o in outcomes) for key in ("passed", "failed", "skipped")]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped in {time.monotonic() - begin:.0f} s")
    return 1 if bad or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
