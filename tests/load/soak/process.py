"""What a process holds, from /proc: resident memory, file descriptors, sockets, CPU time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Held:
    """One look at a process. `rss` is resident memory in bytes, `fds` counts descriptors, `sockets` those among them."""

    rss: int
    fds: int
    sockets: int


def held(pid: int) -> Held:
    """What the process holds now. Raises OSError if it is gone."""
    folder, fds, sockets = Path(f"/proc/{pid}/fd"), 0, 0
    for name in os.listdir(folder):  # noqa: PTH208 - the names alone
        try:
            target = os.readlink(folder / name)  # noqa: PTH115 - no path, but `socket:[1234]`
        except OSError:  # closed meanwhile
            continue
        fds += 1
        sockets += target.startswith("socket:")
    return Held(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE, fds, sockets)


def cpu_seconds(pid: int) -> float:
    """User and system time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def peak_rss(pid: int, *, reset: bool = False) -> int:
    """Bytes of the highest resident memory so far; `reset` begins anew afterwards."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            peak = int(line.split()[1]) * 1024
            break
    else:
        raise OSError(f"no VmHWM for {pid}")
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak
