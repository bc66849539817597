"""Operators that begin in a moment: children of a process that has loaded their modules, each a process of its own, to be killed.

As a program it reads a line of JSON for each child {kubeconfig, log, arguments}, and answers with the child's process id.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from voiceassist_operator import cli
from voiceassist_operator import main as _loaded  # noqa: F401 - what takes its time


class Nursery:
    """Begins operators."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, kubeconfig: Path, log: Path, *arguments: str) -> int:
        """Returns the process id of another operator."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"kubeconfig": str(kubeconfig), "log": str(log), "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def is_there(process: int) -> bool:
    """Whether a child of the nursery has not ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def nursery() -> Iterator[Nursery]:
    """One, whose children end with it."""
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as process:
        try:
            yield Nursery(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _serve() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is forgotten at once
    for line in sys.stdin:
        wanted = json.loads(line)
        if child := os.fork():
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(wanted["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.environ["KUBECONFIG"] = wanted["kubeconfig"]
        sys.argv = ["voiceassist-operator", "run", "--metrics-port", "0", "--log-format", "json", *wanted["arguments"]]
        cli.main()


if __name__ == "__main__":
    _serve()
