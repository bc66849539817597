"""A canary whose operator is killed in each of its steps, and just when it has a verdict, on a real API server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.lab import Lab
from cluster.operator.bench import VOICEASSIST, Cluster, Operator, Relays, voiceassist
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(900, func_only=True)
WEIGHTS = (5, 25, 50, 100)
TURNS = 20
"""Of the canary, in each step."""
STEPS = [{"weight": weight, "pause": {"turns": TURNS}} for weight in WEIGHTS]
ROLLOUT = {"strategy": "Canary", "canary": {"steps": STEPS, "analysis": {"minimumTurns": 10}}}
LEASE = ("coordination.k8s.io/v1", "Lease")


class Operators:
    """One operator after the other; each is killed by SIGKILL, and the next one begins from what the API server has."""

    def __init__(self, plane: Lab, cluster: Cluster, relays: Relays, folder: Path) -> None:
        self._plane, self._cluster, self._folder = plane, cluster, folder
        self._arguments = ("--namespace", cluster.namespace, "--lease-namespace", cluster.namespace, "--relay-port", str(relays.port))
        self.started: list[Operator] = []

    def start(self) -> None:
        log = self._folder / f"log{len(self.started)}"
        self.started.append(Operator(self._plane.outside_kubeconfig(), log, *self._arguments, "--resync-seconds", "2"))
        self.started[-1].await_event("operator up")

    def kill(self) -> None:
        """SIGKILL. Its Lease is taken away, or the next one would have to wait until it has run out."""
        self.started[-1].kill()
        self._plane.kubectl("delete", "lease", "--all", "--namespace", self._cluster.namespace)


@pytest.fixture
def operators(plane: Lab, cluster: Cluster, relays: Relays, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(plane, cluster, relays, tmp_path)
    made.start()
    try:
        yield made
    finally:
        for one in made.started:
            one.kill()


def prompt(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.assist()["status"]["prompt"]
    return found


def shares(cluster: Cluster) -> dict[str, int]:
    config = json.loads(cluster.get(("v1", "ConfigMap"), "support-relay")["data"]["relay.json"])
    return {one["revision"]: one.get("weight", 100) for one in config["prompts"]}


class Count:
    """What the one relay counts; it counts on whether an operator asks or not."""

    def __init__(self, cluster: Cluster, relays: Relays, pod: str, stable: str, canary: str) -> None:
        self._cluster, self._relays, self._pod, self._stable, self._canary = cluster, relays, pod, stable, canary
        self._since, self._before = 1.0, 0

    def told(self, turns: int, failed: int = 0) -> None:
        """So many turns of the canary came to be, in all."""
        config = json.loads(self._cluster.get(("v1", "ConfigMap"), "support-relay")["data"]["relay.json"])
        new = turns - self._before
        ours = {"calls": new, "turns": new, "failed": failed, "callsWithFailures": failed}
        prompts = {self._canary: ours, self._stable: {"calls": 100, "turns": 500, "failed": 5}}
        rollout = {"id": config.get("rollout", {}).get("id", ""), "since": self._since, "prompts": prompts}
        self._relays.report(self._pod, configRevision=config["configRevision"], rollout=rollout)

    def begin_anew(self, turns: int) -> None:
        """The relay's container is another one: it counts from 0, and what the one before had counted is in the status alone."""
        self._since, self._before = self._since + 1.0, turns


def begun(cluster: Cluster, relays: Relays) -> tuple[Count, str, str]:
    cluster.secrets()
    cluster.create(voiceassist(relay={"replicas": 1, "drainTimeoutSeconds": 0}, rollout=ROLLOUT))
    [pod] = relays.start_all(cluster, 1)
    cluster.await_condition("PromptRolledOut", "True", "RolledOut")
    stable = prompt(cluster)["currentRevision"]
    cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "Another text."}}})
    canary = eventually("a canary", lambda: prompt(cluster).get("canaryRevision"))
    return Count(cluster, relays, pod, stable, canary), stable, canary


def told(cluster: Cluster) -> Counter[str]:
    """Events about the roll-out, by reason."""
    found = cluster.list(("events.k8s.io/v1", "Event"))
    return Counter(event["reason"] for event in found if event.get("action") == "Rollout")


def test_the_operator_is_killed_in_each_step_of_a_good_canary(cluster: Cluster, relays: Relays, operators: Operators) -> None:
    count, stable, canary = begun(cluster, relays)
    for step, weight in enumerate(WEIGHTS, 1):
        turns = step * TURNS
        eventually(f"step {step}", lambda weight=weight: shares(cluster).get(canary) == weight)
        count.told(turns - TURNS // 2)
        eventually("half of its turns are written down", lambda turns=turns: prompt(cluster)["canary"]["turns"] == turns - TURNS // 2)
        operators.kill()
        if step == 2:
            count.begin_anew(turns - TURNS // 2)
        count.told(turns - 1)  # more turns come while nobody looks, and the step is not over yet
        operators.start()
        eventually("one turn is missing", lambda: prompt(cluster)["waitsFor"] == "1 more turns of the canary")
        assert (prompt(cluster)["step"], shares(cluster)) == (step, {stable: 100 - weight, canary: weight})
        count.told(turns)
    eventually("in force", lambda: shares(cluster) == {canary: 100} and prompt(cluster)["currentRevision"] == canary)
    assert "canaryRevision" not in prompt(cluster)
    assert len(operators.started) == 1 + len(WEIGHTS)
    assert told(cluster) == {"CanaryBegun": 1, "CanaryStep": 3, "CanaryEnded": 1}, "no step was taken twice, none was left out"


def test_the_operator_is_killed_when_it_has_a_verdict(cluster: Cluster, relays: Relays, operators: Operators) -> None:
    """Nobody forgets the verdict, nobody tells it twice, and the relays hear of it from whoever comes next."""
    count, stable, canary = begun(cluster, relays)
    eventually("its share", lambda: shares(cluster) == {stable: 95, canary: 5})
    count.told(30, failed=15)
    eventually("the verdict", lambda: prompt(cluster).get("rejectedRevision") == canary, every=0.01)
    operators.kill()
    figures = prompt(cluster)["rejectedFor"]
    assert figures.startswith("TurnFailure: 15 of 30 turns failed")
    operators.start()
    eventually("for every call", lambda: shares(cluster) == {stable: 100})
    count.told(0)
    cluster.await_condition("PromptRolledOut", "False", "CanaryRejected")
    assert (prompt(cluster)["rejectedRevision"], prompt(cluster)["rejectedFor"]) == (canary, figures)
    assert told(cluster)["CanaryRejected"] <= 1
