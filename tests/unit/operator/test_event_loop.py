"""Lookups of names to which nobody answers keep nobody waiting who has an address already."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from voiceassist_operator.event_loop import LOOKUPS_AT_ONCE, EventLoop


async def _asked_beside_lookups(asked: threading.Semaphore) -> str:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    loop = asyncio.get_running_loop()
    lookups = [asyncio.create_task(loop.getaddrinfo(f"relay-{number}.example", 443)) for number in range(LOOKUPS_AT_ONCE * 2)]
    for _ in range(LOOKUPS_AT_ONCE):
        assert await asyncio.to_thread(asked.acquire, timeout=30), "as many as can are under way"
    async with aiohttp.ClientSession() as http, asyncio.timeout(30), http.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as found:
        text = await found.text()
    assert not any(one.done() for one in lookups)
    for one in lookups:
        one.cancel()
    await asyncio.gather(*lookups, return_exceptions=True)
    await runner.cleanup()
    return text


def test_event_loop_an_address_is_reached_while_all_lookups_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    over, asked, really = threading.Event(), threading.Semaphore(0), socket.getaddrinfo

    def hangs(host: Any, *more: Any) -> Any:
        if host == "127.0.0.1":
            return really(host, *more)
        asked.release()
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    try:
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            assert runner.run(_asked_beside_lookups(asked)) == "here"
    finally:
        over.set()


ENDS = """
import asyncio, socket, time
from voiceassist_operator.event_loop import EventLoop

def hangs(*_):
    time.sleep(600)

async def main():
    asyncio.get_running_loop().create_task(asyncio.get_running_loop().getaddrinfo("relay.example", 443))
    await asyncio.sleep(0.1)

socket.getaddrinfo = hangs
with asyncio.Runner(loop_factory=EventLoop) as runner:
    runner.run(main())
"""


def test_event_loop_a_process_ends_without_waiting_for_lookups() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS], timeout=60, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
