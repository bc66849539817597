"""A canary of the prompt, on a real API server: its steps, its end, and what the relays are told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.lab import CommandError, Lab
from cluster.operator.bench import VOICEASSIST, Cluster, Relays, voiceassist
from cluster.waiting import eventually

pytestmark = [pytest.mark.timeout(900, func_only=True), pytest.mark.usefixtures("operator")]

STEPS = [{"weight": 5, "pause": {"duration": "2s", "calls": 2}}, {"weight": 50, "pause": {"turns": 30}}]
ROLLOUT = {"strategy": "Canary", "canary": {"steps": STEPS, "analysis": {"minimumTurns": 10}}}
GOOD = {"calls": 100, "turns": 500, "failed": 5}


def prompt(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.assist()["status"]["prompt"]
    return found


def configuration(cluster: Cluster) -> dict[str, Any]:
    """What the relays are given."""
    found: dict[str, Any] = json.loads(cluster.get(("v1", "ConfigMap"), "support-relay")["data"]["relay.json"])
    return found


def shares(cluster: Cluster) -> dict[str, int]:
    return {one["revision"]: one.get("weight", 100) for one in configuration(cluster)["prompts"]}


def begun(cluster: Cluster, relays: Relays) -> tuple[str, str, str]:
    """An object whose canary has begun; gives the pod, the stable revision and the canary's."""
    cluster.secrets()
    cluster.create(voiceassist(relay={"replicas": 1, "drainTimeoutSeconds": 0}, rollout=ROLLOUT))
    [pod] = relays.start_all(cluster, 1)
    cluster.await_condition("PromptRolledOut", "True", "RolledOut")
    stable = prompt(cluster)["currentRevision"]
    cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "Another text."}}})
    canary = eventually("a canary", lambda: prompt(cluster).get("canaryRevision"))
    assert prompt(cluster)["currentRevision"] == stable
    eventually("its share", lambda: shares(cluster) == {stable: 95, canary: 5})
    return pod, stable, canary


def report(cluster: Cluster, relays: Relays, pod: str, **prompts: dict[str, int]) -> None:
    """The pod reports the configuration that is there, and these counts by the revisions' names."""
    config = configuration(cluster)
    rollout = {
        "id": config.get("rollout", {}).get("id", ""),
        "since": 1.0,
        "prompts": {key.removeprefix("_"): one for key, one in prompts.items()},
    }
    relays.report(pod, configRevision=config["configRevision"], rollout=rollout)


def counted(stable: str, canary: str, **figures: int) -> dict[str, dict[str, int]]:
    return {f"_{stable}": GOOD, f"_{canary}": figures}


def test_a_good_canary_takes_its_steps_and_is_in_force(cluster: Cluster, relays: Relays) -> None:
    pod, stable, canary = begun(cluster, relays)
    report(cluster, relays, pod, **counted(stable, canary, calls=1, turns=12))
    found = cluster.await_condition("PromptRolledOut", "False", "CanaryProgressing")
    assert f"prompt {canary} gets 5 % of new calls (step 1 of 2), {stable} the others" in found["message"]
    eventually("what is missing", lambda: prompt(cluster)["waitsFor"] == "1 more calls of the canary")
    report(cluster, relays, pod, **counted(stable, canary, calls=2, turns=14))
    eventually("the second step", lambda: shares(cluster) == {stable: 50, canary: 50})
    report(cluster, relays, pod, **counted(stable, canary, calls=9, turns=60))
    eventually("in force", lambda: prompt(cluster)["currentRevision"] == canary)
    eventually("for every call", lambda: shares(cluster) == {canary: 100})
    assert "canaryRevision" not in prompt(cluster)
    report(cluster, relays, pod)
    cluster.await_condition("PromptRolledOut", "True", "RolledOut")
    deployment = cluster.get(("apps/v1", "Deployment"), "support-relay")
    assert deployment["metadata"]["generation"] == 1, "a prompt replaces no pod"


def test_a_bad_canary_is_taken_back_and_stays_so_until_somebody_asks(cluster: Cluster, relays: Relays) -> None:
    pod, stable, canary = begun(cluster, relays)
    report(cluster, relays, pod, **counted(stable, canary, calls=20, turns=40, failed=12, callsWithFailures=10))
    eventually("taken back", lambda: prompt(cluster).get("rejectedRevision") == canary)
    eventually("for every call", lambda: shares(cluster) == {stable: 100})
    assert configuration(cluster)["rollout"]["withdrawn"] == [canary], "calls that have it are told to leave it"
    found = cluster.await_condition("PromptRolledOut", "False", "CanaryRejected")
    assert "TurnFailure: 12 of 40 turns failed (30.0%); 5 of 500 with the stable one" in found["message"]
    assert [entry.get("outcome") for entry in prompt(cluster)["history"]] == ["Rejected", None]
    told = [event for event in cluster.list(("events.k8s.io/v1", "Event")) if event["reason"] == "CanaryRejected"]
    assert [event["type"] for event in told] == ["Warning"]
    assert "TurnFailure" in told[0]["note"]

    cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "Another text."}}}, manager="gitops")
    retry = {"metadata": {"annotations": {"voiceassist.dev/retry-revision": canary}}}
    assert prompt(cluster)["rejectedRevision"] == canary
    cluster.patch(VOICEASSIST, "support", retry)
    eventually("tried again", lambda: prompt(cluster).get("canaryRevision") == canary)
    cluster.patch(VOICEASSIST, "support", {"metadata": {"annotations": {"voiceassist.dev/promote": canary}}})
    eventually("promoted", lambda: prompt(cluster)["currentRevision"] == canary)
    eventually("no canary for the relays", lambda: "rollout" not in configuration(cluster))
    eventually("for every call", lambda: shares(cluster) == {canary: 100})


def test_the_kept_text_of_the_stable_prompt_is_deleted_while_a_canary_is_tried(cluster: Cluster, relays: Relays) -> None:
    """It is written again from what the relays are given, and is what a roll-back leads to."""
    pod, stable, canary = begun(cluster, relays)
    kept = ("v1", "ConfigMap")
    before = cluster.get(kept, f"support-prompt-{stable}")
    cluster.delete(kept, f"support-prompt-{stable}")
    written = eventually("written again", lambda: cluster.find(kept, f"support-prompt-{stable}"))
    assert written["metadata"]["uid"] != before["metadata"]["uid"]
    assert (written["data"], written["metadata"]["annotations"]) == (before["data"], before["metadata"]["annotations"])
    assert shares(cluster) == {stable: 95, canary: 5}
    report(cluster, relays, pod, **counted(stable, canary, calls=20, turns=40, failed=12, callsWithFailures=10))
    eventually("for every call", lambda: shares(cluster) == {stable: 100})


def test_by_hand_with_kubectl_voiceassist(plane: Lab, cluster: Cluster, relays: Relays) -> None:
    """The plugin, as kubectl runs it: what it shows, what it asks for, and who and why in the history."""

    def asked(*arguments: str) -> str:
        path = os.pathsep.join((str(Path(sys.executable).parent), plane.environment["PATH"]))
        return plane.run(["kubectl", "voiceassist", *arguments, "--namespace", cluster.namespace], env={"PATH": path})

    pod, stable, canary = begun(cluster, relays)
    report(cluster, relays, pod, **counted(stable, canary, calls=1, turns=12))
    eventually("figures", lambda: asked("status", "support").splitlines()[2].split() == ["canary", canary, "5", "%", "1", "12", "0"])
    with pytest.raises(CommandError, match=f"{canary} is tried: abort takes it back"):
        asked("rollback", "support")
    asked("pause", "support", "--reason", "lunch")
    report(cluster, relays, pod, **counted(stable, canary, calls=2, turns=14))
    eventually("held", lambda: prompt(cluster)["waitsFor"] == "the annotation that holds it to be taken away")
    asked("resume", "support")
    eventually("the second step", lambda: shares(cluster) == {stable: 50, canary: 50})
    asked("promote", "support", "--reason", "as good as it gets")
    eventually("in force", lambda: shares(cluster) == {canary: 100})
    assert "as good as it gets" in asked("history", "support").splitlines()[1]
    report(cluster, relays, pod)
    asked("rollback", "support", "--reason", "it was not")
    eventually("taken back", lambda: shares(cluster) == {stable: 100})
    assert configuration(cluster)["rollout"]["withdrawn"] == [canary]
    newest = prompt(cluster)["history"][0]
    assert (newest["revision"], newest["outcome"]) == (canary, "Rejected")
    assert newest["decision"].endswith("it was not)")
    asked("retry", "support", "--reason", "once more")
    eventually("tried again", lambda: prompt(cluster).get("canaryRevision") == canary)
    asked("abort", "support")
    eventually("taken back", lambda: prompt(cluster).get("rejectedRevision") == canary)
    orders = prompt(cluster)["history"][0]["orders"]
    assert [one["order"] for one in orders] == ["pause", "resume", "promote", "rollback", "retry", "abort"]
    who = json.loads(plane.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    assert [one["by"].removeprefix(who) for one in orders] == [": lunch", "", ": as good as it gets", ": it was not", ": once more", ""]
    assert f"rollback {orders[3]['time']} {who}: it was not" in asked("history", "support").splitlines()[1]
    with pytest.raises(CommandError, match="no canary is tried"):
        asked("promote", "support")
