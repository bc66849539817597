"""Which relay pods count as vanished, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.operator.making import NOW, pods, well
from voiceassist_operator.controller.apply import VANISHED, Applier, Written
from voiceassist_operator.errors import Retryable
from voiceassist_operator.kubernetes.kinds import POD
from voiceassist_operator.kubernetes.store import Store
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.policy.peers import vanished_pods
from voiceassist_operator.policy.plan import make_plan

TOLD = {"silent_relays": ["10.0.0.2:9090"]}
"""The first relay says that the second one does not answer."""


@pytest.mark.parametrize(
    ("first", "second", "vanished"),
    [
        ({"told": TOLD}, {"late": True}, True),
        ({"told": TOLD}, {"status": None}, True),
        ({"told": TOLD}, {}, False),  # it answers the operator
        ({"told": {}}, {"late": True}, False),  # it answers the other relay
        ({"told": TOLD, "late": True}, {"late": True}, False),  # nobody answers: the operator is cut off
        ({"told": TOLD}, {"late": True, "ready": False}, False),  # that is known
        ({"told": TOLD}, {"late": True, "terminating": True}, False),
        ({"told": TOLD}, {"status": None, "unreadable": True}, False),
        ({"told": {"silent_relays": ["10.0.0.1:9090", "10.0.0.2:9090"]}}, {"late": True}, True),
        ({"told": {"silent_relays": ["[fd00::2]:9090"]}}, {"late": True, "ip": "fd00::2"}, True),
    ],
)
def test_peers_pods_that_answer_nobody_have_vanished(first: dict[str, Any], second: dict[str, Any], vanished: bool) -> None:
    seen = pods(well(), dict(first), dict(second))
    assert [pod.name for pod in vanished_pods(seen)] == (["pod-2"] if vanished else [])


@pytest.mark.parametrize(("lost", "blind", "vanished"), [(2, 0, 2), (3, 0, 0), (2, 1, 0)])
def test_peers_never_most_of_them_and_never_against_the_word_of_one_that_answers(lost: int, blind: int, vanished: int) -> None:
    """Of four relays; `blind` ones answer and do not say that the lost ones are silent."""
    seen = well()
    ips = [f"10.0.0.{number}" for number in range(1, 5)]
    told = seen.pods[0].status.model_copy(update={"silent_relays": [f"{ip}:9090" for ip in ips[:lost]]})  # type: ignore[union-attr]
    made = [replace(seen.pods[0], name=f"pod-{ip}", ip=ip, late=number < lost, status=told) for number, ip in enumerate(ips)]
    if blind:
        made[-1] = replace(made[-1], status=seen.pods[0].status)
    assert len(vanished_pods(replace(seen, pods=tuple(made)))) == vanished


async def refusing(*_: Any, **__: Any) -> None:
    raise Retryable("the API server is busy", 1.0)


class Cluster:
    def __init__(self) -> None:
        self.there = True
        self.patches: list[tuple[Any, ...]] = []
        self.events: list[dict[str, Any]] = []

    async def patch(self, kind: Any, name: str, namespace: str, body: dict[str, Any], *, sub: str, by_key: bool) -> Any:
        self.patches.append((kind.name, name, namespace, body["status"]["conditions"], sub, by_key))
        return {"metadata": {"name": name, "namespace": namespace, "resourceVersion": "7"}, **body} if self.there else None

    async def create(self, manifest: dict[str, Any]) -> None:
        self.events.append(manifest)


async def test_peers_a_vanished_pod_is_made_to_count_as_not_ready_once() -> None:
    cluster = Cluster()
    applier = Applier(cluster, Store(), OperatorMetrics())  # type: ignore[arg-type]
    seen = await applier.vanished(pods(well(), {"told": TOLD}, {"late": True}), Written())
    [(kind, name, namespace, [condition], sub, by_key)] = cluster.patches
    assert (kind, name, namespace, sub, by_key) == ("Pod", "pod-2", "team", "status", True)
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "False", VANISHED)
    assert [(event["reason"], event["type"]) for event in cluster.events] == [(VANISHED, "Warning")]
    await applier.vanished(seen, Written())
    assert len(cluster.patches) == 1


async def test_peers_a_vanished_pod_that_is_gone_is_not_told_of() -> None:
    cluster, store, written = Cluster(), Store(), Written()
    labels = {"app.kubernetes.io/managed-by": "voiceassist-operator", "voiceassist.dev/name": "support"}
    store.take({"metadata": {"name": "pod-2", "namespace": "team", "resourceVersion": "5", "labels": labels}}, POD)
    cluster.there = False
    await Applier(cluster, store, OperatorMetrics()).vanished(  # type: ignore[arg-type]
        pods(well(), {"told": TOLD}, {"late": True}), written
    )
    assert (cluster.events, store.entry(POD, "pod-2", "team"), written.unforeseen) == ([], None, True)


async def test_peers_a_vanished_pod_that_cannot_be_written_is_tried_again() -> None:
    cluster = Cluster()
    applier = Applier(cluster, Store(), OperatorMetrics())  # type: ignore[arg-type]
    patch, cluster.patch = cluster.patch, refusing  # type: ignore[method-assign]
    seen = await applier.vanished(pods(well(), {"told": TOLD}, {"late": True}), Written())
    assert [pod.name for pod in vanished_pods(seen)] == ["pod-2"] and not cluster.events
    cluster.patch = patch  # type: ignore[method-assign]
    assert vanished_pods(await applier.vanished(seen, Written())) == [] and len(cluster.patches) == 1


async def test_peers_a_pod_with_nowhere_to_move_its_calls_is_told_of_once() -> None:
    cluster, written = Cluster(), Written()
    applier = Applier(cluster, Store(), OperatorMetrics())  # type: ignore[arg-type]
    waiting = pods(well(), {"told": {"nowhere_to_move": True, "active_calls": 7, "draining": True}, "terminating": True})
    assert make_plan(waiting, NOW).status["relay"]["waitingCalls"] == 7
    assert "waitingCalls" not in make_plan(well(), NOW).status["relay"]
    for seen in (waiting, waiting, well(), waiting):
        await applier.tell_of_nowhere(seen, written)
    told = [(event["reason"], event["type"], "pod-1 ends with 7 calls" in event["note"]) for event in cluster.events]
    assert told == [("NowhereToMove", "Warning", True)] * 2, "and again when it is so again"
