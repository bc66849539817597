"""The stand-in's HTTP server: every Twilio product under ``/{product}``, and the control API under ``/_sim``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote

from aiohttp import web

from .access_tokens import ApiKey
from .account import Account
from .api import Answer, ApiRequest, Body, Route, Router
from .auth import authenticate, check_account
from .control import control_routes
from .errors import TwilioError, bad_parameter, not_found, server_error, suspended, too_many_requests
from .faults import HANG_SECONDS, FaultKind, FaultRule
from .fields import parse_form, parse_json, parse_lists
from .journal import RequestEntry
from .multipart import parse_multipart
from .settings import Settings

SWEEP_SECONDS: Final = 1.0
"""How often what has come to its end is removed from Sync."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer as they went over the wire, for a test that checks every answer; holds secrets and contents."""

    product: str
    method: str
    path: str
    query_string: str
    request_body: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Seen:
    """What is known of a request while it is served."""

    user: str | None = None
    fault: str | None = None
    body: bytes = b""


class TwilioServer(Account):
    """The stand-in as an async context manager. Port 0 takes a free one; ``url`` and ``template`` say where it listens.

    ``on_exchange`` is called with every answer of a product before it is sent.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        account_sid: str | None = None,
        auth_token: str | None = None,
        api_keys: Mapping[str, str | ApiKey] | None = None,
        settings: Settings | None = None,
        connect_to: Mapping[str, tuple[str, int]] | None = None,
        ca: Path | None = None,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> None:
        super().__init__(
            account_sid=account_sid,
            auth_token=auth_token,
            api_keys=api_keys,
            settings=settings,
            connect_to=connect_to,
            ca=ca,
            clock=clock,
            seed=seed,
        )
        self._host = host
        self._port = port
        self._on_exchange = on_exchange
        self._products: Mapping[str, Router] = self.products()
        self._running = 0
        self._runner: web.AppRunner | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, for example ``http://127.0.0.1:8601``. Raises RuntimeError before it listens."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the server is not running")
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def template(self) -> str:
        """The base URL of a product with ``{product}`` in it."""
        return f"{self.url}/{{product}}"

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        app = web.Application(client_max_size=self.settings.max_body_bytes)
        app.add_routes(control_routes(self))
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._sweeper = asyncio.create_task(self._sweep(), name="sync expiry")

    async def close(self) -> None:
        """End everything: streams, listeners, requests, the listening socket."""
        await self.close_account()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def set_faults(self, *rules: FaultRule, seed: int = 0) -> None:
        """Put failures into force, instead of those before."""
        self.faults.set(rules, seed)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sync.expire(self.clock())

    # One request

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        begin = time.perf_counter()
        seen = _Seen()
        path = request.rel_url.raw_path
        code: int | None = None
        status = 0
        self._running += 1
        self.journal.running(self._running)
        try:
            answer, cut = await self._answer(request, path, seen)
            if cut:
                return _cut(request)
            status = answer.status
            code = answer.body.get("code") if answer.body and status >= 400 else None
            return self._response(request, path, answer, seen)
        finally:
            self._running -= 1
            took = (time.perf_counter() - begin) * 1000
            self.journal.add_request(
                RequestEntry(self.clock(), request.method, unquote(path), status, round(took, 3), code, seen.user, seen.fault)
            )

    async def _answer(self, request: web.Request, path: str, seen: _Seen) -> tuple[Answer, bool]:
        """The answer, and whether the connection is to be cut instead."""
        try:
            if self.settings.max_concurrent_requests is not None and self._running > self.settings.max_concurrent_requests:
                raise too_many_requests(retry_after=1 if self.settings.lenient.retry_after else None)
            seen.body = await self._read(request)
            strike = self.faults.strike(request.method, path)
            rule = strike.rule
            seen.fault = rule.kind.value if rule else FaultKind.LATENCY.value if strike.wait_before or strike.wait_after else None
            await asyncio.sleep(strike.wait_before)
            if rule is not None and not rule.processed:
                return await self._fail(rule)
            held = rule is not None and rule.kind is FaultKind.HOLD
            if held and rule is not None and not rule.after:
                await self.holds.hold()
            answer = self._process(request, path, seen)
            await asyncio.sleep(strike.wait_after)
            if held and rule is not None and rule.after:
                await self.holds.hold()
            return (answer, False) if rule is None or held else await self._fail(rule)
        except TwilioError as refusal:
            return Answer(refusal.status, refusal.body(), refusal.headers), False

    async def _fail(self, rule: FaultRule) -> tuple[Answer, bool]:
        if rule.kind is FaultKind.TOO_MANY:
            raise too_many_requests(rule.message or "Too Many Requests", rule.code or 20429, rule.retry_after)
        if rule.kind is FaultKind.HANG:
            await asyncio.sleep(HANG_SECONDS)
        if rule.kind in (FaultKind.HANG, FaultKind.CUT):
            return Answer(500), True
        usual = server_error(rule.status)
        if rule.kind is FaultKind.REFUSE:
            usual = TwilioError(rule.status, 20000 + rule.status, "Refused")
        raise TwilioError(rule.status, rule.code or usual.code, rule.message or usual.message)

    def _process(self, request: web.Request, path: str, seen: _Seen) -> Answer:
        seen.user = authenticate(request.headers.get("Authorization"), self.credentials)
        if self.settings.suspended is not None:
            raise suspended(self.settings.suspended)
        product, _, rest = path.removeprefix("/").partition("/")
        if product not in self._products:
            raise not_found(unquote(path))
        route, params = self._products[product].find(request.method, f"/{rest}")
        check_account(params, self.credentials)
        return route.handler(
            ApiRequest(
                method=request.method,
                path=unquote(f"/{rest}"),
                base_url=f"{request.scheme}://{request.host}/{product}",
                now=self.clock(),
                params=params,
                query=_query(request),
                **self._parse(request, route, seen.body),
                if_match=request.headers.get("If-Match"),
            )
        )

    def _parse(self, request: web.Request, route: Route, body: bytes) -> dict[str, Any]:
        """What the operation reads from the body, by the names in `ApiRequest`."""
        header = request.headers.get("Content-Type", "")
        content_type = header.partition(";")[0].strip().lower()
        if route.body is Body.FORM:
            form = parse_form(body, content_type, route, ignore_unknown=self.settings.lenient.unknown_fields)
            return {"form": form, "lists": parse_lists(body, route)}
        if route.body is Body.MULTIPART:
            return {"parts": parse_multipart(body, header)}
        return {"json": parse_json(body, content_type)} if route.body is Body.JSON else {}

    async def _read(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self.settings.body_timeout):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise TwilioError(413, 20001, f"A request body may have {self.settings.max_body_bytes} bytes") from None
        except TimeoutError:
            raise TwilioError(408, 20001, "The request body did not arrive in time") from None

    def _response(self, request: web.Request, path: str, answer: Answer, seen: _Seen) -> web.Response:
        headers = {"Twilio-Request-Id": self.sids("RQ"), "Twilio-Concurrent-Requests": str(self._running), **answer.headers}
        response = web.Response(status=answer.status, headers=headers)
        if answer.body is not None:
            response = web.json_response(dict(answer.body), status=answer.status, headers=headers)
        if self._on_exchange is not None:
            product, _, rest = path.removeprefix("/").partition("/")
            content = response.body if isinstance(response.body, bytes) else b""
            shown = {**response.headers}
            query = request.rel_url.raw_query_string
            self._on_exchange(Exchange(product, request.method, f"/{rest}", query, seen.body, answer.status, shown, content))
        return response


def _query(request: web.Request) -> dict[str, str]:
    query = request.rel_url.query
    if len(query) != len(set(query)):
        raise bad_parameter("A query parameter is given more than once")
    return dict(query)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
