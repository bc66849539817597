"""Names against a real API server: look-alikes have objects of their own, and what is somebody else's is not taken."""

from __future__ import annotations

import time

import pytest

from cluster.operator.bench import VOICEASSIST, Cluster, Manifest, names, voiceassist
from cluster.waiting import eventually
from voiceassist_operator.policy.resources.metadata import relay_name

pytestmark = [pytest.mark.timeout(120, func_only=True), pytest.mark.usefixtures("operator")]

DEPLOYMENT, SERVICE, CONFIG_MAP, ACCOUNT = ("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ConfigMap"), ("v1", "ServiceAccount")
OBJECTS = (DEPLOYMENT, SERVICE, CONFIG_MAP, ACCOUNT, ("policy/v1", "PodDisruptionBudget"), ("networking.k8s.io/v1", "Ingress"))


def test_look_alikes_do_not_share_an_object(cluster: Cluster) -> None:
    cluster.secrets()
    pair = ("acme.support", "acme-support")
    for name in pair:
        cluster.create(voiceassist(name, prompt={"instructions": f"You help {name}."}, relay={"drainTimeoutSeconds": 0}))
    for name in pair:
        uid = cluster.assist(name)["metadata"]["uid"]
        for kind in OBJECTS:
            eventually(f"{kind[1]} of {name}", lambda kind=kind, name=name: cluster.find(kind, relay_name(name)))
            assert cluster.get(kind, relay_name(name))["metadata"]["ownerReferences"][0]["uid"] == uid
        assert f"You help {name}." in cluster.get(CONFIG_MAP, relay_name(name))["data"]["relay.json"]
    cluster.delete(VOICEASSIST, "acme.support")
    eventually("it goes", lambda: cluster.find(VOICEASSIST, "acme.support") is None)
    assert cluster.find(DEPLOYMENT, "acme-support-relay"), "the other one is unharmed"


FOREIGN: dict[str, tuple[tuple[str, str], Manifest]] = {
    "Service": (SERVICE, {"spec": {"selector": {"app": "shop"}, "ports": [{"port": 443}]}}),
    "ServiceAccount": (ACCOUNT, {}),
    "ConfigMap": (CONFIG_MAP, {"data": {"shop": "open"}}),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_ours_is_left_alone(cluster: Cluster, kind: str) -> None:
    resource, body = FOREIGN[kind]
    cluster.secrets()
    metadata = {"name": "support-relay", "labels": {"app": "shop"}}
    before = cluster.create({"apiVersion": resource[0], "kind": kind, "metadata": metadata, **body})
    cluster.create(voiceassist())
    ready = cluster.await_condition("Ready", "False", "NameTaken")
    assert f"{kind} support-relay (of somebody else)" in ready["message"]
    time.sleep(3)  # a resync
    assert cluster.get(resource, "support-relay")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert [other for other in OBJECTS if other != resource and cluster.find(other, "support-relay")] == []
    cluster.delete(resource, "support-relay")
    cluster.await_condition("Ready", "False", "RelaysStarting")
    assert cluster.find(DEPLOYMENT, "support-relay")


def test_objects_that_version_0_1_made_keep_their_names(cluster: Cluster) -> None:
    cluster.secrets()
    name, old = "acme.support", "acme-support-relay"
    made = cluster.create(voiceassist(name, paused=True))
    reference = {key: made[key] for key in ("apiVersion", "kind")} | {key: made["metadata"][key] for key in ("name", "uid")}
    labels = {"app.kubernetes.io/managed-by": "voiceassist-operator", "voiceassist.dev/name": name}
    body = {"spec": {"selector": {"app.kubernetes.io/instance": name}, "ports": [{"port": 80}]}}
    metadata = {"name": old, "labels": labels, "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}]}
    service = cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, **body})
    cluster.patch(VOICEASSIST, name, {"spec": {"paused": False}})
    eventually("the rest is made beside it", lambda: cluster.find(DEPLOYMENT, old))
    eventually("with its labels", lambda: "app.kubernetes.io/name" in cluster.get(SERVICE, old)["metadata"]["labels"])
    assert cluster.get(SERVICE, old)["metadata"]["uid"] == service["metadata"]["uid"]
    assert names(cluster.list(DEPLOYMENT)) == {old}
