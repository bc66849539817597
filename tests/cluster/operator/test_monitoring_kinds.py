"""What the chart and the operator make for the Prometheus operator, on an API server that has that operator's own kinds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kinds_of_others import MONITORING_GROUP as GROUP
from cluster.kinds_of_others import apply_strictly, bring_monitoring_kinds
from cluster.lab import CommandError, Lab
from cluster.operator.bench import VOICEASSIST, Cluster, voiceassist
from cluster.waiting import eventually
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_operator.policy.resources.account_budget_monitor import relay_pod_monitor
from voiceassist_operator.policy.resources.metadata import Owner

pytestmark = pytest.mark.timeout(900, func_only=True)
CHART = Path(__file__).parents[3] / "charts/voiceassist"
POD_MONITOR = (f"{GROUP}/v1", "PodMonitor")
NAME = "support-relay"
EVERYTHING = {
    "podMonitor": {"enabled": True, "interval": "15s"},
    "prometheusRule": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}},
    "dashboards": {"enabled": True, "annotations": {"folder": "VoiceAssist"}},
    "prices": [
        {"model": "a-model", "modality": "audio", "direction": "input", "cached": cached, "usdPerMillionTokens": usd}
        for cached, usd in (("false", 10), ("true", 0.3))
    ],
}


@pytest.fixture(scope="module", autouse=True)
def _kinds(plane: Lab) -> None:
    """Before any operator of this module starts, which asks for the kinds only now and then."""
    bring_monitoring_kinds(plane)


def rendered(plane: Lab, namespace: str, folder: Path) -> list[dict[str, Any]]:
    values = folder / "values.yaml"
    values.write_text(yaml.safe_dump(EVERYTHING))
    text = plane.helm("template", "voiceassist", CHART, "--namespace", namespace, "--values", values, "--set=crds.install=false")
    return [body for body in yaml.safe_load_all(text) if body]


def test_the_chart_s_objects_are_of_these_kinds_to_the_letter(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    objects = rendered(plane, cluster.namespace, tmp_path)
    apply_strictly(plane, cluster.namespace, *objects)
    ours = [body for body in objects if body["apiVersion"] == f"{GROUP}/v1"]
    assert sorted(body["kind"] for body in ours) == ["PodMonitor", "PrometheusRule"]
    for body in ours:
        kept = plane.get(f"{body['kind']}.{GROUP}", body["metadata"]["name"], "-n", cluster.namespace)
        assert kept["spec"] == body["spec"], "nothing of it was left out or changed"
        wrong = copy.deepcopy(body)
        part = wrong["spec"]["podMetricsEndpoints" if body["kind"] == "PodMonitor" else "groups"][0]
        part["noSuchField"] = "x"
        with pytest.raises(CommandError, match="noSuchField"):
            apply_strictly(plane, cluster.namespace, wrong)
    names = [group["name"] for body in ours if body["kind"] == "PrometheusRule" for group in body["spec"]["groups"]]
    assert "voiceassist-prices" in names
    assert len(names) == len(set(names)) > 4


@pytest.mark.usefixtures("operator")
def test_the_operator_s_pod_monitor_is_made_and_kept(plane: Lab, cluster: Cluster) -> None:
    cluster.secrets()
    body = cluster.create(voiceassist(monitoring={"podMonitor": True, "interval": "20s"}))
    owner = Owner(cluster.namespace, "support", body["metadata"]["uid"], VoiceAssistSpec.read(body["spec"]), "localhost/relay")
    wanted = relay_pod_monitor(owner, {"release": "prometheus"})
    assert wanted is not None
    made = eventually("a PodMonitor", lambda: cluster.find(POD_MONITOR, NAME))
    assert made["spec"] == wanted["spec"], "nothing of it was left out or changed"
    assert made["metadata"]["labels"] == wanted["metadata"]["labels"]
    assert made["metadata"]["labels"]["release"] == "prometheus"
    assert made["spec"]["podMetricsEndpoints"][0]["interval"] == "20s"
    again = {**wanted, "metadata": {"name": "to-the-letter", "labels": wanted["metadata"]["labels"]}}
    apply_strictly(plane, cluster.namespace, again)
    plane.kubectl("delete", f"podmonitors.{GROUP}", "to-the-letter", "-n", cluster.namespace)

    def as_wanted() -> bool:
        found = cluster.find(POD_MONITOR, NAME)
        return found is not None and found["spec"] == wanted["spec"] and found["metadata"]["labels"] == wanted["metadata"]["labels"]

    edits: list[dict[str, Any]] = [
        {"podMetricsEndpoints": [{"port": "public", "path": "/elsewhere", "honorLabels": False}]},
        {"selector": {"matchLabels": {"app.kubernetes.io/instance": "another"}}, "namespaceSelector": {"matchNames": ["elsewhere"]}},
    ]
    for edit in edits:
        cluster.patch(POD_MONITOR, NAME, {"spec": edit})
        eventually(f"put right after {edit}", as_wanted)
    cluster.patch(POD_MONITOR, NAME, {"metadata": {"labels": {"release": "another"}}})
    eventually("its label put right", as_wanted)
    cluster.delete(POD_MONITOR, NAME)
    eventually("made again", as_wanted)
    cluster.patch(VOICEASSIST, "support", {"spec": {"monitoring": {"podMonitor": False}}})
    eventually("taken away", lambda: cluster.find(POD_MONITOR, NAME) is None)
