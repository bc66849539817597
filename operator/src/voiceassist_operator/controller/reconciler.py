"""The straight line: observe, plan, apply, report; the same for every cause. One reconciler for each object decides only when."""

from __future__ import annotations

import asyncio
import operator
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from voiceassist_crds.base import undeclared
from voiceassist_crds.errors import ContractError
from voiceassist_crds.resource import VoiceAssistSpec

from ..errors import NotLeading, NotListed, OperatorError, Retryable
from ..kubernetes.kinds import VOICEASSIST
from ..kubernetes.store import mark_of
from ..metrics import OperatorMetrics
from ..policy.canary.record import from_status
from ..policy.condition import Condition
from ..policy.endpoint_answers import report_of
from ..policy.events import already_told, due_events, until_event
from ..policy.next_pass import DELETION_SECONDS, POLL_SECONDS, RESYNC_SECONDS, RETRY_SECONDS, observe_anew, until_next_pass, until_resync
from ..policy.observed import Observed, PodFact, RelayAnswer, Scaling, Spending
from ..policy.peers import vanished_pods
from ..policy.plan import Plan, make_plan
from ..policy.resources.metadata import Reference
from ..policy.rollout import current_pods
from ..policy.spending import Others, is_limited, others
from ..policy.status import deleting, known_conditions, status_with, unknown_fields, unreadable
from ..policy.twilio_desired import desired_at_last, desired_at_twilio, sync_is_reported_gone
from ..twilio.cleanup import TwilioCleanup
from ..twilio.client import TwilioPool
from ..twilio.model.desired import Neighbours, recorded
from ..twilio.model.functions import GRACE_SECONDS
from ..twilio.model.schedule import RELEASE_SECONDS, SPREAD
from ..twilio.model.schedule import RESYNC_SECONDS as TWILIO_RESYNC_SECONDS
from ..twilio.worker import TwilioWorker
from .apply import Applier, Written
from .endpoint_probe import EndpointProbe, ProbeSettings
from .finalizer import Finalizer, ensure_finalizer
from .observe import Dependencies, observe
from .turns import Turns

PASSES_AT_ONCE = 24
"""Objects that are observed at one time; the others wait for their turn."""

log = structlog.get_logger("voiceassist.reconcile")


@dataclass(frozen=True, slots=True)
class TwilioSettings:
    """How the operator keeps what objects have at Twilio; times in seconds."""

    pool: TwilioPool
    resync_seconds: float = TWILIO_RESYNC_SECONDS
    release_seconds: float = RELEASE_SECONDS
    """How long an object that is being deleted waits for Twilio when its relays are gone."""
    grace_seconds: float = GRACE_SECONDS
    """How long functions that are no longer wanted are kept."""


class _Gone(Exception):
    """The object is not there any more."""


class Reconciler:
    """Keeps one VoiceAssist as it is described, until it is gone."""

    def __init__(
        self,
        uid: str,
        name: str,
        namespace: str,
        dependencies: Dependencies,
        applier: Applier,
        metrics: OperatorMetrics,
        probe: ProbeSettings,
        twilio: TwilioSettings,
        conflicting: Callable[[], str],
        neighbours: Callable[[], Neighbours],
        turns: Turns,
        resync_seconds: float = RESYNC_SECONDS,
        objects: Callable[[], int] = lambda: 1,
        rolled_at_once: Callable[[], int] = lambda: 1,
    ) -> None:
        """`turns` are those of passes that observe everything, shared by all objects; `objects` says how many there are, `rolled_at_once`
        to how many of these a configuration is on its way."""
        self.uid, self.name, self.namespace = uid, name, namespace
        self.secrets: frozenset[str] = frozenset()
        """Names of the Secrets that the object refers to."""
        self.config_maps: frozenset[str] = frozenset()
        """Names of the ConfigMaps that the object refers to."""
        self._dependencies, self._applier, self._metrics, self._settings = dependencies, applier, metrics, twilio
        self._conflicting, self._neighbours, self._turns = conflicting, neighbours, turns
        self._resync = resync_seconds * random.uniform(SPREAD, 1.0)  # noqa: S311 - no secret
        self._reference = Reference(namespace, name, uid)
        self._wake = asyncio.Event()
        self._stale = True
        self._read = False
        """What is known of the object itself is in doubt: the API server is asked."""
        self._settled = False
        """The last plan left nothing to do, now or later: the next one would be the same unless something else is seen."""
        self._dialled = False
        """A dial has ended since the last pass."""
        self._ask_at = float("-inf")
        """When, in monotonic seconds, the relays are asked next if nothing happens."""
        self._event_due_at = float("inf")
        """When, in monotonic seconds, an event is to be told if all stays as it is."""
        self._seen: Observed | None = None
        self._generation: int | None = None
        """The object's, in the last pass that observed everything."""
        self._went_by: Any = None
        """What people write of the object, as the last pass that observed everything had it."""
        self._observed_at = float("-inf")
        self._written = Written()
        self._apply_error = ""
        self._unknown: dict[str, set[str]] = {}
        self._rolling_since: float | None = None
        self._log = log.bind(namespace=namespace, name=name)
        self._objects, self._rolled_at_once = objects, rolled_at_once
        self._steady = 0
        """How many times in a row the relays had no news."""
        self._scaling: Scaling | None = None
        self._spending: Spending | None = None
        self._endpoint = EndpointProbe(dependencies.cluster, probe, self._note_dial, objects)
        self._twilio = TwilioWorker(dependencies.cluster, twilio.pool, namespace, name, twilio.resync_seconds, self.wake)
        self._cleanup: TwilioCleanup | None = None
        self._finalizer: Finalizer | None = None

    @property
    def is_rolling(self) -> bool:
        """Whether a configuration is on its way to the relays, and one of these answered the last pass: others are not asked often."""
        if self._rolling_since is None or self._seen is None:
            return False
        return any(pod.status is not None for pod in current_pods(self._seen))

    @property
    def waits_for_name(self) -> str:
        """The name for objects of this one, where somebody else has it; empty where nobody has."""
        return self._seen.owner.relay if self._seen is not None and self._seen.taken else ""

    def wake(self, *, read: bool = False) -> None:
        """Something happened that this object depends on; with `read` the watches do not know what, and it is read anew."""
        self._stale = True
        self._read |= read
        self._wake.set()

    def _note_dial(self) -> None:
        self._dialled = True
        self._wake.set()

    async def run(self) -> None:
        """Reconciles on every wake-up and every minute, and asks the relays in between; returns when the object is gone."""
        try:
            pause: float | None = 0.0
            while pause is not None:
                await self._pause(pause)
                pause = await self._pass()
        finally:
            self._endpoint.cancel()
            self._twilio.cancel()
            if self._cleanup is not None:
                self._cleanup.cancel()
            self._metrics.forget(self.namespace, self.name)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _pass(self) -> float | None:
        """Makes one pass over what is there. Returns the seconds until the next one; None when the object is gone."""
        if not self._observes_anew():
            return await self._pass_once(anew=False)
        async with self._turns.taken(urgent=self._is_edited()):  # what happens while it waits for its turn is seen in the same pass
            return await self._pass_once(anew=True)

    def _is_edited(self) -> bool:
        """Whether somebody has made or edited the object since the last pass over it."""
        entry = self._dependencies.store.entry(VOICEASSIST, self.name, self.namespace)
        return entry is not None and entry.item is not None and entry.item["metadata"].get("generation") != self._generation

    def _is_changed(self) -> bool:
        """Whether the object is another by now than the last pass went by.

        An answer to a write of our own may have brought that: kopf's delivery of it is no news then, and wakes nobody.
        """
        entry = self._dependencies.store.entry(VOICEASSIST, self.name, self.namespace)
        return entry is not None and entry.uid == self.uid and entry.item is not None and _by_people(entry.item) != self._went_by

    def _observes_anew(self) -> bool:
        since_observed = None if self._seen is None else time.monotonic() - self._observed_at
        return observe_anew(stale=self._stale, since_observed=since_observed, resync=until_resync(self._seen, self._resync))

    async def _pass_once(self, *, anew: bool) -> float | None:
        self._stale = self._written.unforeseen = False
        self._wake.clear()
        begin, outcome, pause = time.monotonic(), "ok", RETRY_SECONDS
        try:
            pause = await (self._observing_pass() if anew else self._asking_pass())
        except NotLeading:
            outcome, self._seen, self._read = "not_leading", None, True  # all is looked at again, should we lead on
        except _Gone:
            return None
        except OperatorError as error:
            outcome, self._seen, self._read = "retry", None, not isinstance(error, NotListed)
            pause = error.delay if isinstance(error, Retryable) else RETRY_SECONDS
            self._log.warning("reconcile failed, tried again", error=str(error), seconds=pause)
        except ContractError as error:
            outcome, pause = "refused", self._resync
            self._log.error("the object cannot be read", problems=error.problems)
        except Exception:  # a defect of ours must not end this reconciler, nor others
            outcome, self._seen, self._read = "error", None, True
            self._log.exception("reconcile failed by a defect, tried again")
        if not self._read and (self._written.unforeseen or self._is_changed()):
            self.wake()
        if anew or outcome != "ok":
            self._metrics.reconciled(outcome, time.monotonic() - begin)
        return pause

    async def _observing_pass(self) -> float:
        """Observes everything, then goes on as every pass does. Returns the seconds until the next pass."""
        body = await self._body()
        self._went_by = _by_people(body)
        if "deletionTimestamp" in body["metadata"]:
            return await self._delete(body)
        if (with_ours := await ensure_finalizer(self._dependencies.cluster, body)) is not None:
            self._dependencies.store.take(with_ours, VOICEASSIST)
            body, self._went_by = with_ours, _by_people(with_ours)
        self._note_references(body)
        try:
            self._seen = await observe(self._dependencies, body, self._conflicting(), self._endpoint.found, self._apply_error, self._others)
        except ContractError as error:
            await self._write_ready(body, unreadable(error.problems))
            raise
        self._observed_at, self._generation = time.monotonic(), self._seen.generation
        self._note_unknown("object_spec_field", undeclared(VoiceAssistSpec, body["spec"]))
        self._note_unknown("object_status_field", unknown_fields(self._seen.status))
        return await self._finish_pass(self._seen, anew=True)

    @property
    def _others(self) -> Others | None:
        """What relays are told of each other; None before the first pass, too."""
        return None if self._seen is None or not is_limited(self._seen) else others(replace(self._seen, spending=self._spending))

    async def _body(self) -> Mapping[str, Any]:
        """Returns the object, as kopf or a write of ours had it last; what is being deleted, gone or in doubt is read. Raises _Gone."""
        entry = self._dependencies.store.entry(VOICEASSIST, self.name, self.namespace)
        known = None if entry is None or entry.uid != self.uid else entry.item
        if known is not None and not self._read and "deletionTimestamp" not in known["metadata"]:
            return known
        self._read = False
        self._dependencies.store.shelf(VOICEASSIST).mark_stale((self.namespace, self.name))
        body = await self._dependencies.cluster.get(VOICEASSIST, self.name, self.namespace)
        if body is not None:
            self._dependencies.store.take(body, VOICEASSIST)
        if body is None or body["metadata"]["uid"] != self.uid:
            raise _Gone
        return body

    def _note_unknown(self, what: str, fields: tuple[str, ...]) -> None:
        """Counts and logs once what a later version wrote into the object and this one passes over, and keeps in the status."""
        new = set(fields) - self._unknown.get(what, set())
        self._unknown[what] = set(fields)
        if new:
            self._metrics.other_version(what, len(new))
            self._log.info("the object has fields of another version", what=what, fields=sorted(new)[:20])

    async def _asking_pass(self) -> float:
        """Asks the relays alone, then goes on as every pass does. Returns the seconds until the next pass."""
        assert self._seen is not None  # noqa: S101 - else the pass would be an observing one
        until_asked = self._ask_at - time.monotonic()
        if self._dialled and self._settled and until_asked > 0 and self._event_due_at > self._ask_at:
            self._dialled = False
            self._endpoint.advance(self._seen)
            if self._endpoint.found == self._seen.endpoint:  # no relay is asked for that
                return until_asked
        report = report_of(self._endpoint.found)
        answers = await self._dependencies.poller.ask_all([(pod.name, pod.ip) for pod in self._seen.pods], report, self._others)
        pods = tuple(_answered(pod, answers.get(pod.name, RelayAnswer())) for pod in self._seen.pods)
        if self._settled and time.monotonic() < self._event_due_at and all(map(operator.is_, pods, self._seen.pods)):
            self._steady = 0 if any(answer.late for answer in answers.values()) else self._steady + 1
            self._endpoint.advance(self._seen)
            if self._endpoint.found == self._seen.endpoint:
                return self._until_next(self._seen, rolling=False, apply_failed=False)
        else:
            self._steady = 0
        return await self._finish_pass(replace(self._seen, pods=pods), anew=False)

    async def _delete(self, body: Mapping[str, Any]) -> float:
        """Takes the next step of a deletion. Returns the seconds until the next one. Raises _Gone when the object is released."""
        if self._finalizer is None:
            record = recorded(body.get("status") or {}, body["metadata"]["generation"])
            desired = desired_at_last(body, custom_endpoints=self._dependencies.custom_endpoints)
            self._cleanup = TwilioCleanup(
                self._dependencies.cluster, self._settings.pool, self._twilio, self.namespace, self.name, desired, record, self.wake
            )
            self._finalizer = Finalizer(self._dependencies.cluster, self._applier, self._cleanup, self._settings.release_seconds)
        waits_for = await self._finalizer.step(body, self._reference)
        if not waits_for:
            self._log.info("released")
            raise _Gone
        await self._write_ready(body, deleting(waits_for))
        self._log.info("being deleted", waits_for=waits_for)
        return DELETION_SECONDS

    async def _write_ready(self, body: Mapping[str, Any], ready: Condition) -> None:
        """Writes Ready alone: of an object of which no more can be said."""
        self._seen, metadata, old = None, body["metadata"], dict(body.get("status") or {})
        status = status_with(old, ready, metadata["generation"], _now())
        if status != old:
            await self._applier.status(self._reference, old, status)
            told = already_told(old.get("conditions", []), _now())
            await self._applier.tell(self._reference, due_events(told, status["conditions"][:1], _now()))

    def _note_references(self, body: Mapping[str, Any]) -> None:
        """Notes which Secrets and ConfigMaps this object depends on."""
        spec = body["spec"]
        self.secrets = frozenset({spec["twilio"]["credentialsSecretRef"]["name"], spec["model"]["apiKeySecretRef"]["name"]})
        source = (spec["prompt"].get("instructionsFrom") or {}).get("configMapKeyRef")
        authorities = ((spec.get("network") or {}).get("caBundle") or {}).get("configMapKeyRef")
        self.config_maps = frozenset(one["name"] for one in (source, authorities) if one)

    def _ask_twilio(self, seen: Observed) -> Observed:
        """Says what is desired at Twilio. Returns what was observed, with what is known of Twilio; never waits for it."""
        desired = desired_at_twilio(seen, self._neighbours(), self._settings.grace_seconds)
        found = self._twilio.set_desired(desired, recorded(seen.status, seen.generation), seen.generation)
        if sync_is_reported_gone(seen):
            self._twilio.mark_stale()
        return replace(seen, twilio=found)

    async def _finish_pass(self, seen: Observed, *, anew: bool) -> float:
        """Plans, applies, reports. Returns the seconds until the next pass."""
        self._endpoint.advance(seen)
        seen = replace(seen, endpoint=self._endpoint.found, apply_error=self._apply_error, scaling=self._scaling, spending=self._spending)
        seen = self._ask_twilio(seen)
        for text in self._twilio.take_drift():
            await self._applier.event(seen.owner.reference, "RepairedAtTwilio", "Twilio", text)
        plan = make_plan(seen, _now())
        if plan.decided:  # recorded first: whoever goes on from here must not decide again
            status = {**seen.status, "prompt": plan.status["prompt"]}
            await self._applier.status(seen.owner.reference, seen.status, status)
            seen = replace(seen, status=status)
            for told in plan.news:
                self._log.info("roll-out of the prompt", step=told.reason)
                self._metrics.canary(self.namespace, self.name, told.reason)
                await self._applier.event(seen.owner.reference, told.reason, "Rollout", told.text, warning=told.warning)
        for told in plan.scale_news:
            self._log.info("relays follow calls", step=told.reason, text=told.text)
            await self._applier.event(seen.owner.reference, told.reason, "Relays", told.text, warning=told.warning)
        scaled = (plan.scaling and plan.scaling.replicas) != (self._scaling and self._scaling.replicas)
        self._scaling, self._spending = plan.scaling, plan.spending
        self._metrics.limits_used(self.namespace, self.name, plan.used)
        if (anew or plan.decided or scaled) and not seen.owner.spec.paused:
            error = await self._applier.objects(seen, plan, self._written)
            if error != self._apply_error:
                self._apply_error = error
                if error:
                    self._log.warning("the cluster refused objects", error=error)
                plan = make_plan(replace(seen, apply_error=error, scaling=self._scaling, spending=self._spending), _now())
        if not seen.owner.spec.paused:
            seen = await self._applier.pods(seen, plan, self._written)
            seen = await self._applier.vanished(seen, self._written)
        await self._applier.tell_of_nowhere(seen, self._written)
        self._seen = await self._applier.report(seen, plan, self._written)
        self._settled = self._leaves_nothing(plan, self._seen)
        self._measure_rollout(plan, seen)
        failed = bool(self._apply_error) and (anew or plan.decided or scaled)
        if failed:
            self._observed_at = float("-inf")
        return self._until_next(seen, rolling=plan.rolling, apply_failed=failed)

    def _until_next(self, seen: Observed, *, rolling: bool, apply_failed: bool) -> float:
        steady, objects = self._steady, self._objects()
        pause = until_next_pass(
            seen,
            self._resync,
            rolling=rolling,
            apply_failed=apply_failed,
            steady=steady,
            objects=objects,
            rolled_at_once=self._rolled_at_once() if rolling else 1,
        )
        pause = pause * random.uniform(SPREAD, 1.0) if steady else pause  # noqa: S311 - no secret
        pause = min(pause, max(POLL_SECONDS, self._event_due_at - time.monotonic())) if self._settled else pause
        self._ask_at = time.monotonic() + pause
        return pause

    def _leaves_nothing(self, plan: Plan, seen: Observed) -> bool:
        """Whether nothing is put off: a status, annotations of pods, events, a look at Twilio."""
        if plan.rolling or plan.pods or self._apply_error or plan.status != seen.status or sync_is_reported_gone(seen):
            return False
        if vanished_pods(seen):  # they could not be written
            return False
        if self._scaling is not None and self._scaling.fewer_at_most:  # fewer relays come with time
            return False
        progress = from_status(seen.status.get("prompt") or {})
        if progress is not None and progress.canary:  # its next step comes with time
            return False
        self._event_due_at = time.monotonic() + until_event(self._written.told or {}, known_conditions(seen.status["conditions"]), _now())
        return True

    def _measure_rollout(self, plan: Plan, seen: Observed) -> None:
        now = time.monotonic()
        if plan.rolling:
            self._rolling_since = self._rolling_since or now
        elif self._rolling_since is not None:
            if plan.config is not None and current_pods(seen):
                self._metrics.rolled_out(self.namespace, self.name, now - self._rolling_since)
                self._log.info("rolled out", revision=plan.config.config_revision, seconds=round(now - self._rolling_since, 2))
            self._rolling_since = None


def _by_people(body: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What changes with everything in a VoiceAssist but its status."""
    return mark_of(body), list(body["metadata"].get("finalizers") or [])


def _answered(pod: PodFact, answer: RelayAnswer) -> PodFact:
    """The same pod, where its relay says what it said."""
    same = (pod.unreadable, pod.late) == (answer.unreadable, answer.late) and (pod.status is answer.status or pod.status == answer.status)
    return pod if same else replace(pod, status=answer.status, unreadable=answer.unreadable, late=answer.late)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
