"""A REST client of the relay against a server that answers as the test says, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from voiceassist_crds.config import RelayConfig
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.sync.client import SyncClient
from voiceassist_relay.twilio.rest import TwilioRest

ACCOUNT = "AC" + "a" * 32
SERVICE = "IS" + "b" * 32
KEYS = Secrets(auth_token="the-token", api_key_sid="SK1", api_key_secret="the-secret")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def snapshot(api_url: str, secrets: Secrets = KEYS) -> Snapshot:
    document = {
        "host": "assist.example.com",
        "twilio": {"accountSid": ACCOUNT, "syncServiceSid": SERVICE, "apiUrl": api_url},
        "prompts": [{"instructions": "Help."}],
    }
    return Snapshot(RelayConfig.parse(json.dumps(document)), secrets)


class Relay:
    """A client of a server in this test, and what it counted."""

    def __init__(self, url: str, secrets: Secrets = KEYS, concurrent: int = 8) -> None:
        self.metrics = RelayMetrics()
        self.snapshot = snapshot(url + "/{product}", secrets)
        self.rest = TwilioRest(lambda: self.snapshot, self.metrics, concurrent=concurrent)
        self.sync = SyncClient(self.rest, lambda: self.snapshot)

    def counted(self, product: str, outcome: str) -> float:
        labels = {"product": product, "outcome": outcome}
        return self.metrics.registry.get_sample_value("voiceassist_relay_twilio_requests_total", labels) or 0.0


@asynccontextmanager
async def serving(handler: Handler, secrets: Secrets = KEYS, concurrent: int = 8) -> AsyncIterator[Relay]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    relay = Relay(f"http://127.0.0.1:{port}", secrets, concurrent)
    try:
        yield relay
    finally:
        await relay.rest.aclose()
        await runner.cleanup()


def answering(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers, content_type="application/json")

    return handler
