"""The straight line: observe, plan, apply, report; the same for every cause. One keeper per object decides only when."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from voiceassist_crds.errors import ContractError
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_crds.status import PeerReason

from ..errors import NotLeading, OperatorError, Retryable
from ..kubernetes.client import VOICEASSIST
from ..metrics import OperatorMetrics
from ..policy.condition import Condition, changed
from ..policy.conditions import CREDENTIALS, current_pods
from ..policy.observed import EndpointFact, Observed
from ..policy.plan import RESYNC_SECONDS, Plan, leaving, make_plan, status_with, unreadable
from ..policy.resources.metadata import Reference
from ..twilio.cleanup import TwilioLeaving
from ..twilio.client import TwilioPool
from ..twilio.model.desired import Neighbours, TwilioWanted, memory_of, twilio_wanted
from ..twilio.model.functions import GRACE_SECONDS
from ..twilio.model.schedule import LET_GO_SECONDS as TWILIO_LET_GO_SECONDS
from ..twilio.model.schedule import RESYNC_SECONDS as TWILIO_RESYNC_SECONDS
from ..twilio.worker import TwilioKeeper
from .apply import Applier, Written
from .endpoint_probe import probe_endpoint
from .finalizer import Farewell, hold_on
from .observe import Surroundings, observe

POLL_SECONDS = 5.0
ROLLING_SECONDS = 0.25
LET_GO_SECONDS = 2.0
RETRY_SECONDS = 5.0
PROBE_SECONDS = 30.0
PROBE_BAD_SECONDS = 5.0

log = structlog.get_logger("voiceassist.reconcile")


@dataclass(frozen=True, slots=True)
class TwilioSide:
    """How the operator keeps objects' Twilio accounts."""

    pool: TwilioPool
    resync_seconds: float = TWILIO_RESYNC_SECONDS
    let_go_seconds: float = TWILIO_LET_GO_SECONDS
    """How long an object that is being deleted waits for Twilio when its relays are gone."""
    grace_seconds: float = GRACE_SECONDS
    """How long functions that are no longer wanted go on."""


@dataclass(frozen=True, slots=True)
class Dialling:
    """How the operator dials public addresses."""

    tls: ssl.SSLContext
    port: int = 443


class _Gone(Exception):
    """The object is not there any more."""


class Keeper:
    """Keeps one VoiceAssist as it is described, until it is gone."""

    def __init__(
        self,
        uid: str,
        name: str,
        namespace: str,
        around: Surroundings,
        applier: Applier,
        metrics: OperatorMetrics,
        dialling: Dialling,
        twilio: TwilioSide,
        rival: Callable[[], str],
        neighbours: Callable[[], Neighbours],
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self.uid, self.name, self.namespace = uid, name, namespace
        self.secrets: frozenset[str] = frozenset()
        self.config_maps: frozenset[str] = frozenset()
        self._around, self._applier, self._metrics, self._dialling = around, applier, metrics, dialling
        self._rival, self._neighbours, self._resync = rival, neighbours, resync_seconds
        self._side = twilio
        self._wake = asyncio.Event()
        self._stale = True
        self._seen: Observed | None = None
        self._observed_at = float("-inf")
        self._written = Written()
        self._endpoint: EndpointFact | None = None
        self._dial: asyncio.Task[EndpointFact | None] | None = None
        self._dialled = float("-inf")
        self._trouble = ""
        self._rolling_since: float | None = None
        self._log = log.bind(namespace=namespace, name=name)
        self._twilio = TwilioKeeper(around.cluster, twilio.pool, namespace, name, twilio.resync_seconds, self.wake)
        self._leaving: TwilioLeaving | None = None
        self._farewell: Farewell | None = None

    def wake(self) -> None:
        """Something happened that this object depends on."""
        self._stale = True
        self._wake.set()

    async def run(self) -> None:
        """Reconciles on every wake-up and every minute, and asks the relays in between; returns when the object is gone."""
        try:
            pause: float | None = 0.0
            while pause is not None:
                await self._pause(pause)
                pause = await self._pass()
        finally:
            if self._dial is not None:
                self._dial.cancel()
            self._twilio.cancel()
            if self._leaving is not None:
                self._leaving.cancel()
            self._metrics.forget(self.namespace, self.name)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _pass(self) -> float | None:
        """One pass over what is there. Gives seconds until the next one, None when the object is gone."""
        fresh = self._stale or self._seen is None or time.monotonic() - self._observed_at >= self._resync
        self._stale = False
        self._wake.clear()
        begin, outcome, pause = time.monotonic(), "ok", RETRY_SECONDS
        try:
            pause = await (self._fresh_pass() if fresh else self._poll_pass())
        except NotLeading:
            outcome, self._seen = "not_leading", None  # all is looked at again, should we lead on
        except _Gone:
            return None
        except OperatorError as error:
            outcome, self._seen = "retry", None
            pause = error.delay if isinstance(error, Retryable) else RETRY_SECONDS
            self._log.warning("reconcile failed, tried again", error=str(error), seconds=pause)
        except ContractError as error:
            outcome, pause = "refused", self._resync
            self._log.error("the object cannot be read", problems=error.problems)
        except Exception:  # a defect of ours must not end the keeping of this object, nor of others
            outcome, self._seen = "error", None
            self._log.exception("reconcile failed by a defect, tried again")
        if fresh or outcome != "ok":
            self._metrics.reconciled(outcome, time.monotonic() - begin)
        return pause

    async def _fresh_pass(self) -> float:
        body = await self._around.cluster.get(VOICEASSIST, self.name, self.namespace)
        if body is None or body["metadata"]["uid"] != self.uid:
            raise _Gone
        if "deletionTimestamp" in body["metadata"]:
            return await self._leave(body)
        await hold_on(self._around.cluster, body)
        self._refer(body)
        try:
            self._seen = await observe(self._around, body, self._rival(), self._endpoint, self._trouble)
        except ContractError as error:
            await self._say(body, unreadable(error.problems))
            raise
        self._observed_at = time.monotonic()
        return await self._once(self._seen, fresh=True)

    async def _leave(self, body: Mapping[str, Any]) -> float:
        """The next step of a deletion."""
        if self._farewell is None:
            memory = memory_of(body.get("status") or {}, body["metadata"]["generation"])
            self._leaving = TwilioLeaving(
                self._around.cluster,
                self._side.pool,
                self._twilio,
                self.namespace,
                self.name,
                self._wanted_at_last(body),
                memory,
                self.wake,
            )
            self._farewell = Farewell(self._around.cluster, self._applier, self._leaving, self._side.let_go_seconds)
        waits_for = await self._farewell.step(body, Reference(self.namespace, self.name, self.uid))
        if not waits_for:
            self._log.info("let go")
            raise _Gone
        await self._say(body, leaving(waits_for))
        self._log.info("being deleted", waits_for=waits_for)
        return LET_GO_SECONDS

    def _wanted_at_last(self, body: Mapping[str, Any]) -> TwilioWanted | None:
        """What an object that goes had wanted of Twilio; None where Twilio may not be asked for it."""
        try:
            spec = VoiceAssistSpec.read(body["spec"])
        except ContractError:
            return None
        if spec.twilio.api_url and not self._around.custom_endpoints:
            return None
        return twilio_wanted(self.namespace, self.name, self.uid, body["metadata"]["creationTimestamp"], spec, "", Neighbours())

    def _wanted_now(self, seen: Observed) -> TwilioWanted | None:
        """What an object wants of Twilio; None while nothing may be asked there."""
        owner, secret = seen.owner, seen.credentials
        if owner.spec.paused or seen.rival or (owner.spec.twilio.api_url and not seen.custom_endpoints):
            return None
        if not secret.found or CREDENTIALS - secret.keys:
            return None
        grace = self._side.grace_seconds
        return twilio_wanted(owner.namespace, owner.name, owner.uid, seen.created, owner.spec, secret.version, self._neighbours(), grace)

    def _ask_twilio(self, seen: Observed) -> Observed:
        """Tells the keeper of the Twilio side what is wanted, and takes what it knows; never waits for it."""
        fact = self._twilio.want(self._wanted_now(seen), memory_of(seen.status, seen.generation), seen.generation)
        told = [pod.status.sync for pod in current_pods(seen) if pod.status is not None]
        if any(one.reason is PeerReason.MISCONFIGURED for one in told):
            self._twilio.doubt()
        return replace(seen, twilio=fact)

    async def _say(self, body: Mapping[str, Any], ready: Condition) -> None:
        """Writes Ready alone: of an object of which no more can be said."""
        self._seen, metadata, old = None, body["metadata"], dict(body.get("status") or {})
        status = status_with(old, ready, metadata["generation"], _now())
        if status != old:
            events = changed(old.get("conditions", []), status["conditions"])
            await self._applier.status(Reference(self.namespace, self.name, self.uid), old, status, events)

    async def _poll_pass(self) -> float:
        assert self._seen is not None  # noqa: S101 - else the pass would be a fresh one
        return await self._once(await self._ask_relays(self._seen), fresh=False)

    def _refer(self, body: Mapping[str, Any]) -> None:
        """Which Secrets and ConfigMaps this object depends on."""
        spec = body["spec"]
        self.secrets = frozenset({spec["twilio"]["credentialsSecretRef"]["name"], spec["model"]["apiKeySecretRef"]["name"]})
        source = (spec["prompt"].get("instructionsFrom") or {}).get("configMapKeyRef")
        self.config_maps = frozenset({source["name"]} if source else ())

    async def _ask_relays(self, seen: Observed) -> Observed:
        answers = await self._around.poller.ask_all([(pod.name, pod.ip) for pod in seen.pods])
        return replace(seen, pods=tuple(replace(pod, status=answers.get(pod.name)) for pod in seen.pods))

    async def _once(self, seen: Observed, *, fresh: bool) -> float:
        """Plan, apply, report. Gives seconds until the relays are asked again."""
        self._look_at_endpoint(seen)
        seen = self._ask_twilio(replace(seen, endpoint=self._endpoint, trouble=self._trouble))
        for text in self._twilio.take_drift():
            await self._applier.note(seen.owner.reference, "RepairedAtTwilio", "Twilio", text)
        plan = make_plan(seen, _now())
        if fresh and not seen.owner.spec.paused:
            trouble = await self._applier.objects(seen, plan, self._written)
            if trouble != self._trouble:
                self._trouble = trouble
                if trouble:
                    self._log.warning("the cluster refused objects", trouble=trouble)
                plan = make_plan(replace(seen, trouble=trouble), _now())
        if not seen.owner.spec.paused:
            seen = await self._applier.pods(seen, plan, self._written)
        self._seen = await self._applier.report(seen, plan, self._written)
        self._note_rollout(plan, seen)
        if self._trouble and fresh:
            self._observed_at = float("-inf")
            return RETRY_SECONDS
        answering = any(pod.status is not None for pod in current_pods(seen))
        return ROLLING_SECONDS if plan.rolling and answering else min(POLL_SECONDS, self._resync)

    def _note_rollout(self, plan: Plan, seen: Observed) -> None:
        now = time.monotonic()
        if plan.rolling:
            self._rolling_since = self._rolling_since or now
        elif self._rolling_since is not None:
            if plan.config is not None and current_pods(seen):
                self._metrics.rolled_out(self.namespace, self.name, now - self._rolling_since)
                self._log.info("rolled out", revision=plan.config.config_revision, seconds=round(now - self._rolling_since, 2))
            self._rolling_since = None

    def _look_at_endpoint(self, seen: Observed) -> None:
        """Takes the last dial's result, and dials again when it is time; never waits for it."""
        if self._dial is not None and self._dial.done():
            found = None if self._dial.cancelled() or self._dial.exception() else self._dial.result()
            self._endpoint = found or self._endpoint
            self._dial = None
        every = PROBE_SECONDS if self._endpoint is not None and self._endpoint.result == "ok" else PROBE_BAD_SECONDS
        if self._dial is None and time.monotonic() - self._dialled >= every and seen.credentials.found:
            self._dialled = time.monotonic()
            self._dial = asyncio.get_running_loop().create_task(self._dial_once(seen))
            self._dial.add_done_callback(lambda _: self._wake.set())  # a pass takes the result; nothing else is observed anew

    async def _dial_once(self, seen: Observed) -> EndpointFact | None:
        spec = seen.owner.spec
        secret = await self._around.cluster.get(("v1", "Secret"), spec.twilio.credentials_secret_ref.name, self.namespace)
        token = base64.b64decode((secret or {}).get("data", {}).get("authToken", "")).decode().strip()
        if not token:
            return None
        return await probe_endpoint(spec.host, spec.path_prefix, token, self._dialling.tls, self._dialling.port)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
