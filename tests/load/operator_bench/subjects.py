"""The operators that are measured: how the process of each is started, and what it took so far."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from load.operator_bench.audit import Audit

ROOT = Path(__file__).parents[3]
TICK = os.sysconf("SC_CLK_TCK")
LOOKED_AT = re.compile(rb'^voiceassist_operator_condition\{[^}]*type="Ready"', re.MULTILINE)


class Ended(Exception):
    """An operator did not come to the end."""


@dataclass
class Subject:
    """A kind of operator, and how its process is started."""

    name: str
    command: Callable[[str, int, int], list[str]]
    """By namespace, the relays' port, and the port for metrics."""
    path: str = ""
    """PYTHONPATH."""
    bare: bool = False
    """It has no metrics, no pods and no Lease."""


@dataclass
class Running:
    """An operator's process, and what it took so far."""

    user: str
    audit: Audit
    process: subprocess.Popen[bytes]
    metrics_port: int
    log: Path
    began: float = field(default_factory=time.time)
    """Epoch seconds."""

    def cpu(self) -> float:
        """Seconds of user and system time. Raises Ended."""
        try:
            parts = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            raise Ended("has ended by itself") from None
        return (int(parts[11]) + int(parts[12])) / TICK

    def megabytes(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def requests(self) -> int:
        """All that were answered so far, watches and the Lease included."""
        return len(self.audit.answered(self.user))

    def alive(self) -> None:
        """Raises Ended."""
        if (code := self.process.poll()) is not None:
            raise Ended(f"ended by itself with {code}")

    def metrics(self) -> bytes:
        """The page; empty where there is none yet."""
        try:
            return httpx2.get(f"http://127.0.0.1:{self.metrics_port}/metrics", trust_env=False, timeout=60.0).content
        except httpx2.HTTPError:
            return b""

    def looked_at(self) -> int:
        """Objects of which it has said a condition."""
        return len(LOOKED_AT.findall(self.metrics()))

    def leads(self) -> bool:
        return b"voiceassist_operator_leading 1.0" in self.metrics()

    def late_renewals(self) -> int:
        """Of the Lease, as its log says."""
        return self.log.read_text().count("the Lease could not be read or written")

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ends it, in an orderly way where the signal lets it."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ours(lease_seconds: float) -> Callable[[str, int, int], list[str]]:
    code = "from voiceassist_operator.cli import main; main()"

    def command(namespace: str, port: int, metrics: int) -> list[str]:
        arguments = ["--namespace", namespace, "--lease-namespace", namespace, "--relay-port", str(port), "--metrics-port", str(metrics)]
        lease = ("--lease-seconds", f"{lease_seconds:g}")
        return [sys.executable, "-c", code, "run", "--allow-custom-endpoints", "--log-level", "warning", *lease, *arguments]

    return command


@contextlib.contextmanager
def subjects(base: str, folder: Path, lease_seconds: float, *, bare: bool) -> Iterator[list[Subject]]:
    """The operator as it is, the bare one, and that of a commit."""
    script = [sys.executable, str(Path(__file__).with_name("bare.py"))]
    found = [Subject("ours", ours(lease_seconds))]
    if bare:
        found.append(Subject("bare", lambda namespace, *_: [*script, "--namespace", namespace], bare=True))
    if not base:
        yield found
        return
    tree = folder / "base"
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", tree, base], check=True, capture_output=True)
    try:
        path = os.pathsep.join(str(tree / one / "src") for one in ("operator", "crds"))
        yield [*found, Subject(f"base-{base[:8].lower()}", ours(lease_seconds), path)]
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=False, capture_output=True)
