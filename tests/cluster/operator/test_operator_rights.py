"""The operator with the rights that the chart gives it: by the audit log, no request is denied and no right is without use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kinds_of_others import GATEWAY_GROUP, GOOGLE_GROUP, bring_backend_config, bring_gateway_kinds, bring_monitoring_kinds
from cluster.lab import Lab
from cluster.operator.bench import VOICEASSIST, Cluster, Operator, Relays, names, voiceassist
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(900, func_only=True)
CHART = Path(__file__).parents[3] / "charts/voiceassist"
WITHOUT_USE_HERE = {
    # Asked for by the API server of clusters that enforce it for owner references with blockOwnerDeletion.
    ("update", "voiceassist.dev", "voiceassists/finalizers"),
    # For a relay pod that vanishes with its node: test_vanished_pod.py.
    ("patch", "", "pods/status"),
}
OPTIONAL = (("monitoring.coreos.com/v1", "PodMonitor"), (f"{GATEWAY_GROUP}/v1", "HTTPRoute"), (f"{GOOGLE_GROUP}/v1", "BackendConfig"))
Right = tuple[str, str, str]


def chart(plane: Lab, namespace: str, *options: str) -> list[dict[str, Any]]:
    text = plane.helm("template", "voiceassist", str(CHART), "--namespace", namespace, *options)
    wanted = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    return [body for body in yaml.safe_load_all(text) if body and body["kind"] in wanted]


def granted(bodies: list[dict[str, Any]]) -> set[Right]:
    rules = [rule for body in bodies for rule in body.get("rules", [])]
    return {
        (verb, group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]
    }


@pytest.fixture
def cluster(plane: Lab) -> Iterator[Cluster]:
    """A namespace with a short name: it is part of a certificate's common name, which may have 64 characters."""
    with plane.namespace("rights") as name:
        yield Cluster(plane.outside_kubeconfig(), name)


def test_no_request_is_denied_and_no_right_is_without_use(plane: Lab, cluster: Cluster, relays: Relays, tmp_path: Path) -> None:
    bring_monitoring_kinds(plane)
    bring_gateway_kinds(plane)
    bring_backend_config(plane)
    bodies = chart(plane, cluster.namespace, "--set", "userRoles.create=false")  # those are for people
    plane.apply(*bodies, namespace=cluster.namespace)
    account = next(body["metadata"]["name"] for body in bodies if body["kind"] == "ServiceAccount")
    lease = next(rule["resourceNames"][0] for body in bodies for rule in body.get("rules", []) if "resourceNames" in rule)
    user = f"system:serviceaccount:{cluster.namespace}:{account}"
    arguments = ("--namespace", cluster.namespace, "--lease-namespace", cluster.namespace, "--lease-name", lease)
    kubeconfig = tmp_path / "kubeconfig"  # a path without the colons of the user's name, which would separate several paths
    kubeconfig.write_text(plane.outside_kubeconfig(user).read_text())
    operator = Operator(kubeconfig, tmp_path / "log", *arguments, "--relay-port", str(relays.port))
    try:
        operator.await_event("operator up")
        life(cluster, relays)
        assert operator.stop() == 0
    finally:
        operator.kill()
    used: set[Right] = set()
    denied = []
    for event in plane.audit_events(user):
        if "objectRef" not in event:
            continue
        ref = event["objectRef"]
        resource = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
        used.add((event["verb"], ref.get("apiGroup", ""), resource))
        if event["responseStatus"].get("code") == 201:  # an apply that makes an object needs the right to create it as well
            used.add(("create", ref.get("apiGroup", ""), resource))
        if event["responseStatus"].get("code") == 403 or event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
            denied.append((event["verb"], event["requestURI"]))
    assert denied == []
    assert sorted(granted(bodies) - used) == sorted(WITHOUT_USE_HERE)
    for secret in ("token-not-to-be-logged", "secret-not-to-be-logged", "key-not-to-be-logged"):
        assert secret not in operator.log
    assert "You help" not in operator.log
    assert all(json.loads(line)["level"] in {"info", "warning"} for line in operator.log.splitlines()), operator.log


def life(cluster: Cluster, relays: Relays) -> None:
    """All that an object goes through."""
    relay = {"replicas": 1, "drainTimeoutSeconds": 0, "networkPolicy": {"enabled": True}}
    cluster.create(voiceassist(relay=relay, ingress={"flavour": "GKE"}, httpRoute={"parentRefs": [{"name": "public"}]}))
    cluster.await_condition("Ready", "False", "SecretNotFound")
    cluster.secrets()
    relays.start_all(cluster, 1)
    cluster.await_condition("PromptRolledOut", "True")
    for kind in OPTIONAL:
        eventually(f"a {kind[1]}", lambda kind=kind: cluster.find(kind, "support-relay"))
    first = cluster.assist()["status"]["prompt"]["history"][0]["configMap"]
    for number in range(10):
        before = cluster.assist()["status"]["prompt"]["currentRevision"]
        cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": f"You help {number}."}}})
        eventually("in force", lambda before=before: cluster.assist()["status"]["prompt"]["currentRevision"] != before)
    eventually("the first text is pruned", lambda: first not in names(cluster.list(("v1", "ConfigMap"))))
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts"}, "data": {"a": "You help."}})
    source = {"instructions": None, "instructionsFrom": {"configMapKeyRef": {"name": "prompts", "key": "a"}}}
    off = {
        "ingress": {"enabled": False, "flavour": None},
        "httpRoute": None,
        "relay": {"networkPolicy": {"enabled": False}},
        "monitoring": {"podMonitor": False},
    }
    cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": source, **off}})
    for kind in (("networking.k8s.io/v1", "Ingress"), *OPTIONAL):
        eventually("it is gone", lambda kind=kind: cluster.find(kind, "support-relay") is None)
    cluster.delete(VOICEASSIST, "support")
    eventually("gone", lambda: cluster.find(VOICEASSIST, "support") is None)


def test_another_server_needs_the_operators_consent(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    arguments = ("--namespace", cluster.namespace, "--lease-namespace", cluster.namespace)
    operator = Operator(plane.outside_kubeconfig(), tmp_path / "log", *arguments, custom_endpoints=False)
    try:
        operator.await_event("operator up")
        cluster.secrets()
        cluster.create(voiceassist())
        ready = cluster.await_condition("Ready", "False", "CustomEndpointsNotAllowed")
        assert "--allow-custom-endpoints" in ready["message"]
        assert cluster.find(("apps/v1", "Deployment"), "support-relay") is None
        cluster.delete(VOICEASSIST, "support")
        eventually("gone", lambda: cluster.find(VOICEASSIST, "support") is None)
    finally:
        operator.kill()
