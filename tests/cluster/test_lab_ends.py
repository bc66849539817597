"""Clusters of these tests' own: what is left when one ends, in order or not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.greeting import deployment
from cluster.lab import Lab, LabError, keeper
from cluster.lab.enclosure import Enclosure, reap
from cluster.lab.images import all_images, image_archive
from cluster.lab.lab import PATIENCE
from cluster.lab.places import REPOSITORY
from cluster.waiting import eventually

pytestmark = pytest.mark.needs_lab


def leftovers(name: str) -> list[str]:
    """What a cluster of this name has left: its folder, cgroups, mounts, and processes that work for it or in its namespaces."""
    left = [str(path) for path in Path(tempfile.gettempdir()).glob(f"{name}*")]
    left += map(str, keeper.cgroups_named(name))
    left += [line for line in Path("/proc/mounts").read_text().splitlines() if name in line]
    mine = str(os.getpid())
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != mine:
            with contextlib.suppress(OSError):
                if name in (command := (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")):
                    left.append(f"process {process.name}: {command}")
    return left


def test_down_leaves_nothing() -> None:
    lab = Lab()
    with lab:
        lab.up(nodes=1)
        lab.load(*[image_archive(recipe) for recipe in all_images() if recipe.what == "sim-image"])
        lab.apply(deployment("hello", 1), namespace="default")
        lab.kubectl("rollout", "status", "deployment/hello", "--timeout=300s")
        name = lab.folder.name
        processes = set(lab.enclosure.processes())
        commands = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes}
        assert {"pause", "etcd", "kubelet", "containerd", "containerd-shim", "python3"} <= commands
        assert len(leftovers(name)) > 5, "the way to look for leftovers sees a cluster that is up"
    print(", ".join(f"{what}: {seconds:.1f} s" for what, seconds in lab.seconds.items()))
    assert leftovers(name) == []
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []
    assert not any(Path(folder).exists() for folder in ("/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/opt/containerd"))


_OWNER = "import sys, time; from cluster.lab import Lab; lab = Lab().control_plane_only(); print(lab.folder, flush=True); time.sleep(600)"


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that has brought up a control plane, and the cluster's folder, where no other cluster's start looks for leftovers."""
    with tempfile.TemporaryDirectory(prefix="own-") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        yield from _owner(place)


def _owner(place: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests"), "TMPDIR": place}
    with subprocess.Popen([sys.executable, "-c", _OWNER], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        try:
            yield process, folder
        finally:
            process.kill()


def test_a_cluster_ends_with_its_owner(owner: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = owner
    processes = set(Enclosure.read(folder).processes())
    assert len(processes) >= 3, "pause, etcd, the API server"
    process.kill()
    started = time.monotonic()
    eventually("nothing left", lambda: leftovers(folder.name) == [])
    print(f"gone {time.monotonic() - started:.1f} s after its owner was killed")
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []


def test_the_next_run_removes_what_a_killed_keeper_has_left(owner: tuple[subprocess.Popen[str], Path]) -> None:
    _, folder = owner
    enclosure = Enclosure.read(folder)
    processes = set(enclosure.processes())
    assert folder.name not in reap(), "a cluster that is alive is left alone"
    os.kill(enclosure.keeper, signal.SIGKILL)
    eventually("their end", lambda: not [pid for pid in processes if Path(f"/proc/{pid}").exists()])
    assert folder.is_dir()
    assert keeper.cgroups_named(folder.name)
    assert folder.name in reap()
    assert leftovers(folder.name) == []


def test_what_does_not_come_up_says_why_and_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.lab.control_plane.AUDIT_POLICY", {"kind": "Nonsense"})
    lab = Lab()
    started = time.monotonic()
    with pytest.raises(LabError, match=r"(?s)the API server did not come up\n.*apiserver's log:\n.*[Aa]udit policy"):
        lab.control_plane_only()
    assert time.monotonic() - started < PATIENCE, "at once, not after the time limit"
    assert "down" in lab.seconds
