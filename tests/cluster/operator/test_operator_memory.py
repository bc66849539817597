"""The operator's memory does not know how much others keep in the cluster: measured beside 1,000 Secrets of 250 kB."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.lab import Lab, missing_prerequisites
from cluster.operator.bench import Cluster, Operator, Relays, voiceassist
from cluster.waiting import established, eventually

pytestmark = pytest.mark.timeout(600, func_only=True)
CRD = Path(__file__).parents[3] / "crds/voiceassists.voiceassist.dev.yaml"
SECRETS, SIZE = 1000, 250_000
ALLOWED_MB = 20.0


@pytest.fixture(scope="module")
def plane() -> Iterator[Lab]:
    """A control plane of its own: what is stored in it slows nobody else's Lease."""
    if missing := missing_prerequisites():
        pytest.skip(f"NOT RUN: {'; '.join(missing)}")
    with Lab() as lab:
        lab.control_plane_only()
        lab.kubectl("apply", "--server-side", "-f", CRD)
        established(lab, "voiceassists.voiceassist.dev")
        yield lab


def resident_mb(operator: Operator) -> float:
    assert operator.process.poll() is None, operator.log[-2000:]
    pages = int(Path(f"/proc/{operator.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def settled(plane: Lab, relays: Relays, folder: Path, cluster: Cluster) -> Iterator[Operator]:
    """An operator for all namespaces that has looked at the object several times."""
    folder.mkdir()
    arguments = ("--all-namespaces", "--lease-namespace", cluster.namespace, "--relay-port", str(relays.port), "--resync-seconds", "1")
    arguments += ("--lease-name", folder.name)  # none waits for the one before
    operator = Operator(plane.outside_kubeconfig(), folder / "log", *arguments)
    try:
        operator.await_event("operator up", 60)
        series = 'voiceassist_operator_reconcile_duration_seconds_count{outcome="ok"}'
        eventually("reconciles", lambda: operator.metrics().get(series, 0) >= 8, 120)
        yield operator
    finally:
        operator.kill()


def test_secrets_of_others_cost_no_memory(plane: Lab, cluster: Cluster, relays: Relays, tmp_path: Path) -> None:
    cluster.secrets()
    cluster.create(voiceassist())
    with plane.namespace("others") as name:
        others = Cluster(plane.outside_kubeconfig(), name)
        value = base64.b64encode(os.urandom(SIZE)).decode()
        with settled(plane, relays, tmp_path / "none", cluster) as operator:
            none = resident_mb(operator)
        metadata = [{"name": f"foreign-{number}"} for number in range(SECRETS)]
        for one in metadata:
            others.create({"apiVersion": "v1", "kind": "Secret", "metadata": one, "data": {"value": value}})
        with settled(plane, relays, tmp_path / "some", cluster) as operator:
            beginning = resident_mb(operator)
            for number in range(20):
                others.patch(("v1", "Secret"), f"foreign-{number}", {"metadata": {"labels": {"touched": "yes"}}})
            watching = resident_mb(operator)
    print(f"resident: {none:.1f} MB without, {beginning:.1f} MB after a start beside them, {watching:.1f} MB while some change")
    assert beginning - none < ALLOWED_MB
    assert watching - none < ALLOWED_MB
