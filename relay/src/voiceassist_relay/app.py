"""Puts the relay together: one process, two ports, and the order in which its parts begin and end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

import aiohttp
import structlog
from fastapi import FastAPI

from voiceassist_crds.config import ModelConfig, Prompt, RelayConfig, is_loopback
from voiceassist_crds.messages import CallDocument

from .call.background import Background
from .call.bridge import CallBridge
from .call.dependencies import FunctionDependencies
from .call.drain import Drain
from .call.peer_relays import peer_router
from .call.registry import Registry
from .call.silent_streams import SilentStreams
from .call.total_limits import TotalLimits
from .call.unreached_relays import UnreachedRelays
from .config.snapshot import Snapshot
from .config.watch import ConfigWatch, Guard
from .egress import Egress
from .functions.endpoints import install_json_errors
from .functions.router import Functions
from .health.endpoints import PrivateEndpoints, log_router, watch_loop_delay
from .health.model_check import check_model, model_relevant, try_model
from .health.model_trial import ModelTrial
from .health.peer_check import PeerCheck
from .health.public_endpoints import PublicEndpoints
from .health.relay_check import RelayCheck
from .health.sync_check import check_sync, sync_relevant
from .interfaces import MediaConnection, ModelListener, StreamStart
from .log_writer import LogWriter
from .logs import call_hash
from .media.connection import media_protocol
from .metrics.relay_metrics import RelayMetrics
from .peer_health import PeerHealth
from .public_address import PublicAddress
from .realtime.core.trial import Found
from .realtime.model_client import ModelClient
from .realtime.providers import is_format_chosen, provider_of
from .server.addresses import advertised, bind, reached_at
from .server.gathering_loop import GatheringLoop
from .server.uvicorn_server import UvicornServer, server_config
from .sync.call_objects import Owner, Take
from .sync.client import SyncClient
from .sync.health import SyncHealth
from .sync.publisher import CallPublisher
from .twilio import access_tokens
from .twilio.rest import TwilioRest

FUNCTIONS_GRACE = 5.0
TRIAL_PATIENCE = 20.0
"""Seconds for the end of the turn and for the answer in a conversation with the model that nobody waits for."""

log = structlog.get_logger("voiceassist.relay")


class Relay:
    """The parts of one process, built in the order in which they need each other."""

    def __init__(self, options: argparse.Namespace, guard: Guard, http: aiohttp.ClientSession, advertise: str, loop: GatheringLoop) -> None:
        """Raises ConfigRefused."""
        self.metrics = RelayMetrics()
        self.watch = ConfigWatch(options.config, options.secrets, self.metrics, guard, options.ca_bundle)
        current = self.watch.current
        self._advertise = advertise
        self.model_health, self.sync_health = PeerHealth(time.time()), PeerHealth(time.time())
        self.agent_health = PeerHealth(time.time())
        self._egress = Egress(current, os.environ)
        self.rest = TwilioRest(current, self.metrics, egress=self._egress)
        watch = SyncHealth(self.sync_health, time.time)
        self._sync = SyncClient(self.rest, current, watch=watch, on_foreign=self.metrics.foreign_object)
        self.registry = Registry(self._begin, self.metrics, lambda: current().config.limits.max_calls)
        self.limits = TotalLimits(current, self.registry, self.metrics)
        self.background = Background()
        self.unreached = UnreachedRelays()
        address = PublicAddress()
        self.deps = FunctionDependencies(
            current,
            self.rest,
            self._sync,
            self.registry,
            self.metrics,
            self.background,
            http,
            address=advertise,
            peer_port=None if _is_local(advertise) else int(advertise.rpartition(":")[2]),
            unreached=self.unreached,
            public_address=address,
            limit=self.limits,
        )
        self.functions = Functions(self.deps)
        self.drain = Drain(self.registry, self.metrics, lambda: current().config.limits, self.functions.moves)
        self._trial = ModelTrial(
            current, self._check_model, self._try_model, self.metrics, self.model_health, spent=self.limits.spent_outside_calls
        )
        self.watching = PrivateEndpoints(
            self.watch,
            self.registry,
            self.drain,
            self.metrics,
            self.model_health,
            self.sync_health,
            self.unreached,
            address,
            options.metrics_seconds,
            self.agent_health,
            self.deps.free_places,
            lambda: self._trial.told,
            self.functions.others,
            self.limits,
        )
        self.relay_check = RelayCheck(self.unreached, http, time.monotonic, self.deps.timing.peer_seconds)
        self.checks = (
            PeerCheck("model", self.model_health, model_relevant, self._trial.ask, self._trial.further, lambda: self._trial.open),
            PeerCheck("sync", self.sync_health, sync_relevant, lambda: check_sync(self.rest, current)),
        )
        for check in self.checks:
            self.watch.on_change(check.changed)
        self.watch.on_change(self._changed)
        self.watching.refresh()
        self._loop = loop
        loop.on_pause = self.metrics.paused
        self._gather()
        _warn_of_guesses(current().config.model)

    def _gather(self) -> None:
        self._loop.gather(self.watch.current().config.limits.gather_ms / 1000)

    async def _check_model(self) -> None:
        await check_model(self.watch.current(), self._egress.tls(), self._egress.proxies())

    async def _try_model(self, snapshot: Snapshot, on_found: Callable[[Found], None]) -> list[Found]:
        return await try_model(snapshot, self._egress.tls(), self._egress.proxies(), patience=TRIAL_PATIENCE, on_found=on_found)

    def _changed(self, old: Snapshot, new: Snapshot) -> None:
        if model_relevant(old) != model_relevant(new):
            self.agent_health.changed(time.time())
            _warn_of_guesses(new.config.model)
        self.limits.use(new.config)
        self.registry.use(new.config)
        self.watching.refresh()
        self._gather()

    def _begin(self, start: StreamStart, connection: MediaConnection) -> CallBridge:
        return CallBridge(
            start,
            connection,
            self.watch.current().config,
            make_model_client=self._model_client,
            make_publisher=self._publisher,
            start_again=self.functions.stream_cut,
            metrics=self.metrics,
            model_health=self.model_health,
            agent_health=self.agent_health,
            loop_time=time.monotonic,
            epoch=time.time,
            ask_for_call=self.functions.moves.take,
        )

    def _model_client(
        self, start: StreamStart, config: RelayConfig, prompt: Prompt, listener: ModelListener, metrics: RelayMetrics
    ) -> ModelClient:
        return ModelClient(
            config=config,
            prompt=prompt,
            key=lambda: self.watch.current().secrets.model_key,
            headers=lambda: self.watch.current().secrets.model_headers,
            purse=self.limits,
            listener=listener,
            metrics=metrics,
            call_hash=call_hash(start.call_sid),
            tls=self._egress.tls,
            proxies=self._egress.proxies,
        )

    def _publisher(
        self,
        start: StreamStart,
        prompt: Prompt,
        metrics: RelayMetrics,
        superseded: Callable[[str], None],
        opened: Callable[[CallDocument], None],
        take: Take,
    ) -> CallPublisher:
        owner = Owner(start.call_sid, start.claims.generation, self._advertise, start.stream_sid, prompt.revision)
        return CallPublisher(self._sync, self.watch.current, metrics, owner, superseded, opened=opened, take=take)

    def public_app(self) -> FastAPI:
        """The public port's routes; the websocket goes past it."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        install_json_errors(app)
        app.include_router(self.functions.router())
        ready = PublicEndpoints(lambda: not self.watching.not_ready_reasons(), self.watch.current, self.metrics)
        app.include_router(ready.router())
        return app

    def private_app(self, log_lines: Callable[[], list[str]]) -> FastAPI:
        """The private port's routes. `log_lines`: the newest ones."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        install_json_errors(app)
        app.include_router(self.watching.router())
        app.include_router(self.functions.watch.router())
        app.include_router(self.functions.moves.router())
        app.include_router(peer_router(self.deps))
        app.include_router(log_router(log_lines))
        return app


def _warn_of_guesses(model: ModelConfig) -> None:
    if not is_format_chosen(model):
        sent = provider_of(model).audio_format(model).value
        log.warning("audio_format_not_chosen", sent=sent, way_out="set model.audioFormat; voiceassist-relay --check finds what is taken")


def _is_local(address: str) -> bool:
    """Whether an address with a port leads to this machine alone: a relay on a developer's machine."""
    return is_loopback(address.rpartition(":")[0].strip("[]"))


@contextlib.asynccontextmanager
async def _running(*servers: tuple[UvicornServer, object]) -> AsyncIterator[None]:
    """Serves while the body runs; the servers end together, after it."""
    tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]  # type: ignore[list-item]
    try:
        yield
    finally:
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve(options: argparse.Namespace, guard: Guard, logs: LogWriter) -> None:
    """Runs a relay until it is drained. Raises ConfigRefused or OSError (a port that cannot be had) before anything is served.

    To be run by a GatheringLoop. Says on standard output, as one JSON line, where it listens.
    """
    loop = cast(GatheringLoop, asyncio.get_running_loop())
    public = bind(options.host, options.port)
    private = bind(options.metrics_host or options.host, options.metrics_port)
    ports = {"public": public.getsockname()[1], "private": private.getsockname()[1]}
    advertise = options.advertise or advertised(os.environ.get("POD_IP") or reached_at(private), ports["private"])
    async with aiohttp.ClientSession(trust_env=False) as http:
        relay = Relay(options, guard, http, advertise, loop)
        logs.on_dropped = lambda lines: relay.metrics.dropped("log", lines)
        media = media_protocol(relay.watch.current, relay.registry, relay.metrics, came=loop.frame)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, relay.drain.ask)
        background = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("config", relay.watch.run()),
                ("delay", watch_loop_delay(relay.metrics.loop_delay, loop.meant)),
                ("limits", relay.limits.run()),
                ("relays", relay.relay_check.run()),
                ("gone relays", relay.functions.watch.run()),
                ("silent streams", SilentStreams(relay.registry, loop.time).run()),
                *((f"check{n}", check.run()) for n, check in enumerate(relay.checks)),
            )
        ]
        servers = (
            (UvicornServer(server_config(relay.public_app(), media=media, on_refused=relay.metrics.http_refused)), public),
            (UvicornServer(server_config(relay.private_app(lambda: list(logs.last)), on_refused=relay.metrics.http_refused)), private),
        )
        async with _running(*servers):
            gc.collect()
            gc.freeze()  # what is there by now stays: the collector would look through it again and again, and hold up every call
            gc.collect()  # it waits for a quarter more than it last kept: now nothing
            gc.set_threshold(4000, 5, 2)  # a full pass after some 50,000 objects, 90 calls: what ended calls leave in cycles goes soon
            print(json.dumps({"listening": ports}), flush=True)  # noqa: T201 - for whoever started us
            config = relay.watch.current().config
            log.info(
                "relay up",
                voiceassist=f"{config.namespace}/{config.name}",
                public=ports["public"],
                private=ports["private"],
                host=config.host,
                revision=config.config_revision,
            )
            loaded = loop.run_in_executor(None, access_tokens.load)
            await relay.drain.run()
            await loaded
            await relay.functions.aclose()
            await relay.background.aclose(FUNCTIONS_GRACE)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await relay.rest.aclose()
    log.info("relay down")
