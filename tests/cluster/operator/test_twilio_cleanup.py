"""Deletion at Twilio: in which order things are freed, what is kept, and what becomes of it while Twilio cannot be reached."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cluster.lab import Lab
from cluster.operator.accounts import Kept, all_right, operators
from cluster.operator.bench import VOICEASSIST, Cluster, Manifest, Operator
from cluster.operator.clouds import API_KEY, API_SECRET, AUTH_TOKEN
from cluster.waiting import eventually

pytestmark = [pytest.mark.timeout(900, func_only=True), pytest.mark.usefixtures("keeping")]
PATIENCE = 12.0
DOWN = {"kind": "5xx", "status": 503}
RELEASE = "voiceassist.dev/let-go"


@pytest.fixture(scope="module")
def keeping(plane: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all namespaces, which waits for Twilio for 12 s when an object goes."""
    with operators(plane, None, tmp_path_factory.mktemp("operator"), "--twilio-let-go-seconds", str(PATIENCE)) as start:
        yield start()


def told(kept: Kept, reason: str) -> Manifest | None:
    return next((event for event in kept.events() if event["reason"] == reason), None)


def test_flex_first_then_the_relays_then_sync(cluster: Cluster) -> None:
    """New calls stop coming before the relays go, and Sync stays until the last call has ended."""
    cluster.secrets()
    kept = Kept.make(cluster, "x", "Serverless")
    kept.spec["relay"] = {"replicas": 1, "drainTimeoutSeconds": 60}
    kept.create()
    all_right([kept])
    [pod] = cluster.await_pods(1, "x")
    name = pod["metadata"]["name"]
    cluster.patch(("v1", "Pod"), name, {"metadata": {"finalizers": ["example.test/call"]}})
    kept.twilio.faults({"kind": "latency", "method": "POST", "path": "^/flex-api/", "seconds": 2.0, "times": 1})
    kept.delete()
    eventually("the removal of the entry is under way", lambda: kept.twilio.struck() == [1])
    assert cluster.find(("apps/v1", "Deployment"), "x-relay"), "the relays wait for it"
    eventually("the entry is gone", lambda: kept.twilio.instances() == {})
    eventually("the pod is ending", lambda: "deletionTimestamp" in cluster.get(("v1", "Pod"), name)["metadata"])
    time.sleep(2)
    assert len(kept.services()) == 1, "calls still use Sync"
    assert len(kept.serverless()) == 1, "and the agents' browsers the functions"
    cluster.patch(("v1", "Pod"), name, {"metadata": {"finalizers": None}})
    eventually("all is freed", kept.freed)
    freed = eventually("an event", lambda: told(kept, "FreedAtTwilio"))
    assert freed["type"] == "Normal"


def test_what_was_adopted_stays(cluster: Cluster) -> None:
    cluster.secrets()
    kept = Kept.make(cluster, "x", "Existing")
    given = kept.twilio.ask("POST", "/sync/v1/Services", form={"FriendlyName": "given", "AclEnabled": "true"})["sid"]
    kept.spec["twilio"]["sync"] = {"serviceSid": given}
    kept.create()
    all_right([kept])
    kept.delete()
    eventually("all is freed", kept.freed)
    assert kept.twilio.ask("GET", f"/sync/v1/Services/{given}")["acl_enabled"] is True
    existing = kept.spec["twilio"]["functions"]["existing"]
    assert kept.variables(existing["serviceSid"], existing["environmentSid"])["SYNC_SERVICE_SID"] == given


def test_twilio_cannot_be_reached(cluster: Cluster) -> None:
    """One object waits its time, one is to be released at once, for one Twilio comes back; what is left behind is named."""
    cluster.secrets()
    cluster.secret("own", authToken=AUTH_TOKEN, apiKeySid=API_KEY, apiKeySecret=API_SECRET)
    kept = {name: Kept.make(cluster, name, "Serverless") for name in ("waits", "hurries", "returns", "orphan")}
    kept["orphan"].spec["twilio"]["credentialsSecretRef"] = {"name": "own"}
    for one in kept.values():
        one.create()
    all_right(list(kept.values()))
    sync = {name: one.services()[0]["sid"] for name, one in kept.items()}
    functions = {name: one.serverless()[0]["sid"] for name, one in kept.items()}
    for name, one in kept.items():
        if name == "orphan":
            cluster.delete(("v1", "Secret"), "own")
        else:
            one.twilio.faults(DOWN)
    begin = time.monotonic()
    for one in kept.values():
        one.delete()
    for name in ("waits", "hurries", "returns", "orphan"):
        eventually(f"{name} says so", lambda name=name: told(kept[name], "TwilioCleanupDelayed"))
    eventually("the way out is named", lambda: RELEASE in cluster.condition("Ready", "hurries")["message"])
    cluster.patch(VOICEASSIST, "hurries", {"metadata": {"annotations": {RELEASE: "true"}}})
    kept["returns"].twilio.faults()
    eventually("it lets go at once", lambda: cluster.find(VOICEASSIST, "hurries") is None)
    eventually("it is freed", kept["returns"].freed)
    for name in ("waits", "orphan"):
        eventually(f"{name} goes in the end", lambda name=name: cluster.find(VOICEASSIST, name) is None)
    assert time.monotonic() - begin >= PATIENCE
    for name in ("waits", "hurries", "orphan"):
        left = eventually(f"{name} says what is left", lambda name=name: told(kept[name], "LeftAtTwilio"))
        assert left["type"] == "Warning"
        assert sync[name] in left["note"]
        assert functions[name] in left["note"]
        assert f"entry {kept[name].key} of the Flex configuration" in left["note"]
    assert told(kept["returns"], "LeftAtTwilio") is None


def test_a_namespace_goes_with_its_objects(plane: Lab, keeping: Operator, cluster: Cluster) -> None:
    """Its Secrets may go before the operator has asked Twilio: the namespace does not hang, and what is left is in the log."""
    cluster.secrets()
    kept = Kept.make(cluster, "x").create()
    all_right([kept])
    sid = kept.services()[0]["sid"]
    plane.kubectl("delete", "namespace", cluster.namespace, "--timeout=300s")
    left = [line for line in keeping.events("left behind at Twilio") if line["namespace"] == cluster.namespace]
    if kept.services():
        assert any(sid in what for what in left[0]["left"])
    else:
        assert left == []
