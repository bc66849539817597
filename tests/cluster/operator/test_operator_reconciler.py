"""The straight line against a real API server: what is missing is made, what is edited comes back, what is the same is left alone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.lab import Lab
from cluster.lab.errors import CommandError
from cluster.operator.bench import VOICEASSIST, Cluster, Operator, Relays, names, voiceassist
from cluster.operator.clouds import API_KEY, API_SECRET, AUTH_TOKEN
from cluster.operator.metrics_api import METRIC, metrics_api
from cluster.waiting import eventually
from voiceassist_crds.names import CREDENTIALS_LABEL

pytestmark = [pytest.mark.timeout(900, func_only=True), pytest.mark.usefixtures("operator")]

OWNED = [
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
]
EDITS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "ConfigMap": ({"data": {"relay.json": "{}"}}, ("data", "relay.json")),
    "ServiceAccount": ({"automountServiceAccountToken": True}, ("automountServiceAccountToken",)),
    "Service": ({"spec": {"selector": {"app.kubernetes.io/name": "other"}}}, ("spec", "selector")),
    "Deployment": ({"spec": {"replicas": 7}}, ("spec", "replicas")),
    "PodDisruptionBudget": ({"spec": {"maxUnavailable": 5}}, ("spec", "maxUnavailable")),
    "Ingress": ({"spec": {"rules": [{"host": "evil.example.test"}]}}, ("spec", "rules")),
    "NetworkPolicy": ({"spec": {"ingress": []}}, ("spec", "ingress")),
}
RELAY = "support-relay"


def at(item: dict[str, Any], path: tuple[str, ...]) -> Any:
    for part in path:
        item = item[part]
    return item


def up(cluster: Cluster, **spec: Any) -> None:
    """An object with its Secrets, and everything made for it."""
    cluster.secrets()
    cluster.create(voiceassist(**{"relay": {"replicas": 2, "drainTimeoutSeconds": 0, "networkPolicy": {"enabled": True}}, **spec}))
    for kind in OWNED:
        eventually(f"{kind[1]} is made", lambda kind=kind: cluster.find(kind, RELAY))


def test_everything_is_made_and_the_conditions_are_true_to_life(plane: Lab, cluster: Cluster) -> None:
    up(cluster)
    cluster.await_pods(2)
    ready = cluster.await_condition("Ready", "False", "RelaysStarting")
    assert ready["observedGeneration"] == 1
    assert cluster.condition("ModelReachable")["status"] == "Unknown"
    cluster.await_condition("EndpointReachable", "False", "DNSFailed")
    table = plane.kubectl("get", "va", "-n", cluster.namespace, "-o", "wide").splitlines()
    assert table[0].split() == ["NAME", "READY", "REVISION", "CANARY", "WEIGHT", "RELAYS", "CALLS", "MOVING", "AGE", "MESSAGE"]
    revision = cluster.assist()["status"]["prompt"]["currentRevision"]
    assert table[1].split()[:5] == ["support", "False", revision, "0", "0"]
    assert "no relay pod is ready yet" in table[1]
    assert "key-not-to-be-logged" not in plane.kubectl("get", "cm,deploy,va", "-n", cluster.namespace, "-o", "yaml")


@pytest.mark.parametrize("kind", OWNED, ids=lambda kind: kind[1])
def test_what_is_deleted_comes_back(cluster: Cluster, kind: tuple[str, str]) -> None:
    up(cluster)
    before = cluster.get(kind, RELAY)["metadata"]["uid"]
    cluster.delete(kind, RELAY)
    eventually("it is back", lambda: (found := cluster.find(kind, RELAY)) and found["metadata"]["uid"] != before)


def test_what_is_edited_is_put_right_and_what_is_foreign_stays(cluster: Cluster) -> None:
    up(cluster)
    for kind in OWNED:
        edit, path = EDITS[kind[1]]
        wanted = at(cluster.get(kind, RELAY), path)
        foreign = {"metadata": {"labels": {"team": "blue"}, "annotations": {"example.test/note": "mine"}}}
        cluster.patch(kind, RELAY, {**edit, **foreign})
        eventually(f"{kind[1]} is put right", lambda kind=kind, path=path, wanted=wanted: at(cluster.get(kind, RELAY), path) == wanted)
        metadata = cluster.get(kind, RELAY)["metadata"]
        assert metadata["labels"]["team"] == "blue"
        assert metadata["annotations"]["example.test/note"] == "mine"
    service, ours = ("v1", "Service"), "voiceassist.dev/name"
    cluster.patch(service, RELAY, {"spec": {"sessionAffinity": "ClientIP"}, "metadata": {"labels": {ours: "x"}}})
    eventually("our label is put right", lambda: cluster.get(service, RELAY)["metadata"]["labels"][ours] == "support")
    assert cluster.get(service, RELAY)["spec"]["sessionAffinity"] == "ClientIP"


def test_nothing_is_written_when_nothing_changes(cluster: Cluster, relays: Relays, operator: Operator) -> None:
    up(cluster)
    relays.start_all(cluster, 2)
    cluster.await_condition("PromptRolledOut", "True", "RolledOut")
    cluster.await_condition("Ready", "False", "DNSFailed")

    def versions() -> dict[tuple[str, str], str]:
        kinds = [*OWNED, VOICEASSIST, ("v1", "Pod")]
        return {(kind[1], item["metadata"]["name"]): item["metadata"]["resourceVersion"] for kind in kinds for item in cluster.list(kind)}

    def settled() -> bool:
        before = versions()
        time.sleep(4)
        return versions() == before

    eventually("it has settled", settled)
    before, begin = versions(), reconciles(operator)
    eventually("10 resyncs", lambda: reconciles(operator) >= begin + 10)
    assert versions() == before


def reconciles(operator: Operator) -> float:
    return operator.metrics()['voiceassist_operator_reconcile_duration_seconds_count{outcome="ok"}']


def test_an_autoscaler_of_the_cluster_acts_on_the_object_by_calls(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    """The HPA controller with the calls from a metrics API; what GitOps leaves alone; a number that is absent, or 0; a quota's refusal."""
    up(cluster)
    calls = 90
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "support"},
        "spec": {
            "scaleTargetRef": {"apiVersion": VOICEASSIST[0], "kind": VOICEASSIST[1], "name": "support"},
            "minReplicas": 1,
            "maxReplicas": 6,
            "metrics": [
                {"type": "External", "external": {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "30"}}}
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }

    def replicas() -> Any:
        return cluster.assist()["spec"]["relay"].get("replicas")

    def are(count: int) -> bool:
        told = cluster.get(("apps/v1", "Deployment"), RELAY)["spec"]["replicas"]
        assert (replicas(), told, len(cluster.pods())) == (count,) * 3, scaler_says()
        return True

    def scaler_says() -> dict[str, str]:
        conditions = plane.get("hpa", "support", "-n", cluster.namespace).get("status", {}).get("conditions", [])
        return {one["type"]: f"{one['status']} {one['reason']}" for one in conditions}

    with metrics_api(plane, cluster.namespace, tmp_path, lambda: calls):
        plane.apply(scaler, namespace=cluster.namespace)
        eventually("three relays for 90 calls", lambda: are(3))
        eventually("status", lambda: cluster.assist()["status"]["relay"]["replicas"] == 3)
        scale = plane.kubectl("get", "--raw", f"/apis/voiceassist.dev/v1alpha1/namespaces/{cluster.namespace}/voiceassists/support/scale")
        assert '"selector":"app.kubernetes.io/instance=support,app.kubernetes.io/name=voiceassist-relay"' in scale
        calls = 45
        eventually("two relays for 45 calls", lambda: are(2))
        says = scaler_says()
        assert says["AbleToScale"].startswith("True") and says["ScalingActive"] == "True ValidMetricFound", says

        # A tool that applies manifests without the number takes nothing back.
        manifest = voiceassist(prompt={"instructions": "Applied by a tool."})
        del manifest["spec"]["relay"]
        applied = tmp_path / "manifest.json"
        applied.write_text(json.dumps(manifest))
        apply = ("apply", "--server-side", "--field-manager=gitops", "--force-conflicts", "-n", cluster.namespace, "-f", str(applied))
        plane.kubectl(*apply)
        calls = 100
        eventually("four relays for 100 calls", lambda: are(4))
        plane.kubectl(*apply)
        assert replicas() == 4
        manifest["spec"]["relay"] = {"replicas": 2}
        applied.write_text(json.dumps(manifest))
        with pytest.raises(CommandError, match="conflict"):
            plane.kubectl(*(one for one in apply if one != "--force-conflicts"))

        # Taken out, the number is the default until the autoscaler says another.
        cluster.patch(VOICEASSIST, "support", {"spec": {"relay": {"replicas": None}}})
        eventually("four relays again", lambda: are(4))

        # With 0 an autoscaler rests, until somebody asks for one relay.
        plane.kubectl("scale", "va/support", "--replicas=0", "-n", cluster.namespace)
        eventually("none", lambda: are(0))
        eventually("it rests", lambda: scaler_says()["ScalingActive"] == "False ScalingDisabled")
        cluster.await_condition("RelayAvailable", "False", "NoRelays")
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}}
        plane.apply(quota, namespace=cluster.namespace)
        eventually("the quota is counted", lambda: plane.get("quota", "few", "-n", cluster.namespace)["status"]["hard"]["pods"] == "2")
        plane.kubectl("scale", "va/support", "--replicas=1", "-n", cluster.namespace)
        eventually("four are asked for", lambda: replicas() == 4)
        refused = cluster.await_condition("RelayAvailable", "False", "ApplyFailed")
        assert "exceeded quota: few" in refused["message"]
        assert len(cluster.pods()) == 2


def test_paused_writes_nothing(cluster: Cluster) -> None:
    up(cluster)
    cluster.patch(VOICEASSIST, "support", {"spec": {"paused": True, "prompt": {"instructions": "Other."}}})
    cluster.await_condition("Progressing", "False", "Paused")
    revision = cluster.assist()["status"]["prompt"]["currentRevision"]
    cluster.delete(("v1", "Service"), RELAY)
    time.sleep(5)  # two resyncs and the event of the deletion
    assert cluster.find(("v1", "Service"), RELAY) is None
    assert cluster.assist()["status"]["prompt"]["currentRevision"] == revision
    cluster.patch(VOICEASSIST, "support", {"spec": {"paused": False}})
    eventually("the Service is back", lambda: cluster.find(("v1", "Service"), RELAY))
    eventually("the prompt is in force", lambda: cluster.assist()["status"]["prompt"]["currentRevision"] != revision)


def test_an_ingress_that_is_not_wanted_any_more_goes(cluster: Cluster) -> None:
    up(cluster)
    cluster.patch(VOICEASSIST, "support", {"spec": {"ingress": {"enabled": False}}})
    eventually("the Ingress is gone", lambda: cluster.find(("networking.k8s.io/v1", "Ingress"), RELAY) is None)
    assert "NetworkPolicy" in {kind[1] for kind in OWNED if cluster.find(kind, RELAY)}


def test_secrets_that_are_missing_are_named_and_mended_without_a_restart(cluster: Cluster) -> None:
    cluster.create(voiceassist())
    ready = cluster.await_condition("Ready", "False", "SecretNotFound")
    assert "Secret twilio (twilio.credentialsSecretRef) does not exist" in ready["message"]
    assert "Secret model (model.apiKeySecretRef) does not exist; create it with key apiKey" in ready["message"]
    cluster.secret("twilio", authToken=AUTH_TOKEN, apiKeySid=API_KEY)
    cluster.secret("model", apiKey="k")
    ready = cluster.await_condition("Ready", "False", "SecretIncomplete")
    assert "lacks apiKeySecret" in ready["message"]
    assert cluster.find(("apps/v1", "Deployment"), RELAY) is None
    cluster.patch(("v1", "Secret"), "twilio", {"stringData": {"apiKeySecret": API_SECRET}})
    cluster.await_condition("Ready", "False", "RelaysStarting")
    assert cluster.find(("apps/v1", "Deployment"), RELAY)


def test_a_secret_that_is_not_released_stops_changes_and_not_the_relays(cluster: Cluster) -> None:
    """As an upgrade from version 0.1 finds them."""
    up(cluster)
    before = {kind: cluster.get(kind, RELAY)["metadata"]["uid"] for kind in OWNED}
    cluster.patch(("v1", "Secret"), "twilio", {"metadata": {"labels": {CREDENTIALS_LABEL: None}}})
    ready = cluster.await_condition("Ready", "False", "SecretNotAllowed")
    assert f"kubectl label secret twilio {CREDENTIALS_LABEL}=true" in ready["message"]
    cluster.patch(VOICEASSIST, "support", {"spec": {"relay": {"replicas": 3}}})
    eventually("it was looked at", lambda: cluster.condition("Ready")["observedGeneration"] == cluster.assist()["metadata"]["generation"])
    assert cluster.get(("apps/v1", "Deployment"), RELAY)["spec"]["replicas"] == 2, "nothing is changed"
    cluster.patch(("v1", "Secret"), "twilio", {"metadata": {"labels": {CREDENTIALS_LABEL: "true"}}})
    eventually("it goes on", lambda: cluster.get(("apps/v1", "Deployment"), RELAY)["spec"]["replicas"] == 3)
    assert {kind: cluster.get(kind, RELAY)["metadata"]["uid"] for kind in OWNED} == before


def test_what_the_cluster_refuses_is_said_in_its_words(cluster: Cluster) -> None:
    cluster.secrets()
    cluster.create(voiceassist(relay={"resources": {"requests": {"cpu": "lots"}}}))
    refused = cluster.await_condition("Ready", "False", "ApplyFailed")
    assert "apply Deployment support-relay" in refused["message"]
    assert cluster.find(("v1", "Service"), RELAY), "what can be written is written all the same"
    cluster.patch(VOICEASSIST, "support", {"spec": {"relay": {"resources": {"requests": {"cpu": "100m"}}}}})
    cluster.await_condition("Ready", "False", "RelaysStarting")
    assert cluster.find(("apps/v1", "Deployment"), RELAY)


def test_one_address_belongs_to_the_older_object(cluster: Cluster) -> None:
    cluster.secrets()
    cluster.create(voiceassist("older", host="one.example.test"))
    eventually("older is served", lambda: cluster.find(("apps/v1", "Deployment"), "older-relay"))
    time.sleep(1.1)  # ages count in seconds
    cluster.create(voiceassist("newer", host="one.example.test"))
    conflict = cluster.await_condition("Ready", "False", "HostConflict", name="newer")
    assert f"{cluster.namespace}/older" in conflict["message"]
    assert cluster.find(("apps/v1", "Deployment"), "newer-relay") is None
    assert cluster.condition("Ready", "older")["reason"] != "HostConflict"
    cluster.create(voiceassist("beside", host="one.example.test", pathPrefix="/beside"))
    cluster.await_condition("Ready", "False", "RelaysStarting", name="beside")
    cluster.delete(VOICEASSIST, "older")
    cluster.await_condition("Ready", "False", "RelaysStarting", name="newer")


def test_events_only_when_a_condition_changes(plane: Lab, cluster: Cluster, operator: Operator) -> None:
    cluster.create(voiceassist())
    cluster.await_condition("Ready", "False", "SecretNotFound")
    begin = reconciles(operator)

    def told() -> list[tuple[str, str, str]]:
        events = cluster.list(("events.k8s.io/v1", "Event"))
        return sorted((one["action"], one["reason"], one["type"]) for one in events if one["regarding"]["kind"] == "VoiceAssist")

    eventually("events", lambda: ("Ready", "SecretNotFound", "Warning") in told())
    before = told()
    eventually("more reconciles", lambda: reconciles(operator) >= begin + 4)
    assert told() == before
    assert len(before) == len(set(before))
    assert "SecretNotFound" in plane.kubectl("describe", "va", "support", "-n", cluster.namespace)


def test_deletion_waits_for_the_pods_and_leaves_nothing(cluster: Cluster) -> None:
    up(cluster, relay={"replicas": 1, "drainTimeoutSeconds": 60, "networkPolicy": {"enabled": True}})
    [pod] = cluster.await_pods(1)
    name = pod["metadata"]["name"]
    cluster.patch(("v1", "Pod"), name, {"metadata": {"finalizers": ["example.test/call"]}})
    cluster.delete(VOICEASSIST, "support")
    eventually("the Deployment goes first", lambda: cluster.find(("apps/v1", "Deployment"), RELAY) is None)
    eventually("the pod is ending", lambda: "deletionTimestamp" in cluster.get(("v1", "Pod"), name)["metadata"])
    time.sleep(3)
    assert cluster.find(VOICEASSIST, "support"), "the object waits for its pods"
    assert "1 relay pods finish their calls" in cluster.await_condition("Ready", "False", "Deleting")["message"]
    assert cluster.find(("v1", "Service"), RELAY), "and the calls still have their address"
    cluster.patch(("v1", "Pod"), name, {"metadata": {"finalizers": None}})
    eventually("the object is gone", lambda: cluster.find(VOICEASSIST, "support") is None)
    eventually("and what it owned", lambda: not [kind for kind in OWNED if RELAY in names(cluster.list(kind))])


def test_deletion_never_waits_for_ever(cluster: Cluster) -> None:
    """Without Secrets, with nothing made, the object goes at once."""
    cluster.create(voiceassist())
    cluster.await_condition("Ready", "False", "SecretNotFound")
    cluster.delete(VOICEASSIST, "support")
    eventually("gone", lambda: cluster.find(VOICEASSIST, "support") is None)
