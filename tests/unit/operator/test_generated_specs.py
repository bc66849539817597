"""An object that is edited from one generated spec to the next: what is there afterwards is what a new object of that spec has, and
going back brings back what was; each spec that the CRD accepts is Ready or says by name what it waits for.

The API server is the played one of `test_reconciler_requests`, with fields that have owners; time is virtual. VOICEASSIST_SPECS=300 tries
so many specs, in sequences of 12.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from unit.operator.making import SYNC
from unit.operator.specs import SMALL, specs, stored
from unit.operator.test_killed_at_every_write import state
from unit.operator.test_reconciler_requests import Bench
from voiceassist_crds.reasons import Reason
from voiceassist_operator.controller import apply as apply_module
from voiceassist_operator.controller import reconciler as reconciler_module
from voiceassist_operator.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, POD, SECRET, VOICEASSIST, Manifest
from voiceassist_operator.policy import autoscaling
from voiceassist_operator.policy.resources.metadata import PROMOTE_ANNOTATION
from voiceassist_operator.policy.rollout import REANNOTATED
from voiceassist_operator.twilio.model.desired import TwilioRecord
from voiceassist_operator.twilio.model.functions import FunctionsOutcome
from voiceassist_operator.twilio.model.observed import TwilioFact
from voiceassist_operator.twilio.model.outcome import FlexOutcome, SyncRecord

MOST_PODS = 2
LONG = timedelta(hours=2)
"""Longer than any `scaleDownAfter` of the generated specs."""
IN_A_SEQUENCE = 12
SEQUENCES = int(os.environ.get("VOICEASSIST_SPECS", "60")) // IN_A_SEQUENCE
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True, scope="module")
def _time() -> Iterator[None]:
    """Each look comes long after the one before, and all of the time between them counts."""
    begin, looks = datetime(2026, 1, 1, tzinfo=UTC), itertools.count()
    seconds = SimpleNamespace(monotonic=lambda: next(looks) * LONG.total_seconds(), time=time.time, time_ns=time.time_ns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconciler_module, "_now", lambda: (begin + next(looks) * LONG).strftime("%Y-%m-%dT%H:%M:%SZ"))
        patch.setattr(apply_module, "time", seconds)
        patch.setattr(autoscaling, "LONGEST_LOOK_SECONDS", float("inf"))
        yield


def twilio_has(bench: Bench) -> TwilioFact:
    """What a look at Twilio finds, which has always ended well by the next pass."""
    body = bench.api.there[VOICEASSIST, "support"]
    deployed = body["spec"]["twilio"]["functions"]["mode"] != "Relay"
    functions = FunctionsOutcome(True, Reason.CONFIGURED, "", "https://functions.example.com" if deployed else "")
    record = TwilioRecord(SyncRecord(SYNC, made=False))
    return TwilioFact(body["metadata"]["generation"], functions=functions, flex=FlexOutcome(""), record=record)


def bench_of(spec: Manifest) -> Bench:
    bench = Bench(copy.deepcopy(spec), lenient=True)
    bench.reconciler._twilio = cast(
        Any, SimpleNamespace(set_desired=lambda *_: twilio_has(bench), take_drift=list, mark_stale=lambda: None)
    )
    bench.api.put(
        CONFIG_MAP, {"metadata": {"name": "texts"}, "data": {"prompt": "You help by a text.", "authorities": CERTIFICATE, "empty": ""}}
    )
    return bench


def cluster_acts(bench: Bench) -> None:
    """What the controllers and kubelets of a cluster do: pods come and go, run, and are counted."""
    deployment = bench.api.there.get((DEPLOYMENT, "support-relay"))
    if deployment is None:
        return
    wanted = deployment["spec"].get("replicas", 1)
    names = [f"pod-{number}" for number in range(min(wanted, MOST_PODS))]
    for _, gone in [key for key in bench.api.there if key[0] is POD and key[1] not in names]:
        del bench.api.there[POD, gone]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    running = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    for name in names:
        before = bench.api.there.get((POD, name))
        if before is None or before["metadata"]["labels"] != labels:
            bench.api.put(POD, {"metadata": {"name": name, "labels": labels}, "status": running})
    counts = dict.fromkeys(("readyReplicas", "updatedReplicas", "replicas"), wanted)
    status = {**counts, "observedGeneration": deployment["metadata"]["generation"]}
    if deployment.get("status") != status:
        bench.api.put(DEPLOYMENT, {**deployment, "status": status})


async def unfold(bench: Bench) -> None:
    """Operator and cluster take turns until nothing changes; who is asked to promote a canary does so."""
    for _ in range(12):
        await bench.settle()
        there = copy.deepcopy(bench.api.there)
        cluster_acts(bench)
        prompt = bench.api.there[VOICEASSIST, "support"].get("status", {}).get("prompt", {})
        if canary := prompt.get("canaryRevision"):
            item = copy.deepcopy(bench.api.there[VOICEASSIST, "support"])
            item["metadata"].setdefault("annotations", {})[PROMOTE_ANNOTATION] = canary
            bench.api.put(VOICEASSIST, item)
        await bench.settle()
        if bench.api.there == there:
            return
    raise AssertionError("it never comes to rest")


def edit(bench: Bench, spec: Manifest) -> None:
    item = copy.deepcopy(bench.api.there[VOICEASSIST, "support"])
    item["metadata"].pop("annotations", None)
    bench.api.put(VOICEASSIST, {**item, "spec": copy.deepcopy(spec)})


def told(bench: Bench) -> Manifest:
    """What is there, without what tells of the past: earlier prompts, when and how often something was changed, what was promoted."""
    there = state(bench)
    prompt = (there[VOICEASSIST, "support"].get("status") or {}).get("prompt") or {}
    found: Manifest = {}
    for (kind, name), item in there.items():
        if kind is SECRET or (kind is CONFIG_MAP and "-prompt-" in name and not name.endswith(prompt.get("currentRevision", "?"))):
            continue
        if kind is DEPLOYMENT:
            item.pop("status", None)
        if kind is POD:
            item["metadata"].get("annotations", {}).pop(REANNOTATED, None)
        if kind is VOICEASSIST:
            item["metadata"].pop("annotations", None)
            for key in ("history", "rollout", "obeyed"):
                item["status"].get("prompt", {}).pop(key, None)
            spending = item["status"].get("spending", {})
            spending.pop("day", None)
            spending.get("month", {}).pop("month", None)
            item["status"].pop("observedGeneration")
            for one in item["status"]["conditions"]:
                one.pop("observedGeneration", None)
        found[f"{kind.name} {name}"] = item
    return found


def ready(bench: Bench) -> Manifest:
    conditions = bench.api.there[VOICEASSIST, "support"]["status"]["conditions"]
    return next(one for one in conditions if one["type"] == "Ready")


def names_what_it_waits_for(found: Manifest) -> bool:
    named = found["reason"] in set(Reason) - {Reason.UNKNOWN, Reason.RECONCILING}
    return named and (found["status"] == "True" or bool(found["message"]))


def objects(found: Manifest) -> Manifest:
    return {name: item for name, item in found.items() if not name.startswith((VOICEASSIST.name, POD.name))}


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return [line for key in sorted({*one, *other}) for line in differences(one.get(key), other.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [line for number, both in enumerate(zip(one, other, strict=True)) for line in differences(*both, f"{path}[{number}]")]
    return [] if one == other else [f"{path}: {one!r} is not {other!r}"]


async def fresh(spec: Manifest) -> Bench:
    bench = bench_of(spec)
    await unfold(bench)
    return bench


async def walk(sequence: list[Manifest]) -> None:
    before = stored(SMALL)
    bench = await fresh(before)
    was = told(bench)
    for spec in sequence:
        new = await fresh(spec)
        assert names_what_it_waits_for(ready(new)), ready(new)
        if (DEPLOYMENT, "support-relay") not in new.api.there:  # paused, or something is missing: what is there stays as it is
            edit(bench, spec)
            await unfold(bench)
            assert differences(objects(told(bench)), objects(was)) == []
            assert names_what_it_waits_for(ready(bench)), ready(bench)
        else:
            for now, wanted in ((spec, told(new)), (before, was), (spec, told(new))):
                edit(bench, now)
                await unfold(bench)
                assert differences(told(bench), wanted) == []
            before, was = spec, told(new)


@settings(max_examples=SEQUENCES, suppress_health_check=list(HealthCheck))
@given(st.lists(specs(), min_size=IN_A_SEQUENCE, max_size=IN_A_SEQUENCE))
def test_generated_specs_one_after_the_other_leave_nothing_behind(sequence: list[Manifest]) -> None:
    with capture_logs() as logs:
        asyncio.run(walk(sequence))
    assert [one for one in logs if one["log_level"] in {"error", "critical"}] == []
