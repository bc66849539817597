"""The straight line: observe, plan, apply, report; the same for every cause. One keeper per object decides only when."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from voiceassist_crds.errors import ContractError

from .apply import Applier, Written
from .cluster import VOICEASSIST
from .conditions import current_pods
from .endpoint_probe import probe_endpoint
from .errors import NotLeading, OperatorError
from .facts import EndpointFact, Observed
from .metrics import OperatorMetrics
from .observe import Surroundings, observe
from .plan import make_plan

POLL_SECONDS = 5.0
ROLLING_SECONDS = 0.25
RESYNC_SECONDS = 60.0
PROBE_SECONDS = 30.0
PROBE_BAD_SECONDS = 5.0

log = structlog.get_logger("voiceassist.reconcile")


@dataclass(frozen=True, slots=True)
class Dialling:
    """How the operator dials public addresses."""

    tls: ssl.SSLContext
    port: int = 443


class Keeper:
    """Keeps one VoiceAssist as it is described, until it is stopped."""

    def __init__(
        self, name: str, namespace: str, around: Surroundings, applier: Applier, metrics: OperatorMetrics, dialling: Dialling
    ) -> None:
        self.name, self.namespace = name, namespace
        self.secrets: frozenset[str] = frozenset()
        self.config_maps: frozenset[str] = frozenset()
        self._around, self._applier, self._metrics, self._dialling = around, applier, metrics, dialling
        self._wake = asyncio.Event()
        self._seen: Observed | None = None
        self._written = Written()
        self._endpoint: EndpointFact | None = None
        self._dial: asyncio.Task[EndpointFact | None] | None = None
        self._dialled = float("-inf")
        self._trouble = ""
        self._rolling_since: float | None = None
        self._log = log.bind(namespace=namespace, name=name)

    def wake(self) -> None:
        """Something happened that this object depends on."""
        self._wake.set()

    async def run(self) -> None:
        """Reconciles on every wake-up and every minute, and asks the relays in between; returns when the object is gone."""
        observed_at = float("-inf")
        try:
            while True:
                woken = self._wake.is_set()
                self._wake.clear()
                fresh = woken or self._seen is None or time.monotonic() - observed_at >= RESYNC_SECONDS
                begin, outcome, rolling = time.monotonic(), "ok", False
                try:
                    if fresh:
                        if not await self._observe():
                            return
                        observed_at = time.monotonic()
                    elif self._seen is not None:
                        self._seen = await self._ask_relays(self._seen)
                    rolling = await self._once(fresh)
                except NotLeading:
                    outcome = "not_leading"
                except OperatorError as error:
                    outcome = "retry"
                    self._seen = None
                    self._log.warning("reconcile failed, tried again", error=str(error))
                except ContractError as error:
                    outcome = "refused"
                    self._log.error("the object cannot be read", problems=error.problems)
                if fresh or outcome != "ok":
                    self._metrics.reconciled(outcome, time.monotonic() - begin)
                await self._pause(ROLLING_SECONDS if rolling else POLL_SECONDS)
        finally:
            if self._dial is not None:
                self._dial.cancel()
            self._metrics.forget(self.namespace, self.name)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _observe(self) -> bool:
        body = await self._around.cluster.get(VOICEASSIST, self.name, self.namespace)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return False
        self._refer(body)
        self._seen = await observe(self._around, body, self._endpoint, self._trouble)
        return True

    def _refer(self, body: Mapping[str, Any]) -> None:
        """Which Secrets and ConfigMaps this object depends on."""
        spec = body["spec"]
        self.secrets = frozenset({spec["twilio"]["credentialsSecretRef"]["name"], spec["model"]["apiKeySecretRef"]["name"]})
        source = (spec["prompt"].get("instructionsFrom") or {}).get("configMapKeyRef")
        self.config_maps = frozenset({source["name"]} if source else ())

    async def _ask_relays(self, seen: Observed) -> Observed:
        reachable = [pod for pod in seen.pods if pod.ip]
        answers = dict(zip((pod.name for pod in reachable), await self._around.poller.ask_all([p.ip for p in reachable]), strict=True))
        return replace(seen, pods=tuple(replace(pod, status=answers.get(pod.name)) for pod in seen.pods))

    async def _once(self, fresh: bool) -> bool:
        """Plan, apply, report. Tells whether a configuration is on its way."""
        assert self._seen is not None  # noqa: S101 - `run` observed
        self._look_at_endpoint(self._seen)
        seen = replace(self._seen, endpoint=self._endpoint, trouble=self._trouble)
        plan = make_plan(seen, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if fresh and not seen.owner.spec.paused:
            trouble = await self._applier.objects(seen, plan, self._written)
            if trouble != self._trouble:
                self._trouble = trouble
                plan = make_plan(replace(seen, trouble=trouble), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if not seen.owner.spec.paused:
            seen = await self._applier.pods(seen, plan, self._written)
        self._seen = await self._applier.report(seen, plan, self._written)
        self._note_rollout(plan.rolling)
        return plan.rolling and any(pod.status is not None for pod in current_pods(seen))

    def _note_rollout(self, rolling: bool) -> None:
        now = time.monotonic()
        if rolling and self._rolling_since is None:
            self._rolling_since = now
        elif not rolling and self._rolling_since is not None:
            self._metrics.rolled_out(now - self._rolling_since)
            self._log.info("rolled out", seconds=round(now - self._rolling_since, 2))
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
            self._dial.add_done_callback(lambda _: self._wake_softly())

    def _wake_softly(self) -> None:
        """A dial ended: its result is taken at the next poll, at once while the object is not ready."""
        if self._endpoint is None or self._endpoint.result != "ok":
            self._wake.set()

    async def _dial_once(self, seen: Observed) -> EndpointFact | None:
        spec = seen.owner.spec
        secret = await self._around.cluster.get(("v1", "Secret"), spec.twilio.credentials_secret_ref.name, self.namespace)
        token = base64.b64decode((secret or {}).get("data", {}).get("authToken", "")).decode().strip()
        if not token:
            return None
        return await probe_endpoint(spec.host, spec.path_prefix, token, self._dialling.tls, self._dialling.port)
