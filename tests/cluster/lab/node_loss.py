"""A node that vanishes: its processes and its pods' network stop at one moment, and no socket is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.lab.lab import Lab
from cluster.lab.node import Node

_TABLE = "vanished"


def _processes(node: Node, cgroup: str) -> Iterator[int]:
    """The node's own programs, by its folder in their arguments, and those of its pods, by their cgroups."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace")
            if f"{node.folder}/" in arguments or f"/{cgroup}/" in (entry / "cgroup").read_text():
                yield int(entry.name)


@contextmanager
def vanished(lab: Lab, node: Node) -> Iterator[None]:
    """Nothing comes from the node any more, nor from its pods, until it is there again, as it was."""
    cgroup = f"{lab.enclosure.cgroup}-{node.name}"
    index = lab.nodes.index(node)
    rules = [f"add table inet {_TABLE}"]
    for hook in ("input", "forward", "output"):
        rules.append(f"add chain inet {_TABLE} {hook} {{ type filter hook {hook} priority 0; }}")
        for family in lab.families:
            word = {4: "ip", 6: "ip6"}[family.version]
            rules += [f"add rule inet {_TABLE} {hook} {word} {side} {family.node_pods(index)} drop" for side in ("saddr", "daddr")]
    stopped = list(_processes(node, cgroup))
    lab.run(["nft", "-f", "-"], stdin="\n".join(rules))
    for process in stopped:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for _ in range(2):  # nsenter stops itself where its child is stopped: the children first, and then all
            for process in reversed(stopped):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
            time.sleep(0.2)
        lab.run(["nft", "delete", "table", "inet", _TABLE])
