#!/usr/bin/env python3
"""Runs the benchmark of tests/load/bench, or one of the cost scripts beside it. Figures depend on the machine: compare within one run.

tools/bench.py [--json] [--quick] [--write]      the whole: relays, the limit, the table; and latency to the pixel, where Flex can be had
tools/bench.py --base COMMIT [--json] [--quick]      beside the relay of another commit, which is built in a worktree for the time being
tools/bench.py --memory MINUTES [--calls N] [--session-seconds S]      memory of calls that last so long, and nothing else
tools/bench.py flex [--quick] [--json]      latency to the pixel, in the real Flex UI (needs npm and chromium)
tools/bench.py media_frame_cost | model_frame_cost      what a frame costs by stage, without sockets
tools/bench.py scrape_cost [--clients N]      what clients that scrape /metrics without a pause take of the audio's core
tools/bench.py moves_cost [--calls N] [--moved N] [--quick] [--json]      calls that move to and from a relay with others on it
tools/bench.py operator [--objects N] [--base COMMIT] [--json]      the operator on a real API server, beside a bare one (root, Linux)
tools/bench.py panel_cost [--json] [--quick]      what the panel costs an agent's browser
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Exit code of what was run."""
    arguments = sys.argv[1:]
    costs = {path.stem: path for path in (ROOT / "tests/load").glob("*_cost.py")}
    if arguments and arguments[0] in costs:
        return run(str(costs[arguments[0]]), *arguments[1:])
    if arguments[:1] == ["flex"]:
        return run("-m", "flex.bench", *arguments[1:])
    if arguments[:1] == ["operator"]:
        return run("-m", "load.operator_bench", *arguments[1:])
    if "--base" in arguments[:-1]:
        at = arguments.index("--base")
        with checkout(arguments[at + 1]) as tree:
            return run("-m", "load.bench", *arguments[:at], *arguments[at + 2 :], "--base", str(tree))
    code = run("-m", "load.bench", *arguments)
    if set(arguments) <= {"--quick"}:
        run("-m", "flex.bench", *arguments)  # says itself what is missing; what cannot be had is no failure of the others
    return code


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Another commit in a worktree with an environment of its own, until it is no longer needed."""
    with tempfile.TemporaryDirectory(prefix="voiceassist-base-") as folder:
        tree = Path(folder) / commit.replace("/", "-")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], cwd=ROOT, check=True)
        try:
            subprocess.run(["tools/setup.sh"], cwd=tree, stdout=sys.stderr, check=True)
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def run(*arguments: str) -> int:
    """Exit code of a program with the tests' modules at hand."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
