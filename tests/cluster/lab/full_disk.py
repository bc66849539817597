"""A node whose disk is full: its kubelet's file system has no byte left, for volumes and for logs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.lab.lab import Lab
from cluster.lab.node import Node

_ROOM = 1 << 20
_FILLING = "filled-up"


@contextmanager
def full(lab: Lab, node: Node) -> Iterator[None]:
    """The node's disk is full until then. For a cluster with `own_disks`: the disk is made as small as what it holds, and filled up."""
    seen = Path(f"/proc/{lab.enclosure.holder}/root{node.disk}")
    size = shutil.disk_usage(seen).used + _ROOM
    _resize(lab, node, str(size))
    filling = node.disk / _FILLING
    subprocess.run(lab.enclosure.inside(["dd", "if=/dev/zero", f"of={filling}", "bs=64K", "status=none"]), capture_output=True, check=False)
    try:
        assert shutil.disk_usage(seen).free < _ROOM // 4
        yield
    finally:
        subprocess.run(lab.enclosure.inside(["rm", "-f", filling]), check=True)
        _resize(lab, node, "50%")


def _resize(lab: Lab, node: Node, size: str) -> None:
    subprocess.run(lab.enclosure.inside(["mount", "-o", f"remount,size={size}", node.disk]), check=True, capture_output=True)
