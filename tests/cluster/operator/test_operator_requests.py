"""How many requests an object costs, counted by the API server itself in its audit log: new, at rest, edited, after a restart."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.lab import Lab
from cluster.operator.bench import CONFIG, VOICEASSIST, Cluster, Operator, Relays, voiceassist
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(600, func_only=True)
SERVICE, DEPLOYMENT = ("v1", "Service"), ("apps/v1", "Deployment")
RELAY = "support-relay"
OF_ALL_OBJECTS = {"leases", "podmonitors", "httproutes", "backendconfigs"}
"""What is asked now and then, however many objects there are."""


@contextlib.contextmanager
def operator(plane: Lab, cluster: Cluster, relays: Relays, folder: Path, user: str) -> Iterator[Operator]:
    arguments = ("--namespace", cluster.namespace, "--lease-namespace", cluster.namespace, "--relay-port", str(relays.port))
    process = Operator(plane.outside_kubeconfig(user, "system:masters"), folder / f"{user}.log", *arguments)
    try:
        process.await_event("operator up")
        yield process
        process.stop()  # the Lease is free at once
    finally:
        process.kill()


def asked(plane: Lab, user: str) -> Counter[tuple[str, str]]:
    """Requests of the operator for its objects so far, kopf's among them: not those that there are without any object, nor Secrets.

    Each dial of the public address reads the auth token, and this one, which has no address in DNS, is dialled again and again.
    """
    found: Counter[tuple[str, str]] = Counter()
    for event in plane.audit_events(user):
        ref = event.get("objectRef")
        if ref is None or event["stage"] != "ResponseComplete" or ref["resource"] in OF_ALL_OBJECTS:
            continue
        if event["verb"] == "watch" or (event["verb"], ref["resource"]) == ("get", "secrets"):
            continue
        if event["verb"] == "list" and "fieldSelector=metadata.name" not in event["requestURI"]:
            continue
        found[event["verb"], "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)] += 1
    return found


def at_rest(plane: Lab, user: str) -> Counter[tuple[str, str]]:
    """Waits until nothing was asked for 12 s, which is longer than anything that is put off."""
    limit, since, before = time.monotonic() + 180, time.monotonic(), asked(plane, user)
    while not before or time.monotonic() - since < 12:
        assert time.monotonic() < limit, before
        time.sleep(2)
        if (now := asked(plane, user)) != before:
            since, before = time.monotonic(), now
    return before


def test_requests_of_an_object(plane: Lab, cluster: Cluster, relays: Relays, tmp_path: Path) -> None:
    cluster.secrets()
    with operator(plane, cluster, relays, tmp_path, "first"):
        cluster.create(voiceassist(relay={"replicas": 1, "drainTimeoutSeconds": 0}))
        relays.start_all(cluster, 1)
        cluster.await_condition("PromptRolledOut", "True", "RolledOut")
        new = at_rest(plane, "first")
        assert sum(new.values()) <= 24, new
        assert sum(count for (verb, _), count in new.items() if verb in {"get", "list"}) <= 2, new
        before, announced = cluster.assist()["status"]["prompt"]["currentRevision"], cluster.pods()[0]["metadata"]["annotations"][CONFIG]
        cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "You help otherwise."}}})
        eventually("in force", lambda: cluster.assist()["status"]["prompt"]["currentRevision"] != before)
        eventually("announced", lambda: cluster.pods()[0]["metadata"]["annotations"][CONFIG] != announced)
        relays.start(cluster, cluster.pods()[0])
        cluster.await_condition("PromptRolledOut", "True", "RolledOut")
        edited = at_rest(plane, "first") - new
        assert sum(edited.values()) <= 16, edited

    cluster.patch(DEPLOYMENT, RELAY, {"spec": {"replicas": 3}})
    cluster.delete(SERVICE, RELAY)
    with operator(plane, cluster, relays, tmp_path, "second"):
        eventually("what was edited meanwhile is put right", lambda: cluster.get(DEPLOYMENT, RELAY)["spec"]["replicas"] == 1)
        eventually("what was deleted meanwhile is made anew", lambda: cluster.find(SERVICE, RELAY))
        restarted = at_rest(plane, "second")
        applied = {resource: count for (verb, resource), count in restarted.items() if verb == "patch" and "/" not in resource}
        applied.pop("pods", None)
        assert applied == {"deployments": 1, "services": 1}, restarted
        assert sum(count for (verb, _), count in restarted.items() if verb == "get") <= 6, restarted
