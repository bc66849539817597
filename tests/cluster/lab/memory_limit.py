"""A container that reaches its memory limit: the kernel kills its process, and nothing else does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster.lab.keeper import CGROUPS, unified

MEMORY_FILES = Path("/dev/shm")
FIRST_TO_GO = "1000"
SECONDS = 60


def _cgroup(process: int) -> Path:
    """The process's cgroup that counts memory."""
    for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" if unified() else "memory" in controllers.split(","):
            return CGROUPS / ("" if unified() else "memory") / path.lstrip("/")
    raise AssertionError(f"no memory cgroup of {process}")


def reach(process: int, struck: Callable[[], None]) -> None:
    """Fills the memory of the process's container with files until the kernel kills it for that; `struck` is called just before."""
    cgroup = _cgroup(process)
    limit = int((cgroup / ("memory.max" if unified() else "memory.limit_in_bytes")).read_text())
    Path(f"/proc/{process}/oom_score_adj").write_text(FIRST_TO_GO)
    with TemporaryDirectory(dir=MEMORY_FILES) as folder:

        def join() -> None:
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))

        # Most of it at first, and the rest when whoever measures is told: the fill takes a while, and the end comes with its last MiB.
        used = int((cgroup / ("memory.current" if unified() else "memory.usage_in_bytes")).read_text())
        for number, size in enumerate((max(0, limit - used - (32 << 20)), limit)):
            if number:
                struck()
            command = ["dd", "if=/dev/zero", f"of={folder}/{number}", "bs=64K", f"count={size >> 16}", "status=none"]
            subprocess.run(command, preexec_fn=join, timeout=SECONDS, capture_output=True, check=False)
