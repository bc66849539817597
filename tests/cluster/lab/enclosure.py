"""The namespaces of one cluster (network, processes, mounts): made, entered, ended, and reaped when their keeper is dead."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from cluster.lab import keeper
from cluster.lab.errors import LabError

PREFIX = "valab-"
GOGC = "400"
"""How much a Go program's memory may grow, in percent, before it looks for garbage: its own 100 costs a kubectl half of its CPU time."""
_started: dict[int, subprocess.Popen[bytes]] = {}  # keepers that are children of this process, to be waited for


def _state_parent() -> Path:
    return Path(tempfile.gettempdir())


@dataclass(frozen=True)
class Enclosure:
    """Namespaces that are there; `keeper` is the process that holds them, `holder` the one whose namespaces they are."""

    folder: Path  # all state on disk; its name is the cluster's
    keeper: int
    keeper_started: str
    holder: int

    @property
    def cgroup(self) -> str:
        """The name of its cgroups: this, or this with a suffix."""
        return self.folder.name

    @classmethod
    def make(cls, pause: Path, owner: int | None) -> Enclosure:
        """Make namespaces that end when the process `owner` ends (None: when told to). Raises LabError."""
        name = PREFIX + secrets.token_hex(4)
        folder = _state_parent() / name
        folder.mkdir(mode=0o700)
        argument = json.dumps({"folder": str(folder), "cgroup": name, "pause": str(pause), "owner": owner or 0})
        errors = (folder / "keeper.log").open("wb")
        with errors:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, argument],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # an interrupt from the terminal is for the owner, who then ends the cluster in order
            )
        assert process.stdout is not None
        _started[process.pid] = process
        # Written before the answer: a keeper that dies early leaves a folder which the next run knows to be dead.
        made = cls(folder, process.pid, keeper.start_time(process.pid), 0)
        made._write()
        with process.stdout:
            answer = process.stdout.readline()
        if not answer:
            process.wait(30)
            raise LabError("no network, process and mount namespaces could be made: is this root, and is unshare(2) allowed here?")
        made = cls(folder, process.pid, made.keeper_started, json.loads(answer)["holder"])
        made._write()
        return made

    def _write(self) -> None:
        record = asdict(self) | {"folder": str(self.folder)}
        unfinished = self.folder / "enclosure.json.new"
        try:
            unfinished.write_text(json.dumps(record))
            unfinished.rename(self.folder / "enclosure.json")
        except FileNotFoundError:
            raise LabError("the namespaces' keeper ended at once") from None

    @classmethod
    def read(cls, folder: Path) -> Enclosure:
        """The namespaces whose state is in a folder. Raises LabError if there are none."""
        try:
            record = json.loads((folder / "enclosure.json").read_text())
        except FileNotFoundError:
            raise LabError(f"no cluster has its state in {folder}") from None
        return cls(**record | {"folder": folder})

    @property
    def alive(self) -> bool:
        """Does the keeper still run?"""
        return bool(self.keeper_started) and keeper.start_time(self.keeper) == self.keeper_started

    @property
    def network(self) -> Path:
        """The network namespace, to be entered."""
        return Path(f"/proc/{self.holder}/ns/net")

    def in_network(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs another one in the cluster's network, with this machine's processes and files."""
        # Not `ip netns exec`: that mounts /sys anew, and whoever looks for cgroups finds none.
        return ["nsenter", f"--net={self.network}", "--", *map(str, argv)]

    def inside(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs another one as a part of the cluster: ended with it, with its mounts and processes."""
        at = f"/proc/{self.holder}/ns"
        return ["nsenter", f"--net={at}/net", f"--mount={at}/mnt", f"--pid={at}/pid_for_children", "--", *map(str, argv)]

    def processes(self) -> Iterator[int]:
        """The ids of all processes of the cluster; its pods have process namespaces of their own and are known by their cgroups."""
        try:
            wanted = Path(f"/proc/{self.holder}/ns/pid_for_children").readlink()
        except OSError:
            return
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and ((entry / "ns" / "pid").readlink() == wanted or self.cgroup in (entry / "cgroup").read_text()):
                    yield int(entry.name)
            except OSError:
                continue

    def end(self) -> None:
        """End every process and wait until nothing is left. Raises LabError if something is."""
        if self.alive:
            os.kill(self.keeper, signal.SIGTERM)
        deadline = time.monotonic() + 2 * keeper.PATIENCE + 10
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.02)
        process = _started.pop(self.keeper, None)
        if process is not None and not self.alive:
            process.wait()
        if self.alive or self.folder.exists():
            raise LabError(
                f"the cluster {self.folder.name} did not go away: its processes are {sorted(self.processes())}, its folder is {self.folder}"
            )


def reap() -> list[str]:
    """Remove what clusters have left whose keeper was killed. Returns their names."""
    reaped = []
    for record in sorted(_state_parent().glob(f"{PREFIX}*/enclosure.json")):
        dead = Enclosure.read(record.parent)
        if not dead.alive:
            keeper.remove_state(dead.folder, dead.cgroup)
            reaped.append(dead.folder.name)
    return reaped


class Daemon:
    """One long-running program of the cluster, with its log in a file."""

    def __init__(self, enclosure: Enclosure, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = enclosure.folder / "log" / f"{name}.log"
        self._argv = enclosure.inside(argv)
        self._env = {"PATH": os.environ["PATH"], "HOME": str(enclosure.folder), "GOGC": GOGC, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its log is appended to."""
        self.log.parent.mkdir(exist_ok=True)
        out: IO[bytes]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._env, start_new_session=True
            )

    @property
    def running(self) -> bool:
        """Has it been started, and not ended?"""
        return self._process is not None and self._process.poll() is None

    def last_lines(self, count: int = 5) -> str:
        """The end of its log."""
        return "\n".join(f"    {line[:300]}" for line in self.log.read_text(errors="replace").splitlines()[-count:])

    def stop(self, number: int = signal.SIGTERM, patience: float = 60.0) -> None:
        """Send a signal and wait until it has ended; after `patience` seconds it is killed."""
        if self._process is None or not self.running:
            return
        for child in keeper.children(self._process.pid):  # our own child is nsenter, which waits for the program
            os.kill(child, number)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            for child in keeper.children(self._process.pid):
                os.kill(child, signal.SIGKILL)
            self._process.wait(patience)
