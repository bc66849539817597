"""What is watched on the private port: /metrics, /healthz, /readyz with reasons, /status for the operator."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from voiceassist_crds import __version__
from voiceassist_crds.config import ModelConfig
from voiceassist_crds.endpoint_report import ENDPOINT_HEADER, EndpointReport
from voiceassist_crds.names import LIMITS_HEADER, PLACES_HEADER, RELAYS_HEADER
from voiceassist_crds.status import PeerReason, RelayStatus

from ..call.bridge import CallBridge
from ..call.drain import Drain
from ..call.gone_relays import MOST, OtherRelays
from ..call.registry import Registry
from ..call.total_limits import TotalLimits
from ..call.unreached_relays import UnreachedRelays
from ..config.watch import ConfigWatch
from ..free_places import FreePlaces
from ..metrics.relay_metrics import RelayMetrics
from ..metrics.scrapes import SECONDS, Scrapes, TooMany
from ..peer_health import PeerHealth
from ..public_address import PublicAddress
from ..realtime.providers import is_format_chosen, provider_of
from ..realtime.providers.deprecations import retiring
from ..report import LOG_PATH


def log_router(lines: Callable[[], list[str]]) -> APIRouter:
    """/log: the last log lines, for `voiceassist-relay --report` in the same pod, and for nobody else."""
    router = APIRouter()

    @router.get(LOG_PATH)
    async def log(request: Request) -> Response:
        peer = ipaddress.ip_address(request.client.host) if request.client is not None else None
        near = peer is not None and (peer.is_loopback or (isinstance(peer, ipaddress.IPv6Address) and is_mapped_loopback(peer)))
        if not near:
            return Response("not found\n", HTTPStatus.NOT_FOUND, media_type="text/plain")
        return Response("".join(lines()), media_type="text/plain")

    return router


def is_mapped_loopback(peer: ipaddress.IPv6Address) -> bool:
    """Whether it is IPv4's loopback, as a socket of both families has it."""
    return peer.ipv4_mapped is not None and peer.ipv4_mapped.is_loopback


class PrivateEndpoints:
    """Answers questions about this process."""

    def __init__(
        self,
        watch: ConfigWatch,
        registry: Registry,
        drain: Drain,
        metrics: RelayMetrics,
        model: PeerHealth,
        sync: PeerHealth,
        unreached: UnreachedRelays,
        address: PublicAddress,
        metrics_seconds: float = SECONDS,
        agent_track: PeerHealth | None = None,
        places: FreePlaces | None = None,
        model_trial: Callable[[], str] = str,
        others: OtherRelays | None = None,
        limits: TotalLimits | None = None,
    ) -> None:
        """`metrics_seconds`: how long a rendering of /metrics stands."""
        self._watch, self._registry, self._drain, self._metrics = watch, registry, drain, metrics
        self._model, self._sync, self._unreached, self._address = model, sync, unreached, address
        self._agent_track = agent_track or PeerHealth(0)
        self._places = places or FreePlaces()
        self._model_trial = model_trial
        self._others = others or OtherRelays("")
        self._limits = limits
        self._scrapes = Scrapes(self._rendered, metrics_seconds)
        self._pod = os.environ.get("POD_NAME") or socket.gethostname()

    def not_ready_reasons(self) -> list[str]:
        """Why no new call should come here; empty when ready. The clouds' state is no reason: see /status."""
        reasons = []
        if self._drain.draining:
            reasons.append("draining: this relay ends when its calls are over")
        if self._registry.full:
            reasons.append(f"full: {len(self._registry)} calls")
        return reasons

    def status(self) -> RelayStatus:
        """The whole state, for the operator."""
        snapshot = self._watch.current()
        calls = Counter({prompt.revision: 0 for prompt in snapshot.config.prompts})
        calls.update(bridge.revision for bridge in self._registry if isinstance(bridge, CallBridge))
        reasons = self.not_ready_reasons()
        return RelayStatus(
            version=__version__,
            namespace=snapshot.config.namespace,
            name=snapshot.config.name,
            pod=self._pod,
            config_revision=snapshot.config.config_revision,
            config_error=self._watch.error,
            prompt_revisions=dict(calls),
            rollout=self._metrics.revisions.snapshot(),
            secrets_version=snapshot.secrets_version,
            active_calls=len(self._registry),
            max_calls=snapshot.config.limits.max_calls,
            moving_calls=self._drain.moving,
            nowhere_to_move=self._drain.nowhere_to_move,
            draining=self._drain.draining,
            ready=not reasons,
            not_ready_reasons=reasons,
            model=self._model.status,
            sync=self._sync.status,
            unreached_relays=list(self._unreached.addresses),
            silent_relays=self._others.suspected(time.monotonic())[:MOST],
            agent_track=None if self._agent_track.status.reason is PeerReason.UNKNOWN else self._agent_track.status,
            model_family=_family(snapshot.config.model),
            model_trial=self._model_trial()[:300],
            spend=None if self._limits is None else self._limits.spend,
            retiring=retiring(snapshot.config.model_names, datetime.now(UTC).date())[:10],
        )

    def refresh(self) -> None:
        """Brings the gauges, and the revisions and models in use, up to date: at start and after a swap."""
        self._refresh_gauges()
        self._refresh_labels()

    def _refresh_labels(self) -> None:
        snapshot = self._watch.current()
        config = snapshot.config
        self._metrics.revisions.use(config.rollout.id, [prompt.revision for prompt in config.prompts])
        live = [bridge for bridge in self._registry if isinstance(bridge, CallBridge)]
        self._metrics.use_revisions([*(p.revision for p in snapshot.config.prompts), *(bridge.revision for bridge in live)])
        self._metrics.use_models([*snapshot.config.model_names, *(model for bridge in live for model in bridge.models)])

    def _refresh_gauges(self) -> None:
        self._metrics.max_calls.set(self._watch.current().config.limits.max_calls)
        self._metrics.peer("model", self._model.status.ok)
        self._metrics.peer("sync", self._sync.status.ok)
        if self._agent_track.status.reason is not PeerReason.UNKNOWN:
            self._metrics.peer("agent_track", self._agent_track.status.ok)
        self._metrics.unreached_relays.set(len(self._unreached.addresses))

    def router(self) -> APIRouter:
        """The private routes."""
        router = APIRouter()

        @router.get("/healthz")
        async def healthz() -> Response:
            return Response("ok\n", media_type="text/plain")

        @router.get("/readyz")
        async def readyz() -> Response:
            reasons = self.not_ready_reasons()
            return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

        @router.get("/status")
        async def status(request: Request) -> Response:
            if (found := request.headers.get(ENDPOINT_HEADER)) is not None:
                self._address.told(EndpointReport.read(found), time.monotonic())
            if (places := request.headers.get(PLACES_HEADER)) is not None:
                self._places.told(places, time.monotonic())
            if (relays := request.headers.get(RELAYS_HEADER)) is not None:
                self._others.told(relays, time.monotonic())
            if (word := request.headers.get(LIMITS_HEADER)) is not None and self._limits is not None:
                self._limits.told(word)
            return Response(self.status().to_json(), media_type="application/json")

        @router.get("/metrics")
        async def metrics() -> Response:
            try:
                text = await self._scrapes.text()
            except TooMany:
                headers = {"Retry-After": "1"}
                return Response("too many scrapes at once\n", HTTPStatus.SERVICE_UNAVAILABLE, headers, "text/plain")
            return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

        return router

    def _rendered(self) -> Iterator[str]:
        self._refresh_gauges()
        self._metrics.tasks.set(len(asyncio.all_tasks()) - 1)  # without the one that renders
        yield from self._metrics.pieces()
        self._refresh_labels()  # only now: what ended calls counted has to be read once before its series go


def _family(model: ModelConfig) -> str:
    """With what is not chosen; the operator shows it."""
    provider = provider_of(model)
    told = provider.family(model).value + (" (guessed)" if model.family is None else "")
    return told if is_format_chosen(model) else f"{told}, {provider.audio_format(model)} not chosen"


async def watch_loop_delay(observe: Callable[[float], None], meant: Callable[[float], float] = lambda _: 0.0) -> None:
    """Measures how late a timer of 100 ms fires, until cancelled: what every call's audio waits behind.

    `meant`: how long of the time since a moment of the loop's clock the loop has paused on purpose, in seconds; that is no delay.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.1
        await asyncio.sleep(0.1)
        observe(max(0.0, loop.time() - due - meant(due)))
