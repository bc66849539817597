"""A prompt's way to the relays, and what the relays tell: revisions, history, annotations, calls, their peers' health."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from cluster.operator.bench import CONFIG, VOICEASSIST, Cluster, Relays, names, voiceassist
from cluster.waiting import eventually
from support.load import slowdown

pytestmark = [pytest.mark.timeout(900, func_only=True), pytest.mark.usefixtures("operator")]

AGAIN = "voiceassist.dev/reannotated"
COST = "controller.kubernetes.io/pod-deletion-cost"
POD = ("v1", "Pod")


def annotations(cluster: Cluster, pod: str) -> dict[str, str]:
    found: dict[str, str] = cluster.get(POD, pod)["metadata"].get("annotations") or {}
    return found


def running(cluster: Cluster, relays: Relays, replicas: int = 2, **spec: Any) -> list[str]:
    """An object whose pods run and report its configuration."""
    cluster.secrets()
    cluster.create(voiceassist(**{"relay": {"replicas": replicas, "drainTimeoutSeconds": 0}, **spec}))
    pods = relays.start_all(cluster, replicas)
    cluster.await_condition("PromptRolledOut", "True", "RolledOut")
    return pods


def test_a_prompt_reaches_every_pod_by_annotation_and_again(cluster: Cluster, relays: Relays) -> None:
    pods = running(cluster, relays)
    assert cluster.condition("Progressing")["status"] in {"True", "False"}
    old = cluster.assist()["status"]["prompt"]["configRevision"]
    begin = time.monotonic()
    cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "You help more."}}})
    new = eventually("new annotation", lambda: (value := annotations(cluster, pods[0])[CONFIG]) != old and value)
    assert time.monotonic() - begin < 3 * slowdown()
    eventually("the other pod as well", lambda: annotations(cluster, pods[1])[CONFIG] == new)
    rolling = cluster.await_condition("PromptRolledOut", "False", "RollingOut")
    assert "2 of 2 relays do not report" in rolling["message"]
    relays.report(pods[0], configRevision=new)
    eventually("one reports it", lambda: "1 of 2 relays do not report" in cluster.condition("PromptRolledOut")["message"])
    again = [annotations(cluster, pod).get(AGAIN) for pod in pods]  # on a busy machine both may have been late by now
    eventually("the other one is annotated again", lambda: annotations(cluster, pods[1]).get(AGAIN) != again[1])
    assert annotations(cluster, pods[0]).get(AGAIN) == again[0]
    begin = time.monotonic()
    relays.report(pods[1], configRevision=new)
    cluster.await_condition("PromptRolledOut", "True", "RolledOut")
    assert time.monotonic() - begin < 2 * slowdown(), "while a configuration rolls out the relays are asked four times a second"
    assert cluster.find(("v1", "ConfigMap"), "support-relay")["metadata"]["annotations"][CONFIG] == new
    deployment = cluster.get(("apps/v1", "Deployment"), "support-relay")
    assert deployment["metadata"]["generation"] == 1, "a prompt replaces no pod"


def test_a_relay_that_refuses_the_configuration_is_named(cluster: Cluster, relays: Relays) -> None:
    [pod] = running(cluster, relays, 1)
    relays.report(pod, configRevision="0000000000", configError="prompts: too long")
    found = cluster.await_condition("PromptRolledOut", "False", "ConfigRefused")
    assert pod in found["message"]
    assert "prompts: too long" in found["message"]


def test_history_has_ten_revisions_with_manager_and_cause(cluster: Cluster) -> None:
    cluster.secrets()
    cluster.create(voiceassist())
    revisions: list[str] = []

    def current() -> str:
        return str(cluster.assist()["status"]["prompt"]["currentRevision"])

    revisions.append(eventually("first", current))
    for number in range(11):
        cause = {"annotations": {"voiceassist.dev/change-cause": f"change {number}"}}
        body = {"metadata": cause, "spec": {"prompt": {"instructions": f"Text {number}."}}}
        cluster.patch(VOICEASSIST, "support", body, manager=f"editor-{number}")
        revisions.append(eventually("next", lambda: (now := current()) not in revisions and now))
    history = cluster.assist()["status"]["prompt"]["history"]
    assert [entry["revision"] for entry in history] == revisions[:1:-1]
    assert (history[0]["manager"], history[0]["cause"]) == ("editor-10", "change 10")
    assert (history[-1]["manager"], history[-1]["cause"]) == ("editor-1", "change 1")

    def kept() -> set[str]:
        return {name for name in names(cluster.list(("v1", "ConfigMap"))) if name.startswith("support-prompt-")}

    eventually("older ones are pruned", lambda: kept() == {entry["configMap"] for entry in history})
    oldest = cluster.get(("v1", "ConfigMap"), history[-1]["configMap"])
    assert oldest["immutable"] is True
    assert oldest["data"]["instructions"] == "Text 1."
    cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "Text 1."}}}, manager="back")
    eventually("going back is applying the old text", lambda: current() == history[-1]["revision"])
    history = cluster.assist()["status"]["prompt"]["history"]
    assert [entry["revision"] for entry in history] == [revisions[2], *revisions[:2:-1]]


def test_the_prompt_of_a_config_map_is_watched(cluster: Cluster) -> None:
    cluster.secrets()
    source = {"instructionsFrom": {"configMapKeyRef": {"name": "prompts", "key": "support.txt"}}}
    cluster.create(voiceassist(prompt=source))
    missing = cluster.await_condition("Ready", "False", "PromptSourceNotFound")
    assert "ConfigMap prompts" in missing["message"]
    assert "support.txt" in missing["message"]
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prompts"}, "data": {"support.txt": "First."}})
    cluster.await_condition("Ready", "False", "RelaysStarting")
    first = cluster.assist()["status"]["prompt"]["currentRevision"]
    begin = time.monotonic()
    cause = {"metadata": {"annotations": {"voiceassist.dev/change-cause": "politer"}}}
    cluster.patch(("v1", "ConfigMap"), "prompts", {**cause, "data": {"support.txt": "Second."}}, manager="prompt-editor")
    eventually("second", lambda: cluster.assist()["status"]["prompt"]["currentRevision"] != first)
    assert time.monotonic() - begin < 3 * slowdown()
    newest = cluster.assist()["status"]["prompt"]["history"][0]
    assert (newest["manager"], newest["cause"]) == ("prompt-editor", "politer")
    cluster.patch(("v1", "ConfigMap"), "prompts", {"data": {"support.txt": "x" * 32769}})
    cluster.await_condition("Ready", "False", "PromptTooLong")
    cluster.delete(("v1", "ConfigMap"), "prompts")
    cluster.await_condition("Ready", "False", "PromptSourceNotFound")
    assert cluster.find(("apps/v1", "Deployment"), "support-relay"), "relays that serve go on serving"


def test_a_prompt_of_full_length_works(cluster: Cluster) -> None:
    cluster.secrets()
    text = "\u00e4\u20ac\U0001f600x" * 8192
    cluster.create(voiceassist(prompt={"instructions": text}))
    cluster.await_condition("Ready", "False", "RelaysStarting")
    for number in range(3):
        before = cluster.assist()["status"]["prompt"]["currentRevision"]
        cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": str(number) + text[1:]}}})
        eventually("in force", lambda before=before: cluster.assist()["status"]["prompt"]["currentRevision"] != before)
    assert sum(len(str(value)) for value in (cluster.assist()["metadata"].get("annotations") or {}).values()) < 1000


def test_calls_are_counted_and_idle_pods_leave_first(cluster: Cluster, relays: Relays) -> None:
    """A pod's price moves every 10 s at most, the number of calls in the status every 30 s at most."""
    pods = running(cluster, relays)
    relays.report(pods[0], activeCalls=7)
    eventually("its price", lambda: annotations(cluster, pods[0]).get(COST) == "7")
    assert annotations(cluster, pods[1])[COST] == "0"
    prices: list[tuple[float, str]] = []
    counts: list[tuple[float, str]] = []
    begin, calls = time.monotonic(), 8
    while len(counts) < 3 and time.monotonic() - begin < 75:
        relays.report(pods[0], activeCalls=(calls := calls + 1))
        count = str(cluster.assist()["status"]["relay"]["activeCalls"])
        for seen, now in ((prices, annotations(cluster, pods[0])[COST]), (counts, count)):
            if not seen or seen[-1][1] != now:
                seen.append((time.monotonic(), now))
        time.sleep(0.2)
    assert len(counts) == 3, counts
    assert counts[2][0] - counts[1][0] > 28, counts
    assert len(prices) > 2, prices
    assert all(after[0] - before[0] > 9 for before, after in itertools.pairwise(prices[1:])), prices
    cluster.patch(VOICEASSIST, "support", {"spec": {"relay": {"replicas": 1}}})
    eventually("the idle one left", lambda: names(cluster.pods()) == {pods[0]})


@pytest.mark.parametrize(
    ("peer", "reason", "condition", "expected"),
    [
        ("model", "Refused", "ModelReachable", "ModelRefused"),
        ("model", "Quota", "ModelReachable", "ModelQuota"),
        ("sync", "Refused", "SyncConfigured", "SyncRefused"),
        ("sync", "Misconfigured", "SyncConfigured", "SyncNotFound"),
        ("sync", "ServerError", "SyncConfigured", "SyncUnreachable"),
    ],
)
def test_what_relays_say_of_their_peers(cluster: Cluster, relays: Relays, peer: str, reason: str, condition: str, expected: str) -> None:
    [pod] = running(cluster, relays, 1)
    cluster.await_condition(condition, "True")
    relays.report(pod, **{peer: {"ok": False, "reason": reason, "message": "it said 401", "since": 2.0}})
    found = cluster.await_condition(condition, "False", expected)
    assert "it said 401" in found["message"]
    cluster.await_condition("Ready", "False", expected)
    relays.report(pod, **{peer: {"ok": True, "since": 3.0}})
    cluster.await_condition(condition, "True")


def test_a_rotated_secret_is_announced_to_the_pods(cluster: Cluster, relays: Relays) -> None:
    [pod] = running(cluster, relays, 1)
    before = annotations(cluster, pod)["voiceassist.dev/secrets-version"]
    cluster.patch(("v1", "Secret"), "model", {"stringData": {"apiKey": "another"}})
    eventually("announced", lambda: annotations(cluster, pod)["voiceassist.dev/secrets-version"] != before)
    assert cluster.get(("apps/v1", "Deployment"), "support-relay")["metadata"]["generation"] == 1
