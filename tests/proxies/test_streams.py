"""Streams behind real proxies that are configured as ingress controllers configure them from our annotations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from integration.media_rig import Client, Rig, media, on_uvloop, stop
from proxies.controllers import PING_SECONDS, Configuration, haproxy, haproxy_ingress, haproxytech, ingress_nginx, nginx_of_f5, ours
from proxies.proxies import Proxies, Proxy
from proxies.relay import answer, relay_and_proxies, through

Controller = Callable[[int, Mapping[str, str]], Configuration]
NGINX: dict[str, Controller] = {"ingress-nginx": ingress_nginx, "NGINX of F5": nginx_of_f5}
HAPROXY: dict[str, Controller] = {"haproxy-ingress": haproxy_ingress, "haproxytech": haproxytech}


async def proxy_of(proxies: Proxies, rig: Rig, controller: str, annotations: Mapping[str, str]) -> Proxy:
    if controller in NGINX:
        return await proxies.nginx(NGINX[controller](rig.port, annotations))
    if controller in HAPROXY:
        return await proxies.haproxy(HAPROXY[controller](rig.port, annotations))
    return await proxies.traefik(rig.port)


@pytest.mark.parametrize("controller", [*NGINX, *HAPROXY, "Traefik"])
@on_uvloop
async def test_a_stream_passes_with_what_we_tell_the_controller(controller: str, tmp_path: Path) -> None:
    async with relay_and_proxies(tmp_path) as (rig, proxies):
        proxy = await proxy_of(proxies, rig, controller, ours())
        client, sink = await through(rig, proxy).stream(media(2), media(3))
        client.send(media(4), stop(5))
        reply = await client.finish(timeout=20)
        assert (len(sink.frames), sink.endings, reply.close_code) == (3, ["stop"], 1000)
        assert rig.outcomes() == {"accepted": 1}


@on_uvloop
async def test_nginx_of_f5_passes_no_upgrade_unless_the_service_is_named(tmp_path: Path) -> None:
    """Issue 15, number 3: the relay names the fault, and counts it."""
    unnamed = {name: value for name, value in ours().items() if name != "nginx.org/websocket-services"}
    async with relay_and_proxies(tmp_path) as (rig, proxies):
        proxy = await proxies.nginx(nginx_of_f5(rig.port, unnamed))
        status, lines = await answer(await through(rig, proxy).upgrade())
        assert (status, lines[0]) == (426, "no_upgrade")
        assert rig.outcomes() == {"no_upgrade": 1}


def no_tunnel(relay: int, _: Mapping[str, str]) -> Configuration:
    """HAProxy without a time-out for tunnels: those of client and server count, 30 s where OpenShift writes them."""
    return haproxy(relay, times={"client": 30.0, "server": 30.0})


SILENCE = 2.5  # two and a half minutes of the world


async def _outlives(client: Client, ping: bool) -> bool:
    """Whether a stream on which nothing is said is there after SILENCE; what comes meanwhile is pings and nothing else."""
    pings = 0
    try:
        async with asyncio.timeout(SILENCE):
            while True:
                op, data = await client.next_frame()
                assert (op, data) == (9, b"")
                pings += 1
    except TimeoutError:
        assert pings >= 3 if ping else pings == 0
        return True
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


NAMED = {"nginx.org/websocket-services": "support-relay"}
SILENT: dict[str, tuple[Controller, Mapping[str, str], bool, bool]] = {
    # what the controller is told, whether the relay pings, whether the stream lives
    "ingress-nginx as it comes, no pings": (ingress_nginx, {}, False, False),
    "ingress-nginx as it comes": (ingress_nginx, {}, True, True),
    "ingress-nginx as we have it, no pings": (ingress_nginx, ours(), False, True),
    "NGINX of F5 as it comes, no pings": (nginx_of_f5, NAMED, False, False),
    "NGINX of F5 as it comes": (nginx_of_f5, NAMED, True, True),
    "NGINX of F5 as we have it, no pings": (nginx_of_f5, ours(), False, True),
    "HAProxy without a tunnel's time-out, no pings": (no_tunnel, {}, False, False),
    "HAProxy without a tunnel's time-out": (no_tunnel, {}, True, True),
    "haproxy-ingress as we have it, no pings": (haproxy_ingress, ours(), False, True),
    "haproxytech as it comes, no pings": (haproxytech, {}, False, True),
}


async def _lives(controller: Controller, annotations: Mapping[str, str], ping: bool, folder: Path) -> bool:
    async with relay_and_proxies(folder, PING_SECONDS if ping else 0) as (rig, proxies):
        start = proxies.nginx if controller in NGINX.values() else proxies.haproxy
        proxy = await start(controller(rig.port, annotations))
        client, sink = await through(rig, proxy).stream()
        lives = await _outlives(client, ping)
        if lives:
            client.send(media(2))
            await rig.until(lambda: len(sink.frames) == 1)
        else:
            await rig.until(lambda: sink.endings)
        client.writer.close()
        return lives


@on_uvloop
async def test_a_silent_stream_lives_by_pings_or_by_what_we_tell_the_controller(tmp_path: Path) -> None:
    """Issue 15, numbers 19 and 21: nginx's 60 s, and 30 s of a HAProxy. All at once, as each takes the time of the silence."""
    rows = [
        _lives(controller, annotations, ping, tmp_path / f"{number}")
        for number, (controller, annotations, ping, _) in enumerate(SILENT.values())
    ]
    found = await asyncio.gather(*rows, return_exceptions=True)
    assert dict(zip(SILENT, found, strict=True)) == {name: lives for name, (*_, lives) in SILENT.items()}
