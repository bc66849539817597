"""How many requests to the API server an object costs: new, edited, at rest, after a restart; and that what was edited is put right.

The API server is played here, with versions, generations and owners of fields; `tests/cluster/operator/test_operator_requests.py` counts
the same in a real one's audit log.
"""

from __future__ import annotations

import base64
import copy
import itertools
import ssl
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from unit.operator.making import SYNC, TWILIO, status
from voiceassist_operator.controller import apply as apply_module
from voiceassist_operator.controller.apply import Applier
from voiceassist_operator.controller.endpoint_probe import ProbeSettings
from voiceassist_operator.controller.observe import Dependencies
from voiceassist_operator.controller.reconciler import Reconciler, TwilioSettings
from voiceassist_operator.controller.references import References
from voiceassist_operator.controller.turns import Turns
from voiceassist_operator.errors import Contended
from voiceassist_operator.kubernetes.applied import fields_of
from voiceassist_operator.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    KINDS,
    MANAGER,
    OPTIONAL,
    POD,
    SECRET,
    SERVICE,
    VOICEASSIST,
    Kind,
    Manifest,
    kind_of,
)
from voiceassist_operator.kubernetes.store import Store
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.policy.allowed import OPEN
from voiceassist_operator.policy.observed import Endpoint, EndpointFact, RelayAnswer
from voiceassist_operator.policy.resources.metadata import Installation
from voiceassist_operator.twilio.model.desired import Neighbours, TwilioRecord
from voiceassist_operator.twilio.model.observed import TwilioFact
from voiceassist_operator.twilio.model.outcome import SyncRecord

Key = tuple[Kind, str]


def fields(value: Any) -> dict[str, Any]:
    """As the API server says it of what was applied, lists as a whole."""
    return {f"f:{key}": fields(one) for key, one in value.items()} if isinstance(value, dict) else {}


def merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return copy.deepcopy(new)
    both = {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return {key: value for key, value in both.items() if value is not None}


def without_dropped(item: Any, fields: Mapping[str, Any], new: Any) -> Any:
    """An object without what we applied before and do not apply any more: `fields` are those that are ours."""
    if not (isinstance(item, dict) and isinstance(new, dict)):
        return item
    dropped = {key for key in item if f"f:{key}" in fields and key not in new}
    return {key: without_dropped(value, fields.get(f"f:{key}", {}), new.get(key)) for key, value in item.items() if key not in dropped}


class Api:
    """One namespace of a cluster."""

    def __init__(self) -> None:
        self.there: dict[Key, Manifest] = {}
        self.asked: list[tuple[str, str]] = []
        self._version = 100

    def put(self, kind: Kind, item: Manifest) -> Manifest:
        """Stores an object as somebody left it."""
        self._version += 1
        before = self.there.get((kind, item["metadata"]["name"]))
        content = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
        counted = kind in {DEPLOYMENT, VOICEASSIST}
        changed = before is None or {key: before.get(key) for key in content} != content
        generation = ((before or {"metadata": {}})["metadata"].get("generation") or 0) + changed
        metadata = {
            **item["metadata"],
            "namespace": "team",
            "uid": item["metadata"].get("uid") or f"uid-{kind.name}-{self._version}",
            "resourceVersion": f"{self._version}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **({"generation": generation} if counted else {}),
        }
        self.there[kind, metadata["name"]] = {**item, "metadata": metadata}
        return self.there[kind, metadata["name"]]

    def somebody_sets(self, kind: Kind, name: str, **content: Any) -> None:
        """A person's edit: the fields are not ours any more."""
        item = merged(self.there[kind, name], content)
        for entry in item["metadata"].get("managedFields") or []:
            for key in content:
                entry["fieldsV1"].pop(f"f:{key}", None)
        self.put(kind, item)

    def _read(self, verb: str, kind: Kind, name: str) -> Manifest | None:
        self.asked.append((verb, kind.name))
        return copy.deepcopy(self.there.get((kind, name)))

    async def get(self, kind: Kind, name: str, _: str) -> Manifest | None:
        return self._read("get", kind, name)

    async def find(self, kind: Kind, name: str, _: str) -> Manifest | None:
        return self._read("list", kind, name)

    async def apply(self, manifest: Manifest) -> Manifest:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        self.asked.append(("apply", kind.name))
        before = self.there.get((kind, name))
        if (uid := manifest["metadata"].get("uid")) is not None and (before is None or before["metadata"]["uid"] != uid):
            raise Contended("Precondition failed: UID in precondition", 0.2)
        if (
            before is not None
            and manifest["metadata"].get("resourceVersion", before["metadata"]["resourceVersion"])
            != (before["metadata"]["resourceVersion"])
        ):
            raise Contended("the object has been modified", 0.2)
        ours = fields_of(before["metadata"]) if before is not None else {}
        item = merged(without_dropped(before or {}, ours, manifest), manifest)
        managed = fields({key: value for key, value in manifest.items() if key not in {"apiVersion", "kind"}})
        item["metadata"]["managedFields"] = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": managed}]
        if before is not None and item == before:
            return copy.deepcopy(before)
        return copy.deepcopy(self.put(kind, item))

    async def patch(self, kind: Kind, name: str, _: str, body: Manifest, *, sub: str = "") -> Manifest | None:
        self.asked.append(("patch", f"{kind.name}/{sub}" if sub else kind.name))
        before = self.there.get((kind, name))
        return None if before is None else copy.deepcopy(self.put(kind, merged(before, body)))

    async def delete(self, one: Any, _: str) -> None:
        self.asked.append(("delete", one.kind.name))
        self.there.pop((one.kind, one.name), None)

    async def create(self, manifest: Manifest) -> None:
        self.asked.append(("create", manifest["kind"]))


class Bench:
    """An API server with one object, and operators one after the other."""

    def __init__(self, spec: Manifest | None = None, *, lenient: bool = False) -> None:
        """`lenient`: the operator allows everything, and the cluster knows all kinds."""
        self.api, self._lenient = Api(), lenient
        secret = {"type": "Opaque", "metadata": {"labels": {"voiceassist.dev/credentials": "true"}}}
        for name, keys in (("twilio", ("authToken", "apiKeySid", "apiKeySecret")), ("model", ("apiKey",))):
            data = {key: base64.b64encode(b"value").decode() for key in keys}
            self.api.put(SECRET, {**secret, "metadata": {**secret["metadata"], "name": name}, "data": data})  # type: ignore[dict-item]
        spec = spec or {
            "host": "assist.example.com",
            "twilio": {**TWILIO, "flex": {"configure": False}},
            "model": {"apiKeySecretRef": {"name": "model"}},
            "prompt": {"instructions": "You help."},
            "relay": {"networkPolicy": {"enabled": True}},
        }
        self.api.put(VOICEASSIST, {"metadata": {"name": "support"}, "spec": spec})
        self.start()

    def start(self, *refused: Kind) -> None:
        """Another operator begins, which knows nothing; listings of the kinds `refused` have no answer."""
        self.store = Store()
        metrics, cluster = OperatorMetrics(), cast(Any, self.api)
        kinds = SimpleNamespace(known=frozenset(OPTIONAL if self._lenient else ()), undecided=frozenset())
        installation = Installation(custom_network=self._lenient)
        poller = cast(Any, SimpleNamespace(ask_all=self._answers))
        dependencies = Dependencies(
            cluster, self.store, References(cluster, self.store), poller, "relay:1", self._lenient, OPEN, False, kinds, {}, installation
        )
        uid = self.api.there[VOICEASSIST, "support"]["metadata"]["uid"]
        self.reconciler = Reconciler(
            uid,
            "support",
            "team",
            dependencies,
            Applier(cluster, self.store, metrics),
            metrics,
            ProbeSettings(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
            TwilioSettings(cast(Any, None)),
            lambda: "",
            Neighbours,
            Turns(1),
        )
        self.reconciler._endpoint = cast(Any, SimpleNamespace(found=EndpointFact(Endpoint.OK), advance=lambda _: None))
        fact = TwilioFact(record=TwilioRecord(SyncRecord(SYNC, made=False)))
        self.reconciler._twilio = cast(Any, SimpleNamespace(set_desired=lambda *_: fact, take_drift=list, mark_stale=lambda: None))
        for kind in KINDS:
            self.store.shelf(kind).begin_listing()
        self.tell(*refused, listed=True)
        for kind in {*KINDS} - {*refused}:
            self.store.shelf(kind).end_listing()

    async def _answers(self, pods: list[tuple[str, str]], *_: object) -> dict[str, RelayAnswer]:
        revisions = {
            name: (self.api.there[POD, name]["metadata"].get("annotations") or {}).get("voiceassist.dev/config-revision", "")
            for name, _ in pods
        }
        return {name: RelayAnswer(status(revision)) for name, revision in revisions.items()}

    def tell(self, *but: Kind, listed: bool = False) -> bool:
        """The watches bring all that is there, `but` for these kinds. Returns whether that is news."""
        there = [(kind, item) for (kind, _), item in self.api.there.items() if kind not in but]
        news = [self.store.shelf(kind).take(copy.deepcopy(item), listed=listed) for kind, item in there]
        known = {(kind, name) for kind in KINDS for (_, name) in self.store.shelf(kind).held}
        for kind, name in known - self.api.there.keys():
            self.store.shelf(kind).forget(("team", name))
            news.append(True)
        return any(news)

    def a_pod(self) -> None:
        """The Deployment's controller and the kubelet do their part."""
        labels = self.api.there[DEPLOYMENT, "support-relay"]["spec"]["template"]["metadata"]["labels"]
        conditions = [{"type": "Ready", "status": "True"}]
        pod_status = {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions}
        self.api.put(POD, {"metadata": {"name": "pod-1", "labels": labels}, "status": pod_status})
        counts = {"readyReplicas": 1, "updatedReplicas": 1, "replicas": 1, "observedGeneration": 1}
        self.api.put(DEPLOYMENT, merged(self.api.there[DEPLOYMENT, "support-relay"], {"status": counts}))

    async def settle(self) -> list[tuple[str, str]]:
        """Passes follow each other as long as there is news. Returns what was asked of the API server."""
        self.api.asked.clear()
        self.tell()
        for _ in range(20):
            self.reconciler.wake()
            assert await self.reconciler._pass() is not None
            if not self.tell():
                return list(self.api.asked)
        raise AssertionError("it never comes to rest")


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.settle()
    made.a_pod()
    await made.settle()
    await made.settle()  # the pod has what was announced to it
    return made


READS = ("get", "list")


async def test_reconciler_requests_of_a_new_object() -> None:
    bench = Bench()
    asked = await bench.settle()
    bench.a_pod()
    asked += await bench.settle()
    without_events = [one for one in asked if one != ("create", EVENT.name)]
    applied = [kind for verb, kind in asked if verb == "apply"]
    assert len(applied) == 8 and applied.count("ConfigMap") == 2, "each once"
    assert [one for one in asked if one[0] in READS] == [("get", "Secret")] * 2
    assert len(without_events) <= 15, without_events


async def test_reconciler_requests_of_another_object_with_the_same_secrets_are_fewer(bench: Bench) -> None:
    facts = bench.reconciler._dependencies.references
    bench.api.asked.clear()
    for name in ("twilio", "model"):
        await facts.secret("team", name)
    assert bench.api.asked == []


async def test_reconciler_requests_at_rest_are_none(bench: Bench) -> None:
    for _ in range(3):
        bench.reconciler.wake()
        assert await bench.settle() == []
        await bench.reconciler._pass()
    assert bench.api.asked == []


async def test_reconciler_requests_of_an_edit_of_the_prompt(bench: Bench) -> None:
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"prompt": {"instructions": "You help more."}})
    asked = [one for one in await bench.settle() if one != ("create", EVENT.name)]
    assert asked.count(("apply", "ConfigMap")) == 2, "the configuration, and the prompt's history"
    assert {verb for verb, kind in asked if kind not in {"ConfigMap", "Pod", "VoiceAssist/status"}} == set()
    assert len(asked) <= 7, asked


@pytest.mark.parametrize("meanwhile", [False, True], ids=["at rest", "while a status changes"])
async def test_reconciler_requests_after_a_restart_are_reads_of_the_secrets(bench: Bench, meanwhile: bool) -> None:
    bench.start()
    if meanwhile:  # after the listing, and before the first pass
        bench.api.put(SERVICE, {**bench.api.there[SERVICE, "support-relay"], "status": {"conditions": []}})
        assert bench.tell()
    asked = await bench.settle()
    assert asked == [("get", "Secret"), ("get", "Secret")]
    assert not any(one.entry.fields for kind in KINDS for one in bench.store.shelf(kind).held.values()), (
        "which fields are ours is forgotten"
    )


@pytest.mark.parametrize("down", [False, True], ids=["while it runs", "while it is down"])
@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        (CONFIG_MAP, {"data": {"relay.json": "{}"}}),
        (DEPLOYMENT, {"spec": {"replicas": 7}}),
        (SERVICE, {"spec": {"type": "NodePort"}}),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
async def test_reconciler_requests_what_somebody_edits_is_put_right_by_one(
    bench: Bench, kind: Kind, edit: dict[str, Any], down: bool
) -> None:
    before = bench.api.there[kind, "support-relay"]
    bench.api.somebody_sets(kind, "support-relay", **edit)
    if down:
        bench.start()
    asked = await bench.settle()
    assert [one for one in asked if one[0] == "apply"] == [("apply", kind.name)]
    now = bench.api.there[kind, "support-relay"]
    assert {key: now.get(key) for key in edit} == {key: before.get(key) for key in edit}


@pytest.mark.parametrize("down", [False, True], ids=["while it runs", "while it is down"])
async def test_reconciler_requests_what_somebody_deletes_is_made_anew(bench: Bench, down: bool) -> None:
    del bench.api.there[SERVICE, "support-relay"]
    if down:
        bench.start()
    asked = await bench.settle()
    assert [one for one in asked if one[0] == "apply"] == [("apply", "Service")]
    assert (SERVICE, "support-relay") in bench.api.there


async def test_reconciler_requests_of_an_edit_that_is_not_written_come_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods that do not report what is written nowhere are not annotated for it."""
    clock = itertools.count(0, 60)
    monkeypatch.setattr(apply_module, "time", SimpleNamespace(monotonic=lambda: float(next(clock)), time_ns=time.time_ns))
    del bench.api.there[SECRET, "model"]
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"prompt": {"instructions": "You help more."}})
    await bench.settle()
    for _ in range(3):
        assert {verb for verb, _ in await bench.settle()} <= {"get"}


async def test_reconciler_requests_an_edit_while_the_operator_was_down_is_applied(bench: Bench) -> None:
    bench.api.somebody_sets(VOICEASSIST, "support", spec={"relay": {"replicas": 5}})
    bench.start()
    asked = await bench.settle()
    assert ("apply", "Deployment") in asked
    assert bench.api.there[DEPLOYMENT, "support-relay"]["spec"]["replicas"] == 5


FOREIGN: Manifest = {"metadata": {"name": "support-relay", "labels": {"app": "shop"}}, "spec": {"type": "NodePort"}}


async def test_reconciler_requests_a_name_that_somebody_else_has_costs_none_and_nothing_is_made() -> None:
    bench = Bench()
    theirs = copy.deepcopy(bench.api.put(SERVICE, copy.deepcopy(FOREIGN)))
    asked = await bench.settle()
    assert not any(verb in {"apply", "list"} for verb, _ in asked), asked
    assert bench.reconciler.waits_for_name == "support-relay"
    assert "NameTaken" in str(bench.api.there[VOICEASSIST, "support"]["status"])
    assert bench.api.there[SERVICE, "support-relay"] == theirs
    del bench.api.there[SERVICE, "support-relay"]
    assert ("apply", "Service") in await bench.settle()


@pytest.mark.parametrize("ours", [False, True], ids=["somebody else's", "ours, made by an answer that was lost"])
async def test_reconciler_requests_what_came_by_a_name_unseen_is_not_written_over(ours: bool) -> None:
    bench = Bench()
    owner = {"uid": bench.api.there[VOICEASSIST, "support"]["metadata"]["uid"], "kind": "VoiceAssist", "name": "support"}
    tell, bench.tell = bench.tell, lambda **_: False  # type: ignore[method-assign]
    theirs = copy.deepcopy(FOREIGN)
    theirs["metadata"] |= {"ownerReferences": [owner]} if ours else {}
    before = copy.deepcopy(bench.api.put(SERVICE, theirs))
    await bench.settle()
    assert bench.api.asked.count(("apply", "Service")) == (2 if ours else 1)
    assert (bench.api.there[SERVICE, "support-relay"] != before) == ours
    if not ours:
        bench.tell = tell  # type: ignore[method-assign]
        await bench.settle()
        assert "NameTaken" in str(bench.api.there[VOICEASSIST, "support"]["status"])
