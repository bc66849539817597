"""Operators as processes that are killed at their writes, before and after these landed, that never hear of an event, and that begin with
lists of before: what is there in the end is the same.

Each namespace has one object. The victims run side by side, each in its own namespace; one operator for all brings them to rest together.
Run where VOICEASSIST_WRITES says at how many writes they are killed, spread over all: 3 takes 40 s; with 1000 it is every one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster.lab import Lab
from cluster.operator.bench import VOICEASSIST, Cluster, voiceassist
from cluster.operator.faulty_api import FaultyApi, Rule, faulty_api
from cluster.operator.nursery import Nursery, is_there, nursery
from cluster.waiting import PATIENCE, eventually

WRITES = int(os.environ.get("VOICEASSIST_WRITES", "0"))
"""At how many of its writes an operator is killed."""
pytestmark = [
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.skipif(WRITES < 2, reason="asked for by VOICEASSIST_WRITES: see the file's beginning"),
]
AT_ONCE = 4
QUIET = 2.0
"""Seconds without a write, after which an operator has done what there is to do."""
KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "Pod"),
)
SERVICE = ("v1", "Service")
EDIT = {"spec": {"prompt": {"instructions": "You help more."}, "relay": {"networkPolicy": {"enabled": False}, "maxCallsPerPod": 7}}}
OURS = {"app.kubernetes.io/managed-by": "voiceassist-operator"}


def state(cluster: Cluster) -> dict[str, Any]:
    """What is there for the object, without what differs between namespaces and runs."""
    body = cluster.assist()
    found = {kind: cluster.list((version, kind), OURS) for version, kind in KINDS}
    told: dict[str, Any] = {
        f"{kind} {item['metadata']['name'] if kind != 'Pod' else ''}": {
            "labels": item["metadata"].get("labels"),
            "annotations": sorted(item["metadata"].get("annotations") or {}) if kind == "Pod" else item["metadata"].get("annotations"),
            **({} if kind in {"Pod", "Service"} else {key: item.get(key) for key in ("spec", "data")}),
            **({"ports": item["spec"]["ports"], "selector": item["spec"]["selector"]} if kind == "Service" else {}),
        }
        for kind, items in found.items()
        for item in items
    }
    status = body["status"]
    told["conditions"] = [{key: one[key] for key in ("type", "status", "reason")} for one in status["conditions"]]
    told["prompt"] = status["prompt"]["currentRevision"]
    told["finalizers"] = body["metadata"]["finalizers"]
    text = json.dumps(told, sort_keys=True)
    for what, name in ((cluster.namespace, "NAMESPACE"), (status["prompt"]["configRevision"], "CONFIG")):
        text = text.replace(what, name)
    text = re.sub(r'"voiceassist.dev/applied": "\w+"', '"voiceassist.dev/applied": ""', text)
    text = re.sub(r'("pod-template-hash": )"\w+"', r'\1""', text)
    text = re.sub(r'("deployment.kubernetes.io/revision": )"\d+"', r'\1""', text)
    read: dict[str, Any] = json.loads(text)
    return read


def same_as(wanted: dict[str, Any], cluster: Cluster) -> bool:
    found = state(cluster)
    assert found == wanted, {key: (found.get(key), wanted.get(key)) for key in {*found, *wanted} if found.get(key) != wanted.get(key)}
    return True


@dataclass
class Bench:
    """Namespaces with an object each, and what runs operators."""

    api: FaultyApi
    nursery: Nursery
    folder: Path
    clusters: list[Cluster]
    logs: list[Path] = field(default_factory=list)
    begun: int = 0

    @contextlib.contextmanager
    def operator(self, rule: Rule, *arguments: str) -> Iterator[Rule]:
        self.begun += 1
        self.logs.append(self.folder / f"log{self.begun}")
        common = ("--allow-custom-endpoints", "--lease-namespace", "default", "--lease-name", f"survives-{self.begun}")
        common += ("--lease-seconds", "90", "--relay-port", "1")
        config = self.api.kubeconfig(rule)
        rule.process = self.nursery.begin(config, self.logs[-1], *common, *arguments)
        try:
            yield rule
        finally:
            rule.kill()

    def of_all(self, rule: Rule) -> contextlib.AbstractContextManager[Rule]:
        """An operator for all namespaces, which lists all that there is every two seconds."""
        return self.operator(rule, "--all-namespaces", "--resync-seconds", "2")

    def killed(self, victims: Sequence[tuple[Cluster, Rule]]) -> None:
        """Runs each of these until it is killed, or has nothing to write any more."""
        for some in (victims[begin : begin + AT_ONCE] for begin in range(0, len(victims), AT_ONCE)):
            with contextlib.ExitStack() as stack:
                for cluster, rule in some:
                    stack.enter_context(self.operator(rule, "--namespace", cluster.namespace))
                for _, rule in some:
                    eventually("killed, or at rest", lambda rule=rule: not is_there(rule.process) or self.at_rest(rule), every=0.05)

    def at_rest(self, rule: Rule) -> bool:
        return bool(rule.writes) and self.api.now() - rule.written_at > QUIET

    def converge(self, rule: Rule, *, edited: bool) -> dict[str, Any]:
        """Brings all to rest. Returns the state that all of them have."""
        with self.of_all(rule):
            first, *others = self.clusters
            eventually("the first is at rest", lambda: self.at_rest(rule))
            wanted = state(first)
            assert ("NetworkPolicy support-relay" in wanted) != edited
            for cluster in others:
                eventually(f"{cluster.namespace} as the first", lambda cluster=cluster: same_as(wanted, cluster), 60)
        return wanted


def chosen(count: int) -> list[int]:
    """Numbers of writes, spread over all of them."""
    if count <= WRITES:
        return list(range(1, count + 1))
    return sorted({1 + round(number * (count - 1) / (WRITES - 1)) for number in range(WRITES)})


@pytest.fixture(scope="module")
def bench(plane: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("survives")
    with faulty_api(plane.outside_kubeconfig(), folder) as api, nursery() as born, contextlib.ExitStack() as stack:
        made = Bench(api, born, folder, [])

        def another() -> Cluster:
            cluster = Cluster(plane.outside_kubeconfig(), stack.enter_context(plane.namespace("survives")))
            cluster.secrets()
            relay = {"replicas": 1, "drainTimeoutSeconds": 0, "networkPolicy": {"enabled": True}}
            cluster.create(voiceassist(host=f"{cluster.namespace}.example.test", relay=relay))
            return cluster

        made.clusters.append(another())
        made.killed([(made.clusters[0], counted := Rule())])
        victims = []
        for number in chosen(counted.writes):
            for landed in (False, True):
                made.clusters.append(another())
                victims.append((made.clusters[-1], Rule(kill_at=number, landed=landed)))
        assert counted.writes, made.logs[-1].read_text()[-3000:]
        print(f"an object takes {counted.writes} writes; killed at {chosen(counted.writes)}")
        made.killed(victims)
        assert all(rule.writes == rule.kill_at for _, rule in victims[: len(victims) // 2])
        yield made
        for log in made.logs:
            assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


def test_survives_kills_at_the_writes_of_a_new_object(bench: Bench) -> None:
    bench.converge(Rule(), edited=False)


def test_survives_kills_at_the_writes_of_an_edit(bench: Bench) -> None:
    for cluster in bench.clusters:
        cluster.patch(VOICEASSIST, "support", EDIT)
    first, *others = bench.clusters
    bench.killed([(first, counted := Rule())])
    print(f"an edit takes {counted.writes} writes")
    numbers = chosen(counted.writes)
    rules = [Rule(kill_at=number, landed=landed) for number in numbers for landed in (False, True)]
    bench.killed(list(zip(others, rules, strict=False)))
    bench.converge(Rule(), edited=True)


def test_survives_events_that_never_come_and_lists_of_before(bench: Bench) -> None:
    """One namespace each misses its first, second, … event."""
    lost = {cluster.namespace: number for number, cluster in enumerate(bench.clusters)}  # the first misses none
    before = Rule()
    with bench.of_all(before):
        eventually("listed", lambda: len(before.lists) >= 10)
        time.sleep(QUIET)
    rule = Rule(lost=lost)
    with bench.of_all(rule):
        eventually("listed", lambda: len(rule.lists) >= 10)
        time.sleep(QUIET)
        for cluster in bench.clusters:
            cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "You help otherwise."}}})
            cluster.delete(SERVICE, "support-relay")
        eventually("events that never came", lambda: len(rule.swallowed) >= min(6, len(lost) - 1))
        first, *others = bench.clusters
        eventually("made anew", lambda: first.find(SERVICE, "support-relay"))
        eventually("at rest", lambda: bench.at_rest(rule))
        wanted = state(first)
        for cluster in others:
            eventually(f"{cluster.namespace} as the first", lambda cluster=cluster: same_as(wanted, cluster), 60)
    print("never came:", rule.swallowed)
    again = Rule(stale=dict(before.lists))
    with bench.of_all(again):
        eventually("was told of what was true before", lambda: not [path for path in again.stale if "voiceassists" in path])
        time.sleep(QUIET)
        for cluster in bench.clusters:
            eventually(f"{cluster.namespace} as it was", lambda cluster=cluster: same_as(wanted, cluster), PATIENCE)
