"""A proxy before the API server that does what a rule says: it kills whoever asks, swallows events, answers with what was true before."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
END_TO_END = frozenset({"accept", "content-type", "user-agent"})


@dataclass
class Rule:
    """What is done to one operator's requests; as it stands, nothing."""

    kill_at: int = 0
    """The number of the write at which the process is killed, Leases apart."""
    landed: bool = False
    """Killed after the API server has answered, and before the operator hears of it."""
    process: int = 0
    writes: int = 0
    written_at: float = 0.0
    lost: dict[str, int] = field(default_factory=dict)
    """By namespace, the number of the event that is swallowed."""
    swallowed: list[tuple[str, str, str]] = field(default_factory=list)
    """Kind, name and type of the events that never came."""
    events: Counter[str] = field(default_factory=Counter)
    lists: dict[str, bytes] = field(default_factory=dict)
    """The first answer to each listing."""
    stale: dict[str, bytes] = field(default_factory=dict)
    """What the first answer to each listing is to be."""
    untyped: bool = False
    """Answers say nothing of their type."""

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)

    def swallows(self, line: bytes) -> bool:
        """Whether an event is not passed on."""
        if not self.lost:
            return False
        event = json.loads(line)
        metadata = event["object"].get("metadata") or {}
        namespace = metadata.get("namespace") or ""
        if namespace not in self.lost or event["type"] in {"BOOKMARK", "ERROR"}:
            return False
        self.events[namespace] += 1
        if self.events[namespace] != self.lost[namespace]:
            return False
        self.swallowed.append((namespace, metadata["name"], event["type"]))
        return True


class FaultyApi:
    """The proxy, on a loop in a thread; one port for each rule."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        """`kubeconfig` is the administrator's; those for the proxy's ports are written into the folder."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server, self._folder = cluster["server"], folder
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self._loop = asyncio.new_event_loop()
        self._runners: list[web.AppRunner] = []
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._session: aiohttp.ClientSession = self._there(self._connect())

    def _there(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _connect(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        return aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))

    def now(self) -> float:
        """By the clock of `Rule.written_at`."""
        return self._loop.time()

    def kubeconfig(self, rule: Rule) -> Path:
        """By which an operator comes under a rule."""
        port = self._there(self._serve(rule))
        path = self._folder / f"faulty-{port}.kubeconfig"
        named = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "x", "user": {"token": "t"}}],
        }
        path.write_text(yaml.safe_dump(named))
        return path

    async def _serve(self, rule: Rule) -> int:
        app = web.Application(client_max_size=8 << 20)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._answer(rule, request)

        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    async def _answer(self, rule: Rule, request: web.Request) -> web.StreamResponse:
        counted = request.method in WRITES and "/leases" not in request.path
        if counted:
            rule.writes, rule.written_at = rule.writes + 1, self._loop.time()
        last = counted and rule.writes == rule.kill_at
        if rule.kill_at and counted and rule.writes > rule.kill_at:
            return web.Response(status=503)  # sent at the same time as the last one
        if last and not rule.landed:
            rule.kill()
            return web.Response(status=503)
        listing = request.method == "GET" and "watch" not in request.query and request.path.rpartition("/")[2].endswith("s")
        if listing and (known := rule.stale.pop(request.path_qs, None)) is not None:
            return web.Response(body=known, content_type="application/json")
        headers = {key: value for key, value in request.headers.items() if key.lower() in END_TO_END}
        url = f"{self._server}{request.raw_path}"
        asked = self._session.request(
            request.method, url, data=await request.read() or None, headers=headers, skip_auto_headers=["Accept-Encoding", "Content-Type"]
        )
        async with asked as answer:
            kept = {} if rule.untyped else {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            if "watch" in request.query and answer.status == 200:
                return await self._stream(rule, request, answer, kept)
            body = await answer.read()
            if listing and answer.status == 200:
                rule.lists.setdefault(request.path_qs, body)
            if last:
                rule.kill()
            made = web.Response(status=answer.status, body=body, headers=kept)
            if rule.untyped:
                made.headers.popall("Content-Type", None)
            return made

    async def _stream(
        self, rule: Rule, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        made = web.StreamResponse(headers=headers)
        await made.prepare(request)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async for line in _lines(answer):
                if not rule.swallows(line):
                    await made.write(line)
        return made

    def close(self) -> None:
        async def end() -> None:
            await asyncio.gather(*(runner.cleanup() for runner in self._runners))
            await self._session.close()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self._there(end())
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"


@contextlib.contextmanager
def faulty_api(kubeconfig: Path, folder: Path) -> Iterator[FaultyApi]:
    """One, closed afterwards."""
    made = FaultyApi(kubeconfig, folder)
    try:
        yield made
    finally:
        made.close()
