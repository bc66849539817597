"""The liveness probe: a watch that delivers nothing is told."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, cast

import httpx2

from voiceassist_operator.controller.leader_election import LeaderElection
from voiceassist_operator.controller.watches import OptionalKinds, Watches
from voiceassist_operator.controller.workers import Workers
from voiceassist_operator.kubernetes.store import Store
from voiceassist_operator.main import LONGEST_OVERDUE_SECONDS, NOT_HEARD_SECONDS, WATCH_SILENT_SECONDS, Health
from voiceassist_operator.metrics import OperatorMetrics


def never(*_: object) -> object:
    raise AssertionError("no reconciler is made here")


def test_main_a_replica_that_waits_for_the_lease_is_well() -> None:
    assert Health(OperatorMetrics(), LeaderElection("lease", "own", "me")).problem() == ""


async def test_main_one_deaf_watch_of_many_is_told_wherever_it_looks() -> None:
    for namespace in ("*", "another"):
        async with httpx2.AsyncClient() as http:
            store = Store()
            optional = OptionalKinds(cast(Any, None), namespace, store)
            watches = Watches(http, namespace, store, Workers(cast(Any, never), store), optional)
            health = Health(OperatorMetrics(), LeaderElection("lease", "own", "me"))
            health.watches = watches
            assert health.problem() == ""
            watches._watches[3].alive_at = time.monotonic() - WATCH_SILENT_SECONDS - 1
            assert "delivers nothing" in health.problem()


async def test_main_what_kopf_has_not_delivered_for_a_minute_is_told() -> None:
    async with httpx2.AsyncClient() as http:
        store = Store()
        workers = Workers(cast(Any, never), store)
        health = Health(OperatorMetrics(), LeaderElection("lease", "own", "me"))
        health.watches = Watches(http, "*", store, workers, OptionalKinds(cast(Any, None), "*", store))
        workers.object_announced({"metadata": {"uid": "1", "name": "a", "namespace": "n", "resourceVersion": "7"}})
        assert health.problem() == ""
        workers._overdue["1"] -= LONGEST_OVERDUE_SECONDS + 1
        assert "does not deliver what is there" in health.problem()


async def test_main_a_replica_is_ready_while_it_knows_who_leads() -> None:
    election = LeaderElection("lease", "own", "me")
    health = Health(OperatorMetrics(), election)
    runner = await health.start(0)
    host, port = runner.addresses[0][:2]
    base = f"http://[::1]:{port}" if ":" in host else f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=base, trust_env=False) as http:
        assert (await http.get("/readyz")).status_code == 503, "before it was told"
        election.heard_at = time.monotonic()
        assert (await http.get("/readyz")).status_code == 200
        election.heard_at = time.monotonic() - NOT_HEARD_SECONDS - 1
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200, "which is no reason to start it again"
    await runner.cleanup()


async def test_main_metrics_are_rendered_beside_the_loop() -> None:
    """A rendering that takes as long as it likes holds up no probe."""
    metrics, asked, go_on = OperatorMetrics(), threading.Event(), threading.Event()
    rendered = metrics.render

    def slow() -> bytes:
        asked.set()
        assert go_on.wait(120)
        return rendered()

    metrics.render = slow  # type: ignore[method-assign]
    health = Health(metrics, LeaderElection("lease", "own", "me"))
    runner = await health.start(0)
    host, port = runner.addresses[0][:2]
    base = f"http://[::1]:{port}" if ":" in host else f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=base, trust_env=False, timeout=120) as http:
        scraped = asyncio.create_task(http.get("/metrics"))
        assert await asyncio.to_thread(asked.wait, 60)
        assert (await http.get("/healthz")).status_code == 200
        assert not scraped.done()
        go_on.set()
        assert b"voiceassist_operator_leading" in (await scraped).content
    await runner.cleanup()
