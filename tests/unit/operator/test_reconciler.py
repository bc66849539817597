"""When a reconciler works: a poll that finds nothing new plans and writes nothing, and only so many observe at a time."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from unit.operator.making import TWILIO, pods, well
from voiceassist_operator.controller import reconciler
from voiceassist_operator.controller.apply import Applier, Written
from voiceassist_operator.controller.endpoint_probe import ProbeSettings
from voiceassist_operator.controller.reconciler import PASSES_AT_ONCE, Reconciler, TwilioSettings
from voiceassist_operator.controller.turns import Turns
from voiceassist_operator.errors import Contended
from voiceassist_operator.kubernetes.kinds import INGRESS, POD, VOICEASSIST, Ref
from voiceassist_operator.kubernetes.store import Store
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.policy.deletion import FINALIZER
from voiceassist_operator.policy.observed import Endpoint, EndpointFact, Observed, RelayAnswer
from voiceassist_operator.policy.plan import Plan, make_plan
from voiceassist_operator.twilio.model.desired import Neighbours


def settled() -> Observed:
    """Nothing is waited for, at Twilio neither."""
    return well(twilio={**TWILIO, "flex": {"configure": False}})


class Cluster:
    """Has one VoiceAssist, takes every write and counts it."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.reads = 0
        owner = well().owner
        metadata = {"name": owner.name, "namespace": owner.namespace, "uid": owner.uid, "resourceVersion": "1", "finalizers": [FINALIZER]}
        spec = {"twilio": {"credentialsSecretRef": {"name": "twilio"}}, "model": {"apiKeySecretRef": {"name": "model"}}, "prompt": {}}
        self.body: dict[str, Any] = {"metadata": metadata, "spec": spec}

    async def get(self, *_: Any) -> dict[str, Any] | None:
        self.reads += 1
        return self.body

    async def find(self, *_: Any) -> None:
        return None

    async def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.writes.append(manifest["kind"])
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "1", "uid": "uid-2"}}

    async def patch(self, kind: Any, name: str, _: str, body: dict[str, Any], **__: Any) -> dict[str, Any] | None:
        self.writes.append(f"patch {kind.name}")
        if kind is not POD:
            return None
        metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": f"{len(self.writes)}", **body["metadata"]}
        status = {"podIP": next(pod.ip for pod in well().pods if pod.name == name), "conditions": [{"type": "Ready", "status": "True"}]}
        return {"metadata": metadata, "status": status}

    async def create(self, manifest: dict[str, Any]) -> None:
        self.writes.append(manifest["kind"])


class Relays:
    """Answer as the facts have it."""

    def __init__(self, seen: Observed) -> None:
        self.seen, self.asked = seen, 0

    async def ask_all(self, *_: Any) -> dict[str, RelayAnswer]:
        self.asked += 1
        return {pod.name: RelayAnswer(pod.status) for pod in self.seen.pods}


class Rig:
    """One reconciler of an object that is well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, turns: Turns) -> None:
        self.cluster, self.relays, self.plans = Cluster(), Relays(settled()), 0
        metrics = OperatorMetrics()
        self.store = Store()
        dependencies = cast(Any, SimpleNamespace(cluster=self.cluster, store=self.store, poller=self.relays, custom_endpoints=False))
        self.reconciler = Reconciler(
            "uid-1",
            "support",
            "team",
            dependencies,
            Applier(cast(Any, self.cluster), self.store, metrics),
            metrics,
            ProbeSettings(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
            TwilioSettings(cast(Any, None)),
            lambda: "",
            Neighbours,
            turns,
        )
        self.reconciler._endpoint = cast(Any, SimpleNamespace(found=EndpointFact(Endpoint.OK), advance=lambda _: None))
        fact = self.relays.seen.twilio
        self.reconciler._twilio = cast(Any, SimpleNamespace(set_desired=lambda *_: fact, take_drift=list, mark_stale=lambda: None))

        async def observed(*_: Any) -> Observed:
            return replace(self.relays.seen, status=self.cluster.body.get("status", {}))

        def planned(seen: Observed, now: str) -> Plan:
            self.plans += 1
            return make_plan(seen, now)

        monkeypatch.setattr(reconciler, "observe", observed)
        monkeypatch.setattr(reconciler, "make_plan", planned)
        monkeypatch.setattr(reconciler, "undeclared", lambda *_: ())

    async def poll(self, times: int) -> int:
        """Returns how many plans that made."""
        before = self.plans
        for _ in range(times):
            assert await self.reconciler._pass() is not None
        return self.plans - before


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, Turns(1))


async def test_reconciler_a_poll_without_news_makes_no_plan_and_writes_nothing(rig: Rig) -> None:
    assert await rig.poll(3) >= 1
    rig.cluster.writes.clear()
    asked = rig.relays.asked
    assert await rig.poll(10) == 0
    assert rig.relays.asked == asked + 10
    assert rig.cluster.writes == []


async def test_reconciler_a_dial_that_found_the_same_asks_no_relay(rig: Rig) -> None:
    await rig.poll(4)
    asked = rig.relays.asked
    rig.reconciler._note_dial()
    pause = await rig.reconciler._pass()
    assert (rig.relays.asked, pause) == (asked, pytest.approx(rig.reconciler._ask_at - time.monotonic(), abs=1)), (
        "they are asked when it is time"
    )
    cast(Any, rig.reconciler._endpoint).found = EndpointFact(Endpoint.DNS, "no such name")
    rig.reconciler._note_dial()
    assert await rig.poll(1) == 1, "news is told at once"


async def test_reconciler_an_object_that_is_gone_is_so_by_the_api_servers_own_word(rig: Rig) -> None:
    await rig.poll(3)
    rig.store.take(rig.cluster.body, VOICEASSIST)
    rig.reconciler.wake(read=True)
    assert await rig.reconciler._pass() is not None, "a watch alone said that it is gone"
    body, rig.cluster.body = rig.cluster.body, cast(Any, None)
    rig.reconciler.wake()
    assert await rig.reconciler._pass() is not None, "a store that lags behind deletes nothing, and ends nothing"
    rig.reconciler.wake(read=True)
    assert await rig.reconciler._pass() is None
    assert rig.store.entry(VOICEASSIST, body["metadata"]["name"], body["metadata"]["namespace"]) is None


UNWANTED = Ref(INGRESS, "support-relay")


@pytest.mark.parametrize(
    ("newest", "there", "deleted"),
    [
        ({"generation": 3}, "uid-1", True),
        ({"generation": 4}, "uid-1", False),
        ({"generation": 3, "deletionTimestamp": "2026-01-01T00:00:00Z"}, "uid-1", False),
        ({"generation": 3, "uid": "another"}, "uid-1", False),
        (None, "uid-1", False),
        ({"generation": 3}, "another", False),
        ({"generation": 3}, None, False),
    ],
)
async def test_reconciler_what_is_deleted_is_so_by_the_newest_spec_and_is_ours(
    newest: dict[str, Any] | None, there: str | None, deleted: bool
) -> None:
    """A plan is made of what watches told, which may be late; what it deletes is looked at once more."""
    cluster = cast(Any, Cluster())
    gone: list[Ref] = []

    async def get(*_: Any) -> dict[str, Any] | None:
        return None if newest is None else {"metadata": {"uid": "uid-1", **newest}}

    async def find(*_: Any) -> dict[str, Any] | None:
        return None if there is None else {"metadata": {"ownerReferences": [{"uid": there}]}}

    async def delete(one: Ref, _: str) -> None:
        gone.append(one)

    cluster.get, cluster.find, cluster.delete = get, find, delete
    applier = Applier(cluster, Store(), OperatorMetrics())
    with contextlib.suppress(Contended):
        await applier.objects(settled(), Plan(delete=[UNWANTED]), Written())
    assert gone == ([UNWANTED] if deleted else [])


async def test_reconciler_news_of_any_kind_make_one(rig: Rig) -> None:
    await rig.poll(3)
    rig.relays.seen = pods(settled(), {"told": {"active_calls": 3}})
    assert await rig.poll(1) == 1
    rig.relays.seen = settled()
    rig.reconciler._written.calls_at = float("-inf")
    rig.reconciler._written.costs.clear()
    await rig.poll(3)
    assert await rig.poll(1) == 0
    cast(Any, rig.reconciler._endpoint).found = EndpointFact(Endpoint.DNS, "no such name")
    assert await rig.poll(1) == 1
    rig.reconciler.wake()
    assert await rig.poll(1) >= 1


async def test_reconciler_what_is_put_off_is_not_forgotten(rig: Rig) -> None:
    """The number of calls is written every 30 s, an endpoint's fault is told when it has lasted for a minute."""
    await rig.poll(3)
    rig.relays.seen = pods(settled(), {"told": {"active_calls": 3}})
    assert await rig.poll(1) == 1
    rig.relays.seen = pods(settled(), {"told": {"active_calls": 4}})
    assert await rig.poll(3) == 3, "written too soon after the one before, so looked at again"
    rig.relays.seen = settled()
    cast(Any, rig.reconciler._endpoint).found = EndpointFact(Endpoint.DNS, "no such name")
    rig.reconciler._written.calls_at = float("-inf")
    rig.reconciler._written.costs.clear()
    await rig.poll(3)
    assert await rig.poll(3) == 0, "nothing is planned anew only because an event is to come"
    assert 55 < rig.reconciler._event_due_at - time.monotonic() <= 60
    rig.reconciler._event_due_at = time.monotonic()
    assert await rig.poll(1) == 1, "but when it is due"


async def test_reconciler_a_canary_is_never_at_rest(rig: Rig) -> None:
    """Its next step comes with time, whatever the relays say."""
    await rig.poll(3)
    assert rig.reconciler._seen is not None
    plan = make_plan(rig.reconciler._seen, "2026-01-01T00:00:00Z")
    assert rig.reconciler._leaves_nothing(plan, rig.reconciler._seen)
    prompt = {**plan.status["prompt"], "canaryRevision": "c0ffee0000", "weight": 5, "step": 1, "steps": 2}
    on_its_way = replace(plan, status={**plan.status, "prompt": prompt})
    assert not rig.reconciler._leaves_nothing(on_its_way, replace(rig.reconciler._seen, status=on_its_way.status))


async def test_reconciler_so_many_observe_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = most = 0
    turns = Turns(PASSES_AT_ONCE)
    rigs = [Rig(monkeypatch, turns) for _ in range(100)]

    async def observing(_: Reconciler) -> float:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return 60.0

    monkeypatch.setattr(Reconciler, "_observing_pass", observing)
    await asyncio.gather(*(rig.reconciler._pass() for rig in rigs))
    assert most == PASSES_AT_ONCE
    assert 16 <= PASSES_AT_ONCE <= 32


async def test_reconciler_an_object_that_is_stuck_takes_no_share_of_the_polls_of_those_that_roll(rig: Rig) -> None:
    seen = settled()
    rig.reconciler._rolling_since, rig.reconciler._seen = 1.0, seen
    assert rig.reconciler.is_rolling
    rig.reconciler._seen = replace(seen, pods=tuple(replace(pod, status=None) for pod in seen.pods))
    assert not rig.reconciler.is_rolling, "no relay of it answers"
    rig.reconciler._seen = None
    assert not rig.reconciler.is_rolling, "its last pass failed, or it cannot be read"
