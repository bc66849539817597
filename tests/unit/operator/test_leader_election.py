"""The Lease is kept: by a server that is slow, beside requests that fill the operator's pool, and while its own loop is busy."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from voiceassist_operator.controller import leader_election
from voiceassist_operator.controller.leader_election import LeaderElection
from voiceassist_operator.controller.lease_thread import LeaseThread
from voiceassist_operator.errors import Contended, NotLeading
from voiceassist_operator.kubernetes import client
from voiceassist_operator.kubernetes.client import Cluster
from voiceassist_operator.kubernetes.kinds import CONFIG_MAP, LEASE, Kind, Manifest
from voiceassist_operator.kubernetes.lease import LeaseTimes

NEVER = float("inf")
PLACES = 5
"""In the pool of the operator's client."""


class SlowApi:
    """Keeps a Lease; each write takes as long as was said, the last of these times for ever after."""

    def __init__(self, *seconds: float) -> None:
        self.lease: Manifest | None = None
        self.reads = self.writes = self.asked = 0
        self._seconds = itertools.chain(seconds, itertools.repeat(seconds[-1]))

    async def get(self, _: Kind, __: str, ___: str) -> Manifest | None:
        self.reads += 1
        return self.lease

    async def create_unguarded(self, manifest: Manifest) -> Manifest:
        return await self._write(manifest)

    async def replace(self, manifest: Manifest) -> Manifest:
        assert self.lease is not None
        self.asked += 1
        if manifest["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Contended("somebody was faster", 0.2)
        return await self._write(manifest)

    async def _write(self, manifest: Manifest) -> Manifest:
        seconds = next(self._seconds)
        await (asyncio.Event().wait() if seconds == NEVER else asyncio.sleep(seconds))
        self.writes += 1
        self.lease = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.writes)}}
        return self.lease


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    """The election's clock is the loop's."""
    clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time(), time=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr(leader_election, "time", clock)


async def holding(api: SlowApi) -> tuple[LeaderElection, asyncio.Task[None]]:
    election = LeaderElection("a", "n", "me")
    await election.acquire(cast(Cluster, api))
    return election, asyncio.create_task(election.hold(cast(Cluster, api)))


@pytest.mark.looptime
@pytest.mark.usefixtures("virtual")
async def test_leader_election_two_attempts_fit_before_the_deadline() -> None:
    slow = 2.9
    election, task = await holding(SlowApi(slow, slow, NEVER, slow, NEVER, slow))
    for _ in range(300):
        await asyncio.sleep(0.1)
        election.may_write()
    assert not task.done()
    task.cancel()


@pytest.mark.looptime
@pytest.mark.usefixtures("virtual")
async def test_leader_election_three_that_fail_are_the_end() -> None:
    election, task = await holding(SlowApi(0.1, NEVER))
    begun = asyncio.get_running_loop().time()
    await task
    assert asyncio.get_running_loop().time() - begun < 14
    with pytest.raises(NotLeading):
        election.may_write()


@pytest.mark.looptime
@pytest.mark.usefixtures("virtual")
async def test_leader_election_a_lease_that_is_held_is_not_read() -> None:
    api = SlowApi(0.1)
    _, task = await holding(api)
    await asyncio.sleep(31)
    task.cancel()
    assert (api.reads, api.writes) == (1, 11)


@pytest.mark.looptime
@pytest.mark.usefixtures("virtual")
async def test_leader_election_one_that_sees_another_holder_writes_nothing_from_then_on() -> None:
    api = SlowApi(0.1)
    election, task = await holding(api)
    await asyncio.sleep(1)
    election.may_write()
    assert api.lease is not None
    api.lease = {"metadata": {**api.lease["metadata"], "resourceVersion": "99"}, "spec": {**api.lease["spec"], "holderIdentity": "other"}}
    await task
    with pytest.raises(NotLeading):
        election.may_write()
    await election.release(cast(Cluster, api))
    assert api.lease["spec"]["holderIdentity"] == "other"


@pytest.mark.looptime
@pytest.mark.usefixtures("virtual")
async def test_leader_election_what_is_given_up_is_not_taken_again() -> None:
    api = SlowApi(0.1, 2.0)
    election, task = await holding(api)
    await asyncio.sleep(3.5)  # a renewal is under way
    await election.release(cast(Cluster, api))
    await asyncio.sleep(60)
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == ""
    with pytest.raises(NotLeading):
        election.may_write()
    task.cancel()


@pytest.mark.looptime
@pytest.mark.usefixtures("virtual")
async def test_leader_election_one_that_slept_past_its_deadline_reads_first() -> None:
    api = SlowApi(0.1)
    election, task = await holding(api)
    task.cancel()
    assert api.lease is not None
    await asyncio.sleep(11)
    api.lease = {"metadata": {**api.lease["metadata"], "resourceVersion": "99"}, "spec": {**api.lease["spec"], "holderIdentity": "other"}}
    asked = api.asked
    await election.hold(cast(Cluster, api))
    assert api.asked == asked, "nothing is sent that could be taken for a write"


class Api:
    """An API server in threads of its own that keeps one Lease, and never answers a question for a ConfigMap."""

    def __init__(self) -> None:
        self.lease = b""
        self.renewals = self.unanswered = 0
        self.over = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if "configmaps" in self.path:
                    api.unanswered += 1
                    api.over.wait(120)
                    self.close_connection = True
                else:
                    self.answer(api.lease)

            def do_PUT(self) -> None:
                api.lease = self.rfile.read(int(self.headers["Content-Length"]))
                api.renewals += 1
                self.answer(api.lease)

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    made = Api()
    metadata = {"name": "a", "namespace": "n", "resourceVersion": "1"}
    made.lease = json.dumps({"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata}).encode()
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{made.server.server_port}"}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield made
    made.over.set()
    made.server.shutdown()
    made.server.server_close()


def renewed(api: Api, times: int, seconds: float = 60) -> bool:
    """Whether the Lease is renewed so often, while this thread and its loop do nothing else."""
    wanted, until = api.renewals + times, time.monotonic() + seconds
    while api.renewals < wanted and time.monotonic() < until:
        time.sleep(0.01)
    return api.renewals >= wanted


async def test_leader_election_neither_a_full_pool_nor_a_busy_loop_delays_a_renewal(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeaseTimes, "renew_every", 0.05)
    small = functools.partial(client.ApiTransport, most=PLACES)
    monkeypatch.setattr(client, "ApiTransport", small)
    election = LeaderElection("a", "n", "me")
    cluster = Cluster.connect(election.may_write)
    lease = LeaseThread(election, lambda: Cluster.connect(election.may_write))
    try:
        await lease.acquire()
        held = asyncio.create_task(lease.hold())
        asked = [asyncio.create_task(cluster.get(CONFIG_MAP, "a", "n")) for _ in range(PLACES * 4)]
        begun = time.monotonic()
        while api.unanswered < PLACES and time.monotonic() - begun < 60:
            await asyncio.sleep(0.01)
        assert api.unanswered >= PLACES, "the pool is full, and others wait for a place"
        assert renewed(api, 5)
        election.may_write()
        assert not held.done()
        await lease.release()
        assert b'"holderIdentity":""' in api.lease.replace(b" ", b"")
        for task in (*asked, held):
            task.cancel()
        await asyncio.gather(*asked, held, return_exceptions=True)
    finally:
        lease.close()
        await cluster.close()
