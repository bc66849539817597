"""One TLS endpoint in place of all of Twilio's hosts that a browser meets, routed by ``Host``, on a `TwilioServer`'s state.

A browser whose resolver leads ``*.twilio.com`` here (see `BrowserEdge.chromium_arguments`) uses production addresses and cannot leave
the machine. What REST writes to Sync and TaskRouter is told on the browser's sockets at once::

    async with TwilioServer() as twilio, BrowserEdge(twilio, flex_script=flex_js, plugins=[Plugin("plugin-x", bundle)]) as edge:
        worker = twilio.add_worker("agent@example.com")
        arguments = edge.chromium_arguments()       # Chromium on this machine, then open edge.log_in_url(worker.sid)
        call = twilio.create_call(recording, worker_sid=worker.sid, reservation="pending")       # it rings in Flex
        edge.sync.offload(identity=worker.identity)                                              # and so on: see `SyncSockets`
        assert not edge.sync.violations.counts

The page at ``https://flex.twilio.com/agent-desktop/`` runs ``Twilio.Flex.runDefault``; when it is up, ``<html data-flex="running">``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from aiohttp import web

from ..account import Account
from ..errors import TwilioError, not_found
from .certificate import Certificate
from .event_bridge import EventBridge
from .flex_hosts import FlexHosts, Plugin
from .ingress import Ingress
from .page import DESK, LOG_IN, FlexPage
from .sync_socket import SyncSockets
from .voice_signal import VoiceSignal

FLEX_URL: Final = "https://flex.twilio.com"
_DOMAINS: Final = ("*.twilio.com", "*.twiliocdn.com", "*.twil.io")
_log: Final = logging.getLogger(__name__)


class BrowserEdge:
    """The endpoint as an async context manager. Port 0 takes a free one.

    ``flex_script`` is the Flex UI built as one classic script that sets ``Twilio.Flex`` and React's globals; without it there is no page,
    but everything else. The account (a started `TwilioServer`) is not closed with it.
    """

    def __init__(
        self,
        account: Account,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        flex_script: Path | None = None,
        plugins: Iterable[Plugin] = (),
    ) -> None:
        self._account = account
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self.certificate = Certificate()
        self.event_bridge = EventBridge(account)
        self.conferences = self.event_bridge.conferences
        """Who is in which call: hold the customer, see who listens."""
        self.sync = SyncSockets(account, self.conferences)
        """The sockets of Sync and its kin: cut, offload, deafen, faults, violations."""
        self.voice = VoiceSignal(account)
        self.page = FlexPage(account, flex_script)
        self.flex = FlexHosts(account, self.page, plugins)
        self.ingress = Ingress(account.connect_to)
        """For the names of servers that are ours (`--connect-to`)."""

    @property
    def port(self) -> int:
        """The port that it listens on. Raises RuntimeError before it does."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the browser's endpoint is not running")
        return int(self._runner.addresses[0][1])

    @property
    def desk_url(self) -> str:
        """Where Flex runs, for a browser that is logged in."""
        return f"{FLEX_URL}{DESK}/"

    def log_in_url(self, worker_sid: str) -> str:
        """A page that logs a worker in and leads to Flex."""
        return f"{FLEX_URL}{LOG_IN}?worker={quote(worker_sid)}"

    def facts(self) -> dict[str, Any]:
        """Where it is and how a Chromium gets there, for those who have it in another process."""
        return {
            "port": self.port,
            "deskUrl": self.desk_url,
            "logInUrl": f"{FLEX_URL}{LOG_IN}?worker=",
            "chromiumArguments": self.chromium_arguments(),
            "certificate": self.certificate.pem,
            "plugins": [one.name for one in self.flex.plugins.values()],
        }

    def chromium_arguments(self) -> list[str]:
        """What leads a Chromium on this machine here, and nowhere else."""
        rules = [f"MAP {domain}:443 {self._host}:{self.port}" for domain in (*_DOMAINS, *self.ingress.hosts)]
        return [
            f"--host-resolver-rules={', '.join([*rules, 'MAP * ~NOTFOUND', f'EXCLUDE {self._host}'])}",
            f"--ignore-certificate-errors-spki-list={self.certificate.spki_hash}",
            "--disable-quic",
        ]

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, ssl_context=self.certificate.context()).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.sync.start()
        self.ingress.start()
        self.event_bridge.start()
        self._account.browser = self

    async def close(self) -> None:
        """End all sockets and stop listening."""
        if self._runner is None:
            return
        self._account.browser = None
        self.event_bridge.close()
        await self.sync.close()
        await self.ingress.close()
        await self._runner.cleanup()
        self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if (host := request.host.partition(":")[0]) in self.ingress.hosts:
            return await self.ingress.pass_on(request, host)
        if request.method == "OPTIONS":
            return _allow(request, web.Response(status=204))
        try:
            response = await self._route(request)
        except TwilioError as refusal:
            _log.info("%s %s%s: %s", request.method, request.host, request.path, refusal.status)
            response = web.json_response(refusal.body(), status=refusal.status)
        return response if response.prepared else _allow(request, response)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0]
        if host.startswith("tsock."):
            if request.path != "/v3/wsconnect":
                raise not_found(request.path)
            return await self.sync.serve(request)
        if host == "event-bridge.twilio.com" and request.path == "/v1/wschannels":
            return await (self.event_bridge.post(request) if request.method == "POST" else self.event_bridge.socket(request))
        if host.endswith(".roaming.twilio.com") or host.startswith("voice-js."):
            return await self.voice.serve(request)
        if host == "flex-api.twilio.com":
            return await self.flex.flex_api(request)
        if host == "flex.twilio.com":
            return await self.flex.flex(request)
        found = self.flex.odds(request)
        if found is None:
            raise not_found(f"{host}{request.path}")
        return found


def _allow(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Let pages of other hosts read it: Flex asks with credentials, so the origin has to be named."""
    response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "*")
    return response
