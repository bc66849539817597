"""A relay's public port as in production, with recorded calls in place of bridges, and proxies before it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request

from integration.media_rig import Client, Rig, running
from proxies.proxies import Proxies, Proxy
from voiceassist_relay.config.snapshot import CurrentSnapshot
from voiceassist_relay.health.public_endpoints import PublicEndpoints
from voiceassist_relay.metrics.relay_metrics import RelayMetrics


def public_port(current: CurrentSnapshot, metrics: RelayMetrics) -> FastAPI:
    """What proxies ask of the port, and one route that takes bodies."""
    app = FastAPI()
    app.include_router(PublicEndpoints(lambda: True, current, metrics).router())

    @app.post("/voice/stream")
    async def stream(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    return app


@contextlib.asynccontextmanager
async def relay_and_proxies(folder: Path, ping: float = 0, **options: Any) -> AsyncIterator[tuple[Rig, Proxies]]:
    """A relay that pings each stream every `ping` seconds (0: never)."""
    async with Proxies(folder) as proxies, running(public=public_port, ping=ping, **options) as rig:
        yield rig, proxies


def through(rig: Rig, proxy: Proxy) -> Rig:
    """The same relay, reached through a proxy."""
    return replace(rig, port=proxy.port)


async def answer(client: Client) -> tuple[int, list[str]]:
    """The status and the lines of an HTTP answer on a connection that a proxy keeps open."""
    status = await client.head()
    body = await asyncio.wait_for(client.reader.readexactly(int(client.headers["content-length"])), 10)
    return status, body.decode().splitlines()
