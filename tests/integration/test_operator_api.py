"""An operator as a process before an API server that refuses, breaks off, or answers as nobody expects: it goes on when that is over, or
ends, and the next one does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from integration.operator_api_rig import Odd, PlayedApi, played_api
from support.eventually import eventually


def busy(_: PlayedApi) -> Odd:
    """Priority and fairness have no place for the operator."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 429, "reason": "TooManyRequests", "message": "too many"}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(status, status=429, headers={"Retry-After": "1"})

    return answer


def untyped(api: PlayedApi) -> Odd:
    """What is right, without a Content-Type; of watches no more than the beginning."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            request.transport.close()
            return web.Response()
        made = api.plain(request, await request.read())
        text = f"HTTP/1.1 {made.status} OK\r\nContent-Length: {len(made.body)}\r\nConnection: close\r\n\r\n".encode()  # type: ignore[arg-type]
        assert request.transport is not None
        request.transport.write(text + made.body)  # type: ignore[operator, arg-type]
        request.transport.close()
        return made

    return answer


def page(_: PlayedApi) -> Odd:
    """A balancer speaks in the API server's place."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>no</html>", content_type="text/html")

    return answer


def away(_: PlayedApi) -> Odd:
    """The API server restarts: connections break."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


def erring(api: PlayedApi) -> Odd:
    """Watches end with an error that is no gap."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "reason": "X", "message": "x", "metadata": {}}

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return api.plain(request, await request.read())
        return web.Response(text=json.dumps({"type": "ERROR", "object": status}) + "\n", content_type="application/json")

    return answer


OUTLIVED = (busy, untyped, page, away)
ODD_SECONDS = 1.5


class Operator:
    """The process, started again after it has ended, as a kubelet does."""

    def __init__(self, folder: Path, address: str) -> None:
        config = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": address}}],
            "users": [{"name": "x", "user": {"token": "t"}}],
        }
        (folder / "kubeconfig").write_text(json.dumps(config))
        self._environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
        self._log = folder / "log"
        self.start()

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "voiceassist-operator"), "run", "--namespace", "shop", "--metrics-port", "0"]
        command += ["--lease-namespace", "shop", "--lease-seconds", "90"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def has_looked_at(self, api: PlayedApi, name: str) -> bool:
        assert self.process.poll() is None, self.log[-3000:]
        return bool(api.reason(name))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[PlayedApi, Operator]]:
    async with played_api() as (api, address):
        operator = Operator(tmp_path, address)
        try:
            yield api, operator
        finally:
            operator.process.kill()
            operator.process.wait()


async def test_operator_api_oddities_are_outlived(served: tuple[PlayedApi, Operator]) -> None:
    api, operator = served
    api.put_assist("before")
    await eventually(lambda: operator.has_looked_at(api, "before"), "looked at", seconds=90)
    for odd in OUTLIVED:
        api.odd, api.answered_oddly = odd(api), 0
        api.cut()
        name = f"during-{odd.__name__}"
        api.put_assist(name)
        await asyncio.sleep(ODD_SECONDS)
        await eventually(lambda: api.answered_oddly > 3, "answered oddly")
        api.odd = None
        api.cut()
        await eventually(lambda name=name: operator.has_looked_at(api, name), f"looked at {name}", seconds=90)
    operator.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(operator.process.wait, 60) == 0
    assert "Traceback" not in operator.log, operator.log[-3000:]


async def test_operator_api_what_kopf_does_not_outlive_ends_the_process_and_frees_the_lease(served: tuple[PlayedApi, Operator]) -> None:
    """An error, but for a gap, that a watch of VoiceAssists tells of: the next process leads at once, and looks at what there is."""
    api, operator = served
    api.put_assist("before")
    await eventually(lambda: operator.has_looked_at(api, "before"), "looked at", seconds=90)
    api.odd = erring(api)
    api.cut()
    api.put_assist("meanwhile")
    assert await asyncio.to_thread(operator.process.wait, 110) == 1
    assert "the Lease is given up" in operator.log
    api.odd = None
    operator.start()
    await eventually(lambda: operator.has_looked_at(api, "meanwhile"), "looked at by the next", seconds=60)
