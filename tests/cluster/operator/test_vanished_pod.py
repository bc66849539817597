"""A pod that vanished is made to count as not ready, with the rights that the chart gives, and nothing else of its status changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.lab import Lab
from cluster.operator.bench import Cluster as Bench
from cluster.operator.test_operator_rights import chart
from cluster.waiting import eventually
from unit.operator.making import pods, well
from voiceassist_operator.controller.apply import VANISHED, Applier, Written
from voiceassist_operator.kubernetes.client import Cluster
from voiceassist_operator.kubernetes.store import Store
from voiceassist_operator.metrics import OperatorMetrics

POD = ("v1", "Pod")


def test_a_vanished_pod_counts_as_not_ready(plane: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with plane.namespace("gone") as namespace:
        bench = Bench(plane.outside_kubeconfig(), namespace)
        bodies = chart(plane, namespace, "--set", "userRoles.create=false")
        plane.apply(*bodies, namespace=namespace)
        account = next(body["metadata"]["name"] for body in bodies if body["kind"] == "ServiceAccount")
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(plane.outside_kubeconfig(f"system:serviceaccount:{namespace}:{account}").read_text())
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        spec = {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "relay",
                    "image": "none",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        }
        # not before the namespace's own ServiceAccount is there
        eventually("a pod", lambda: bench.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod-2"}, "spec": spec}))
        well_then = [
            {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"} for kind in ("ContainersReady", "Ready")
        ]
        bench.patch(POD, "pod-2", {"status": {"podIP": "10.0.0.2", "conditions": well_then}}, status=True)

        seen = pods(well(), {"told": {"silent_relays": ["10.0.0.2:9090"]}}, {"late": True})
        owner = replace(seen.owner, namespace=namespace)

        async def vanish() -> None:
            cluster = Cluster.connect(lambda: None)
            await Applier(cluster, Store(), OperatorMetrics()).vanished(replace(seen, owner=owner), Written())
            await cluster.close()

        asyncio.run(vanish())
        status = bench.get(POD, "pod-2")["status"]
        told = {one["type"]: (one["status"], one.get("reason", "")) for one in status["conditions"]}
        assert told == {"ContainersReady": ("True", ""), "Ready": ("False", VANISHED)}
        assert status["podIP"] == "10.0.0.2"
