"""The operator as a process: the Lease first, then kopf, watches and reconcilers, and a port for metrics and health."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import signal
import socket
import ssl
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import aiohttp
import kopf
import structlog
from aiohttp import web

from voiceassist_crds.proxies import Proxies
from voiceassist_crds.tracebacks import said

from .controller.apply import Applier
from .controller.endpoint_probe import ProbeSettings
from .controller.handlers import register, settings
from .controller.leader_election import LeaderElection
from .controller.lease_thread import LeaseThread
from .controller.observe import Dependencies
from .controller.reconciler import PASSES_AT_ONCE, Reconciler, TwilioSettings
from .controller.references import References
from .controller.relay_status import RelayPoller
from .controller.turns import Turns
from .controller.watches import OptionalKinds, Watches
from .controller.workers import Workers
from .errors import OperatorError
from .kubernetes.client import Cluster
from .kubernetes.lease import LeaseTimes
from .kubernetes.store import Store
from .log_writer import LogWriter
from .metrics import OperatorMetrics
from .policy.allowed import Allowed
from .policy.claims import Claims
from .policy.egress import ca_bundle_problem
from .policy.resources.metadata import Installation
from .twilio.client import TwilioPool

STOP_SECONDS = 5.0
"""Watches only read: nothing is lost when they are not waited for any longer."""
WATCH_SILENT_SECONDS = 120.0
"""When a watch has heard nothing for so long (each is begun anew every 45 s), the liveness probe fails."""
LONGEST_OVERDUE_SECONDS = 60.0
"""The same when kopf has not delivered a VoiceAssist that our own watch or listing knows, which may itself be 50 s late."""

NOT_HEARD_SECONDS = 30.0
"""A replica that could not read the Lease for so long, or for its own deadline, could not lead, either: it is not ready."""

log = structlog.get_logger("voiceassist.operator")


class Health:
    """What the probes and Prometheus ask."""

    def __init__(self, metrics: OperatorMetrics, election: LeaderElection) -> None:
        self._metrics = metrics
        self._rendering = asyncio.Lock()
        self.election = election
        self.watches: Watches | None = None

    def problem(self) -> str:
        """Returns why this process should be started again; empty when well. A replica that waits for the Lease is well."""
        if self.watches is not None and self.watches.silent_seconds() > WATCH_SILENT_SECONDS:
            return "a watch delivers nothing"
        if self.watches is not None and self.watches.overdue_seconds() > LONGEST_OVERDUE_SECONDS:
            return "the watch of VoiceAssists does not deliver what is there"
        return ""

    async def start(self, port: int) -> web.AppRunner:
        """Serves /metrics, /healthz and /readyz; port 0 takes a free one and logs it."""
        app = web.Application()
        app.add_routes([web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._render)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, None, port).start()
        log.info("serving /metrics and /healthz", port=runner.addresses[0][1])
        return runner

    async def _healthz(self, _: web.Request) -> web.Response:
        problem = self.problem()
        return web.Response(text=f"{problem or 'ok'}\n", status=500 if problem else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = time.monotonic() - self.election.heard_at < max(NOT_HEARD_SECONDS, self.election.times.deadline)
        return web.Response(text="ok\n" if ready else "the API server does not tell who holds the Lease\n", status=200 if ready else 503)

    async def _render(self, _: web.Request) -> web.Response:
        async with self._rendering:  # one at a time, and beside the loop: with a thousand objects it takes a while
            text = await asyncio.to_thread(self._metrics.render)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def trusted(ca: str | None, besides: str = "") -> ssl.SSLContext:
    """Returns the machine's certificate authorities, or these (a file) instead, and those besides (a text). Raises OSError."""
    context = ssl.create_default_context(cafile=ca)
    if besides:
        context.load_verify_locations(cadata=besides)
    return context


def authorities(path: str | None) -> str:
    """Returns the text of a file with authorities in PEM; empty without a file. Raises OperatorError."""
    if path is None:
        return ""
    try:
        text = Path(path).read_text("ascii", "replace")
    except OSError as error:
        raise OperatorError(f"--ca-bundle {path}: cannot be read ({error.strerror})") from None
    problem = ca_bundle_problem(text, f"--ca-bundle {path}")
    if not problem:
        try:
            trusted(None, text)
        except (ssl.SSLError, ValueError):
            problem = f"--ca-bundle {path}: this is something else than certificates in PEM"
    if problem:
        raise OperatorError(problem)
    return text


def listen_for_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set the event."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def run(options: argparse.Namespace, logs: LogWriter) -> int:
    """Runs until SIGTERM (0) or until the Lease is lost (1: the pod starts again and waits for its turn)."""
    stop = asyncio.Event()
    listen_for_signals(stop)
    own = options.lease_namespace or own_namespace()
    watched = "*" if options.all_namespaces else (options.namespace or own)
    me = f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.urandom(3).hex()}"
    metrics = OperatorMetrics()
    logs.on_dropped = metrics.log_dropped
    election = LeaderElection(options.lease_name, own, me, LeaseTimes(options.lease_seconds))
    cluster = Cluster.connect(election.may_write, metrics.asked_api)
    health = Health(metrics, election)
    lease = LeaseThread(election, lambda: Cluster.connect(election.may_write, metrics.asked_api))
    runner = await health.start(options.metrics_port)
    try:
        if not await _or_stopped(lease.acquire(), stop):
            return 0
        metrics.leading(True)
        async with aiohttp.ClientSession(trust_env=False) as http:
            return await _lead(options, cluster, election, lease, metrics, health, http, own, watched, stop)
    finally:
        metrics.leading(False)
        await lease.release()
        lease.close()
        await cluster.close()
        await runner.cleanup()


async def _lead(
    options: argparse.Namespace,
    cluster: Cluster,
    election: LeaderElection,
    lease: LeaseThread,
    metrics: OperatorMetrics,
    health: Health,
    http: aiohttp.ClientSession,
    own: str,
    watched: str,
    stop: asyncio.Event,
) -> int:
    installation = Installation(
        namespace=own,
        metrics_namespaces=tuple(options.metrics_namespace),
        custom_network=options.allow_custom_network,
        proxy=options.proxy,
        no_proxy=tuple(options.no_proxy),
        ca_bundle=authorities(options.ca_bundle),
    )
    allowed = Allowed(
        tuple(options.allow_model_host), tuple(options.allow_image), tuple(options.allow_ingress_annotation), any_secret=options.any_secret
    )
    cluster.any_secret = allowed.any_secret
    store = Store()
    optional = OptionalKinds(cluster, watched, store)
    dependencies = Dependencies(
        cluster,
        store,
        References(cluster, store),
        RelayPoller(http, metrics, options.relay_port),
        options.relay_image,
        options.allow_custom_endpoints,
        allowed,
        options.any_user_id,
        optional,
        dict(options.pod_monitor_label),
        installation,
    )
    proxies = Proxies.read(options.proxy, options.no_proxy) if options.proxy else Proxies.of_environment(os.environ)
    endpoint_tls = trusted(options.endpoint_ca) if options.endpoint_ca else trusted(None, installation.ca_bundle)
    applier, probe = Applier(cluster, store, metrics), ProbeSettings(endpoint_tls, options.endpoint_port, proxies)
    pool = TwilioPool(metrics, election.may_write, tls=trusted(None, installation.ca_bundle), proxies=proxies)
    twilio = TwilioSettings(pool, options.twilio_resync_seconds, options.twilio_let_go_seconds, options.functions_grace_seconds)

    turns = Turns(PASSES_AT_ONCE)

    def reconciler(uid: str, name: str, namespace: str, claims: Claims) -> Reconciler:
        conflicting, neighbours = functools.partial(claims.conflicting, uid), functools.partial(claims.neighbours, uid)
        return Reconciler(
            uid,
            name,
            namespace,
            dependencies,
            applier,
            metrics,
            probe,
            twilio,
            conflicting,
            neighbours,
            turns,
            options.resync_seconds,
            lambda: workers.count,
            lambda: workers.rolled_at_once,
        )

    workers = Workers(reconciler, store)
    health.watches = watches = Watches(
        cluster.http, watched, store, workers, optional, any_secret=allowed.any_secret, list_seconds=options.resync_seconds
    )
    registry = kopf.OperatorRegistry()
    register(registry, workers)
    ended, begun = asyncio.Event(), asyncio.Event()
    kopf_task = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=settings(),
            standalone=True,
            clusterwide=watched == "*",
            namespaces=[] if watched == "*" else [watched],
            stop_flag=ended,
            ready_flag=begun,
            identity=cast(Any, os.environ.get("POD_NAME") or socket.gethostname()),  # not by the user's name: a pod's user may have none
        ),
        name="kopf",
    )
    watching = asyncio.create_task(watches.run(), name="watches")
    holding = asyncio.create_task(lease.hold(), name="Lease")
    stopping, beginning = asyncio.create_task(stop.wait()), asyncio.create_task(begun.wait())
    log.info("operator up", watched=watched, image=options.relay_image, custom_endpoints=options.allow_custom_endpoints)
    try:
        await asyncio.wait({kopf_task, beginning, stopping}, return_when=asyncio.FIRST_COMPLETED)
        listen_for_signals(stop)  # again, as kopf has put handlers of its own in their place
        await asyncio.wait({kopf_task, watching, holding, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        health.watches = None
        await workers.close()
        await pool.close()
        await lease.release()  # nothing is written any more; kopf, which only watches, may take its time
        ended.set()
        for task in (watching, holding, stopping, beginning):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(kopf_task, watching, holding, stopping, beginning, return_exceptions=True)
    for task in (kopf_task, watching, holding):
        if task.done() and not task.cancelled() and (problem := task.exception()) is not None:
            log.error("ended by an error", task=task.get_name(), error=said(problem))
    log.info("operator down", asked=stop.is_set())
    return 0 if stop.is_set() else 1


async def _or_stopped(work: Coroutine[object, object, None], stop: asyncio.Event) -> bool:
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for one in (task, stopped):
        one.cancel()
    await asyncio.gather(task, stopped, return_exceptions=True)
    return not stop.is_set()


def own_namespace() -> str:
    """Returns the pod's namespace, or "default" outside a cluster."""
    path = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
    with contextlib.suppress(OSError), open(path) as file:  # noqa: PTH123 - one line of one file
        return file.read().strip() or "default"
    return os.environ.get("POD_NAMESPACE", "default")
