"""Connections between a proxy and the relay: kept for reuse, and looked after by health checks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from integration.media_rig import Client, Rig, on_uvloop
from proxies.controllers import UPGRADED, haproxy, nginx
from proxies.proxies import Proxy, stopped
from proxies.relay import answer, relay_and_proxies, through
from voiceassist_relay.server.limits import HttpLimits

POST = b"POST /voice/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


async def _post(rig: Rig, proxy: Proxy) -> Client:
    client = await through(rig, proxy).connect()
    client.writer.write(POST)
    await client.writer.drain()
    return client


@pytest.mark.parametrize(("keep_alive", "answered"), [(1, 502), (HttpLimits().keep_alive_seconds, 200)])
@on_uvloop
async def test_a_kept_connection_is_not_closed_under_a_request(keep_alive: int, answered: int, tmp_path: Path) -> None:
    """Issue 15, number 18. The worker is halted when the second request comes, as on a busy machine: with a relay that
    keeps a connection for less than nginx does (60 s) a POST is lost, and nginx may not send it twice."""
    async with relay_and_proxies(tmp_path, limits=replace(HttpLimits(), keep_alive_seconds=keep_alive)) as (rig, proxies):
        proxy = await proxies.nginx(nginx(rig.port, *UPGRADED))
        client = await _post(rig, proxy)
        assert await answer(client) == (200, ['{"bytes":5}'])
        assert len(rig.server.server_state.connections) == 1, "nginx keeps its connection"
        with stopped(proxy):
            client.writer.write(POST)
            await asyncio.sleep(2)
            assert bool(rig.server.server_state.connections) is (answered == 200)
        assert await client.head() == answered


def test_the_relay_keeps_connections_longer_than_every_proxy_of_the_table() -> None:
    assert HttpLimits().keep_alive_seconds > max(60, 90, 600, 3600)  # nginx, Traefik, Google, an ALB as our annotation sets it


@on_uvloop
async def test_a_health_check_finds_readiness_at_the_public_port(tmp_path: Path) -> None:
    """Issue 15, number 17: what an ALB, Google's balancer or HAProxy asks before it sends anything; `/` is no such path."""
    async with relay_and_proxies(tmp_path) as (rig, proxies):
        for path, answered in (("/readyz", 200), ("/", 503)):
            lines = (f"option httpchk GET {path}", "http-check expect status 200")
            proxy = await proxies.haproxy(haproxy(rig.port, *lines, server="check inter 200ms fall 1 rise 1"))

            async def status(proxy: Proxy = proxy) -> int:
                return await (await _post(rig, proxy)).head()

            await asyncio.sleep(2)  # HAProxy takes a server for healthy until its first check
            async with asyncio.timeout(30):
                while await status() != answered:
                    await asyncio.sleep(0.1)
