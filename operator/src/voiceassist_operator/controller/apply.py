"""Carries out a plan: objects first, then pods, status and events; remembers what it wrote, so that nothing is written twice."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from ..errors import Contended, NotLeading, OperatorError, Retryable
from ..kubernetes.applied import all_ours, digest, marked
from ..kubernetes.client import Cluster
from ..kubernetes.kinds import EVENT, MANAGER, POD, VOICEASSIST, Kind, Manifest, Ref, kind_of, owned_by, ref
from ..kubernetes.store import Entry, Store, holder_of, is_ours, mark_of, owners_of
from ..metrics import OperatorMetrics
from ..policy.events import Event, Told, already_told, due_events
from ..policy.observed import Observed, PodFact, RelayAnswer, pod_fact
from ..policy.ownership import taken
from ..policy.peers import vanished_pods, with_nowhere_to_move
from ..policy.plan import Plan
from ..policy.resources.metadata import Reference
from ..policy.rollout import DELETION_COST, annotations_due
from ..policy.status import known_conditions, worth_writing

log = structlog.get_logger("voiceassist.apply")

NEVER = float("-inf")
VANISHED, NOWHERE = "RelayVanished", "NowhereToMove"
NO_VERSION = "1"
"""A resourceVersion that no object has: what is applied with it is made, and refused where there is an object."""


@dataclass(slots=True)
class Written:
    """What was written for one object, and when (monotonic seconds)."""

    objects: dict[Ref, tuple[str, str]] = field(default_factory=dict)
    """Digest of the manifest, and the object's mark after it was applied."""
    costs: dict[str, float] = field(default_factory=dict)
    annotated: dict[str, float] = field(default_factory=dict)
    nowhere: set[str] = field(default_factory=set)
    """Pods of which it was told that they have nowhere to move their calls."""
    calls_at: float = NEVER
    unforeseen: bool = False
    """An answer has brought what the pass did not know: no watch tells of it any more, so it is to be looked at."""
    told: Told | None = None
    """Which conditions were told as events; None before the first report."""

    def forget_all_but(self, pods: set[str]) -> None:
        """Pods that are gone are forgotten."""
        for times in (self.costs, self.annotated):
            for gone in times.keys() - pods:
                del times[gone]


def replacing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a merge patch that turns `old` into `new`: what is no longer there is removed, at every depth."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        before = old.get(key)
        patch[key] = replacing(before, value) if isinstance(value, Mapping) and isinstance(before, Mapping) else value
    return patch


def _with(old: Mapping[str, str], new: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in {**old, **new}.items() if value is not None}


def _state(entry: Entry | None) -> Any:
    """What others write into an object, as far as it is used."""
    return {} if entry is None or entry.item is None else entry.item.get("status") or {}


def _with_metadata(manifest: Manifest, **more: str) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], **more}}


class Applier:
    """Writes plans."""

    def __init__(self, cluster: Cluster, store: Store, metrics: OperatorMetrics) -> None:
        """`store` is told what each write was answered with."""
        self._cluster, self._store, self._metrics = cluster, store, metrics
        self._instance = socket.gethostname()

    async def objects(self, seen: Observed, plan: Plan, written: Written) -> str:
        """Applies and deletes. Returns what went wrong, in words; what can be written is written all the same.

        Raises Contended where something else is in an object's place by now.
        """
        problems = []
        for manifest in plan.apply:
            one, wanted = ref(manifest), digest(manifest)
            if one in seen.existing and self._known(one, seen, manifest, wanted, written) == (wanted, seen.existing[one]):
                continue
            try:
                made = await self._write(marked(manifest), seen, seen.uids.get(one))
            except (NotLeading, Contended):
                raise
            except OperatorError as error:
                problems.append(str(error))
                continue
            if isinstance(made, str):
                problems.append(made)
                continue
            before = self._store.entry(one.kind, one.name, seen.owner.namespace)
            if self._store.take(made, one.kind):
                written.unforeseen |= _state(before) != _state(self._store.entry(one.kind, one.name, seen.owner.namespace))
            mark = mark_of(made)
            if seen.existing.get(one) != mark:
                self._metrics.wrote(one.kind.name)
            written.objects[one] = (wanted, mark)
        if plan.delete:
            await self._still_unwanted(seen)
        for one in plan.delete:
            try:
                if await self._still_ours(one, seen):
                    await self._cluster.delete(one, seen.owner.namespace)
                self._store.forget(one, seen.owner.namespace)
            except NotLeading:
                raise
            except OperatorError as error:
                problems.append(str(error))
            else:
                self._metrics.wrote(one.kind.name)
                written.objects.pop(one, None)
        return "; ".join(problems)

    def _known(self, one: Ref, seen: Observed, manifest: Manifest, wanted: str, written: Written) -> tuple[str, str] | None:
        """What was written last, by us or by an operator before us, and the object's mark after that; None where that is not known."""
        if one not in written.objects and (entry := self._store.entry(one.kind, one.name, seen.owner.namespace)) is not None:
            as_applied = entry.applied == wanted and entry.mark == seen.existing[one] and bool(entry.fields)
            if as_applied and all_ours(json.loads(entry.fields), marked(manifest)):
                written.objects[one] = (wanted, entry.mark)
            self._store.compared(one.kind, one.name, seen.owner.namespace)
        return written.objects.get(one)

    async def _still_unwanted(self, seen: Observed) -> None:
        """What is deleted is so by the newest spec, and not by one that a watch brought late. Raises Contended where that is another."""
        owner = seen.owner
        body = await self._cluster.get(VOICEASSIST, owner.name, owner.namespace)
        metadata = {} if body is None else body["metadata"]
        if metadata.get("uid") != owner.uid or metadata.get("generation") != seen.generation or "deletionTimestamp" in metadata:
            raise Contended("the object has changed since it was observed; nothing is deleted", 0.0)

    async def _still_ours(self, one: Ref, seen: Observed) -> bool:
        item = await self._cluster.find(one.kind, one.name, seen.owner.namespace)
        return item is not None and owned_by(item, seen.owner.uid)

    async def _write(self, manifest: Manifest, seen: Observed, uid: str | None) -> Manifest | str:
        """Applies to the object with a uid, or makes it. Returns it as it is now; in words, that somebody else has one by this name.

        What is made is not written over what is there: whatever came by this name since is found by the API server.
        """
        kind, metadata = kind_of(manifest), manifest["metadata"]
        if uid is not None:
            try:
                return await self._cluster.apply(_with_metadata(manifest, uid=uid))
            except Contended:
                with suppress(Retryable):  # what is there is contended, whether it can be read now or not
                    await self._read(kind, metadata["name"], metadata["namespace"])
                raise
        try:
            return await self._cluster.apply(_with_metadata(manifest, resourceVersion=NO_VERSION))
        except Contended:
            item = await self._cluster.find(kind, metadata["name"], metadata["namespace"])
            if item is None:  # gone again, or an API server that takes no version for what is still to be made
                return await self._cluster.apply(manifest)
            found = taken(kind, metadata["name"], owners_of(item), holder_of(item), seen.owner.uid)
            if found is not None:
                return f"{found.kind} {found.name} is there and is not this object's (of {found.holder}); it is left alone"
            return await self._cluster.apply(_with_metadata(manifest, uid=item["metadata"]["uid"]))

    async def _read(self, kind: Kind, name: str, namespace: str) -> None:
        """What is known of an object was found wrong: the API server is asked."""
        held = self._store.entry(kind, name, namespace)
        item = await self._cluster.find(kind, name, namespace)
        if self._store.entry(kind, name, namespace) is not held:
            return  # its watch was quicker
        self._store.shelf(kind).mark_stale((namespace, name))
        if item is not None and is_ours(item):  # others' are in another listing
            self._store.take(item, kind)

    async def pods(self, seen: Observed, plan: Plan, written: Written) -> Observed:
        """Annotates pods, and again those that do not report in time. Returns what was observed, with the new annotations."""
        now = time.monotonic()
        written.forget_all_but({pod.name for pod in seen.pods})
        missing = {patch.pod: patch.annotations for patch in plan.pods}
        facts = {pod.name: pod for pod in seen.pods}
        for pod in seen.pods:
            since_annotated, since_cost = now - written.annotated.get(pod.name, now), now - written.costs.get(pod.name, NEVER)
            due = plan.config if plan.apply else None  # else it is written nowhere that a pod could have it from
            new = annotations_due(pod, missing.get(pod.name, {}), due, since_annotated, since_cost, str(time.time_ns()))
            if not new:
                written.annotated.setdefault(pod.name, now)
                continue
            made = await self._cluster.patch(POD, pod.name, seen.owner.namespace, {"metadata": {"annotations": new}})
            facts[pod.name] = replace(pod, annotations=_with(pod.annotations, new))
            if not self._take_pod(made, facts[pod.name], seen.owner.namespace, written):
                continue
            self._metrics.wrote(POD.name)
            if DELETION_COST in new:
                written.costs[pod.name] = now
            if set(new) - {DELETION_COST}:
                written.annotated[pod.name] = now
        return replace(seen, pods=tuple(facts[pod.name] for pod in seen.pods))

    def _take_pod(self, made: Manifest | None, expected: PodFact, namespace: str, written: Written) -> bool:
        """Takes the answer to a write to a pod, from which it is to be as `expected`. Returns whether the pod is there."""
        if made is None:
            self._store.forget(Ref(POD, expected.name), namespace)
            written.unforeseen = True
            return False
        answer = RelayAnswer(expected.status, expected.unreadable, expected.late)
        if self._store.take(made, POD) and pod_fact(made, answer) != expected:
            written.unforeseen = True
        return True

    async def vanished(self, seen: Observed, written: Written) -> Observed:
        """Has pods that have vanished counted as not ready, so that nobody is led there: a node's own controller does so after 40 s and
        more. A kubelet that is there knows better, and says so. Returns what was observed, with those as not ready that were written."""
        gone = {pod.name: replace(pod, ready=False) for pod in vanished_pods(seen)}
        for name in sorted(gone):
            now = {"lastTransitionTime": _now(), "reason": VANISHED, "message": "answers neither the operator nor other relays"}
            condition = {"type": "Ready", "status": "False", **now}
            body = {"status": {"conditions": [condition]}}
            try:
                made = await self._cluster.patch(POD, name, seen.owner.namespace, body, sub="status", by_key=True)
            except NotLeading:
                raise
            except OperatorError as error:  # what else is to be done goes on
                log.warning("a vanished pod still counts as ready", namespace=seen.owner.namespace, pod=name, error=str(error))
                del gone[name]  # and is tried again in the next pass
                continue
            if not self._take_pod(made, gone[name], seen.owner.namespace, written):
                continue
            self._metrics.wrote(POD.name)
            text = f"pod {name} answers neither the operator nor other relays: it counts as not ready, and its calls are started elsewhere"
            await self.event(seen.owner.reference, VANISHED, "Relays", text, warning=True)
        return replace(seen, pods=tuple(gone.get(pod.name, pod) for pod in seen.pods))

    async def tell_of_nowhere(self, seen: Observed, written: Written) -> None:
        """Tells of pods that end and have nowhere to move their calls, each once."""
        waiting = dict(with_nowhere_to_move(seen))
        for name in sorted(waiting.keys() - written.nowhere):
            text = (
                f"pod {name} ends with {waiting[name]} calls for which no other relay has a place: it waits for them, at most "
                f"{seen.owner.spec.relay.drain_timeout_seconds} s (relay.drainTimeoutSeconds); raise relay.replicas, or "
                "relay.autoscaling.maxReplicas, or relay.maxCallsPerPod"
            )
            await self.event(seen.owner.reference, NOWHERE, "Relays", text, warning=True)
        written.nowhere = set(waiting)

    async def report(self, seen: Observed, plan: Plan, written: Written) -> Observed:
        """Writes the status if it is worth it, and the events that are due. Returns what was observed, with the new status."""
        now = time.monotonic()
        if written.told is None:
            written.told = already_told(seen.status.get("conditions", []), _now())
        if worth_writing(seen.status, plan.status, now - written.calls_at):
            await self.status(seen.owner.reference, seen.status, plan.status)
            written.calls_at = now
            seen = replace(seen, status=plan.status)
        await self.tell(seen.owner.reference, due_events(written.told, known_conditions(plan.status["conditions"]), _now()))
        self._metrics.conditions(seen.owner.namespace, seen.owner.name, known_conditions(plan.status["conditions"]))
        return seen

    async def status(self, to: Reference, old: Manifest, new: Manifest) -> None:
        """Writes a status."""
        made = await self._cluster.patch(VOICEASSIST, to.name, to.namespace, {"status": replacing(old, new)}, sub="status")
        if made is not None:
            self._store.take(made, VOICEASSIST)
        self._metrics.wrote(VOICEASSIST.name)

    async def tell(self, to: Reference, events: Sequence[Event]) -> None:
        """Writes events about conditions."""
        for condition, warning in events:
            text = f"{condition['type']} is {condition['status']}" + (f": {condition['message']}" if condition["message"] else "")
            await self.event(to, condition["reason"], condition["type"], text, warning=warning)

    async def event(self, to: Reference, reason: str, action: str, text: str, *, warning: bool = False) -> None:
        """Writes an event; one that cannot be written is only logged."""
        try:
            await self._write_event(to, reason, action, text, warning=warning)
        except NotLeading:
            raise
        except OperatorError as error:
            log.warning("event not written", namespace=to.namespace, name=to.name, error=str(error), text=text)

    async def _write_event(self, to: Reference, reason: str, action: str, text: str, *, warning: bool) -> None:
        await self._cluster.create(
            {
                "apiVersion": EVENT.api_version,
                "kind": EVENT.name,
                "metadata": {"generateName": f"{to.name}-", "namespace": to.namespace},
                "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "reportingController": MANAGER,
                "reportingInstance": self._instance[:128],
                "action": action,
                "reason": reason,
                "type": "Warning" if warning else "Normal",
                "note": text[:1000],
                "regarding": {
                    "apiVersion": VOICEASSIST.api_version,
                    "kind": VOICEASSIST.name,
                    "name": to.name,
                    "namespace": to.namespace,
                    "uid": to.uid,
                },
            }
        )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
