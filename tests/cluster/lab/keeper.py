"""Holds one cluster's namespaces open, and removes everything of the cluster when its owner ends, in whatever way.

Run as a process of its own (standard library only), with one JSON argument: {"folder", "cgroup", "pause", "owner"}. All processes of the
cluster live in a process namespace whose first process is `pause`: ending that one ends them all, and with the last of them go their
mounts and networks. What the kernel does not remove, cgroups and the state folder, is removed here. Should this process itself be killed,
then the kernel ends `pause` (its parent-death signal), and the next run's `reap` removes the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PATIENCE = 60.0  # seconds for the kernel to end all processes, and to let go of cgroups


def unified() -> bool:
    """Is this a machine with cgroup v2 alone?"""
    return (CGROUPS / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The roots under which a cgroup is made: one with cgroup v2, one for each controller with v1."""
    return [CGROUPS] if unified() else sorted(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())


def make_cgroups(name: str) -> None:
    """Make a cgroup of this name in every hierarchy."""
    if unified():
        for controller in (CGROUPS / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):  # not every controller can be handed down everywhere
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
    for root in hierarchies():
        with contextlib.suppress(PermissionError):
            (root / name).mkdir(exist_ok=True)


def cgroups_named(name: str) -> list[Path]:
    """The cgroups of this name or with this name and a suffix, at the top of each hierarchy."""
    return [path for root in hierarchies() for path in root.iterdir() if path.name == name or path.name.startswith(f"{name}-")]


def remove_cgroups(name: str) -> None:
    """Remove the cgroups of this name, innermost first; waits while the kernel is still letting go of ended processes."""
    deadline = time.monotonic() + PATIENCE
    while left := cgroups_named(name):
        for top in left:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        if time.monotonic() > deadline:
            return
        if cgroups_named(name):
            time.sleep(0.05)


def start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks: with the pid it names a process for good. Empty if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def children(pid: int) -> list[int]:
    """The processes whose parent this is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def remove_state(folder: Path, cgroup: str) -> None:
    """Remove what a cluster without processes has left: cgroups, then its folder (whose presence means that there is something to do)."""
    remove_cgroups(cgroup)
    shutil.rmtree(folder, ignore_errors=True)


def _ready(holder: subprocess.Popen[bytes]) -> bool:
    """Have the namespaces been made, and does their first process run?"""
    mine = Path("/proc/self/ns/net").readlink()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and holder.poll() is None:
        with contextlib.suppress(OSError):
            made = Path(f"/proc/{holder.pid}/ns/net").readlink() != mine
            if made and any(Path(f"/proc/{child}/comm").read_text().strip() == "pause" for child in children(holder.pid)):
                return True
        time.sleep(0.01)
    return False


def main() -> int:
    """Make the namespaces, say so, wait for the end, clean up."""
    given = json.loads(sys.argv[1])
    folder, cgroup, owner = Path(given["folder"]), str(given["cgroup"]), int(given["owner"])
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    try:
        if owner:
            poll.register(os.pidfd_open(owner), select.POLLIN)
        make_cgroups(cgroup)
        holder = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                given["pause"],
            ],
            stdin=subprocess.DEVNULL,
        )
        poll.register(os.pidfd_open(holder.pid), select.POLLIN)
        if _ready(holder):
            print(json.dumps({"holder": holder.pid}), flush=True)
            with contextlib.suppress(OSError):
                os.close(1)
            poll.poll()
        for child in children(holder.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            holder.wait(PATIENCE)  # the kernel ends every process of the namespace before its first process is gone
    finally:
        remove_state(folder, cgroup)
    return 0


if __name__ == "__main__":
    sys.exit(main())
