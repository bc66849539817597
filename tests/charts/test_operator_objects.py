"""What the operator writes for an object: valid in every Kubernetes that the chart is for, and fit for the "restricted" standard."""

from __future__ import annotations

from typing import Any

import pytest

from charts.chart import VERSIONS, complaints
from voiceassist_operator.cli import plan_documents

IMAGE = "ghcr.io/voiceassist/relay:0.1.0"
SPECS: dict[str, dict[str, Any]] = {
    "least": {},
    "ingress": {
        "pathPrefix": "/assist",
        "ingress": {"className": "nginx", "tlsSecretName": "assist-tls", "annotations": {"cert-manager.io/cluster-issuer": "le"}},
    },
    "no ingress": {"ingress": {"enabled": False}},
    "relay": {
        "relay": {
            "image": "registry.example.com/relay:1",
            "imagePullPolicy": "Always",
            "imagePullSecrets": [{"name": "pull"}],
            "replicas": 0,
            "drainTimeoutSeconds": 0,
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "affinity": {
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}
            },
            "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
            ],
            "priorityClassName": "system-cluster-critical",
            "podLabels": {"team": "telephony"},
            "podAnnotations": {"example.com/a": "1"},
            "networkPolicy": {"enabled": True},
        }
    },
    "monitored": {"monitoring": {"podMonitor": True}},
}


def documents(changes: dict[str, Any], name: str = "support") -> list[dict[str, Any]]:
    spec = {
        "host": "assist.example.com",
        "twilio": {
            "accountSid": "AC" + "0" * 32,
            "credentialsSecretRef": {"name": "twilio"},
            "sync": {"serviceSid": "IS" + "0" * 32},
        },
        "model": {"apiKeySecretRef": {"name": "model"}},
        "prompt": {"instructions": "Write what the agent can say next."},
        **changes,
    }
    body = {"apiVersion": "voiceassist.dev/v1alpha1", "kind": "VoiceAssist", "metadata": {"name": name, "namespace": "calls"}, "spec": spec}
    return plan_documents(body, None, IMAGE)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("changes", SPECS.values(), ids=SPECS.keys())
def test_valid_in_every_kubernetes(changes: dict[str, Any], version: str) -> None:
    found = documents(changes)
    assert {"ConfigMap", "Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"} <= {each["kind"] for each in found}
    assert [line for each in found for line in complaints(each, version)] == []


@pytest.mark.parametrize("name", ["a", "n" * 52, "with.dots." + "n" * 42])
def test_names_stay_within_limits(name: str) -> None:
    for each in documents(SPECS["relay"], name):
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in each["metadata"]["labels"].values())
        assert complaints(each, "1.37") == []


@pytest.mark.parametrize("changes", SPECS.values(), ids=SPECS.keys())
def test_pods_keep_to_the_restricted_standard(changes: dict[str, Any]) -> None:
    pod = next(each for each in documents(changes) if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} <= {"configMap", "projected"}
