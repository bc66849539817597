"""Requests to Twilio over real sockets: what is sent, what is repeated, where credentials go, and which error each answer becomes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from voiceassist_operator.errors import NotLeading
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.twilio.client import Login, Part, Retries, TwilioClient, TwilioPool
from voiceassist_operator.twilio.model.address import Address
from voiceassist_operator.twilio.model.errors import TwilioRefused, TwilioUnavailable
from voiceassist_operator.twilio.model.refusals import Refusal

ACCOUNT = "AC" + "a" * 32
SERVICE = {"sid": "IS" + "b" * 32, "friendly_name": "x", "acl_enabled": True}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Bench:
    """A server whose answers are a list, and a client of it."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.metrics = OperatorMetrics()
        self.leading = True
        self.under_way = self.most = 0
        self.slow = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.slow)
        self.under_way -= 1
        status, body, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status or 200, text=text, headers=headers, content_type="application/json")

    def may_write(self) -> None:
        if not self.leading:
            raise NotLeading("the Lease is not held")

    def counted(self, product: str, outcome: str) -> float:
        labels = {"product": product, "outcome": outcome}
        return self.metrics.registry.get_sample_value("voiceassist_operator_twilio_requests_total", labels) or 0.0


@asynccontextmanager
async def serving(*answers: Any, timeout: float = 5.0, concurrent: int = 4) -> AsyncIterator[tuple[Bench, TwilioClient]]:
    bench = Bench()
    bench.answers = [(one if isinstance(one, tuple) else (200, one, {})) for one in answers]
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", bench.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    retries = Retries(first=0.001, longest=0.002, attempts=3, longest_asked=0.5)
    pool = TwilioPool(bench.metrics, bench.may_write, timeout=timeout, retries=retries, concurrent=concurrent)
    address = Address(f"http://127.0.0.1:{runner.addresses[0][1]}/{{product}}")
    try:
        yield bench, TwilioClient(pool, address, Login(ACCOUNT, "SK1", "the-secret"))
    finally:
        await pool.close()
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package and aiohttp would take from the environment must not count."""
    for name in ("TWILIO_REGION", "TWILIO_EDGE", "TWILIO_ACCOUNT_SID"):
        monkeypatch.setenv(name, "wrong")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")


async def test_twilio_client_what_the_package_sends() -> None:
    async with serving(SERVICE) as (bench, twilio):
        await twilio.sdk.sync.v1.services.create_async(friendly_name="a b&c/ü", acl_enabled=True, webhook_url="")
        method, path, headers, body = bench.seen[0]
        assert (method, path) == ("POST", "/sync/v1/Services")
        assert headers["Authorization"] == "Basic U0sxOnRoZS1zZWNyZXQ="
        assert dict(parse_qsl(body.decode(), keep_blank_values=True)) == {"FriendlyName": "a b&c/ü", "AclEnabled": "true", "WebhookUrl": ""}
        assert bench.counted("sync", "ok") == 1


async def test_twilio_client_what_the_package_cannot_send() -> None:
    async with serving({"ok": 1}) as (bench, twilio):
        assert await twilio.ask("flex-api", "POST", "/v1/Configuration", json={"a": {"b": [1]}}) == {"ok": 1}
        parts = [Part("Path", "/stream"), Part("Content", b"exports.x=1", "stream.js", "application/javascript")]
        await twilio.ask("serverless-upload", "POST", "/v1/Services/ZS1/Functions/ZH1/Versions", parts=parts)
        await twilio.ask("serverless", "POST", "/v1/x", form={"FunctionVersions": ["ZN1", "ZN2"], "IsPlugin": False}, query={"a": "b c"})
        assert json.loads(bench.seen[0][3]) == {"a": {"b": [1]}}
        assert bench.seen[0][2]["Content-Type"] == "application/json"
        assert bench.seen[1][2]["Content-Type"].startswith("multipart/form-data; boundary=")
        assert b'name="Content"; filename="stream.js"' in bench.seen[1][3]
        assert b"Content-Type: application/javascript" in bench.seen[1][3]
        assert bench.seen[2][1] == "/serverless/v1/x?a=b+c"
        assert bench.seen[2][3] == b"FunctionVersions=ZN1&FunctionVersions=ZN2&IsPlugin=false"


async def test_twilio_client_pages_are_followed_to_our_address_only() -> None:
    page = {"services": [SERVICE], "meta": {"key": "services", "next_page_url": "https://sync.twilio.com/v1/Services?Page=1"}}
    last = {"services": [SERVICE], "meta": {"key": "services", "next_page_url": None}}
    async with serving(page, last) as (bench, twilio):
        assert len(await twilio.sdk.sync.v1.services.list_async()) == 2
        assert bench.seen[1][1] == "/sync/v1/Services?Page=1"
    evil = {"services": [SERVICE], "meta": {"key": "services", "next_page_url": "https://twilio.com.evil.example/v1/Services?Page=1"}}
    async with serving(evil) as (bench, twilio):
        with pytest.raises(TwilioRefused, match=r"evil\.example"):
            await twilio.sdk.sync.v1.services.list_async()
        assert len(bench.seen) == 1


BUSY = (429, {"code": 20429, "message": "Too Many Requests"}, {})
BROKEN = (500, {"code": 20500, "message": "Internal"}, {})
CUT = (0, "", {})


@pytest.mark.parametrize(
    ("method", "trouble", "repeatable", "requests"),
    [
        ("GET", BUSY, None, 2),
        ("GET", BROKEN, None, 2),
        ("GET", CUT, None, 2),
        ("DELETE", BROKEN, None, 2),
        ("POST", BUSY, None, 2),
        ("POST", BROKEN, None, 1),
        ("POST", CUT, None, 1),
        ("POST", BROKEN, True, 2),
        ("GET", BROKEN, False, 1),
    ],
    ids=["read, 429", "read, 500", "read, cut", "delete, 500", "write, 429", "write, 500", "write, cut", "write as told", "read as told"],
)
async def test_twilio_client_what_is_repeated(method: str, trouble: Any, repeatable: bool | None, requests: int) -> None:
    async with serving(trouble, {"ok": 1}) as (bench, twilio):
        if requests == 1:
            with pytest.raises(TwilioUnavailable) as raised:
                await twilio.ask("sync", method, "/v1/Services", repeatable=repeatable)
            assert raised.value.unclear
        else:
            assert await twilio.ask("sync", method, "/v1/Services", repeatable=repeatable) == {"ok": 1}
        assert len(bench.seen) == requests
        if trouble is not CUT or method == "POST":  # aiohttp repeats a read once by itself when a connection is cut
            assert bench.counted("sync", "busy" if trouble is BUSY else "unclear") == 1


async def test_twilio_client_attempts_end_and_twilio_may_ask_for_more_time() -> None:
    async with serving(BUSY) as (bench, twilio):
        with pytest.raises(TwilioUnavailable, match="code 20429, Too Many Requests"):
            await twilio.ask("sync", "GET", "/v1/Services")
        assert len(bench.seen) == 3
    async with serving((503, "", {"Retry-After": "77"})) as (bench, twilio):
        with pytest.raises(TwilioUnavailable) as raised:
            await twilio.ask("sync", "GET", "/v1/Services")
        assert (len(bench.seen), raised.value.delay) == (1, 77.0)


@pytest.mark.parametrize(("status", "kind"), [(401, Refusal.CREDENTIALS), (404, Refusal.NOT_FOUND), (302, Refusal.BAD_REQUEST)])
async def test_twilio_client_refusals_carry_twilios_words_and_no_secret(status: int, kind: Refusal) -> None:
    async with serving((status, {"code": 20001, "message": "because"}, {"Location": "http://127.0.0.1:9/"})) as (bench, twilio):
        for ask in (twilio.ask("sync", "GET", "/v1/Services/IS1"), twilio.sdk.sync.v1.services("IS1").fetch_async()):
            with pytest.raises(
                TwilioRefused, match=f"Twilio sync, GET /sync/v1/Services/IS1: HTTP {status}, code 20001, because"
            ) as raised:
                await ask
            assert raised.value.kind is kind
            assert "the-secret" not in f"{raised.value!r}{twilio.login!r}"
        assert len(bench.seen) == 2
        assert bench.counted("sync", "refused") == 2


@pytest.mark.parametrize("repeated", ["the-secret", "Basic U0sxOnRoZS1zZWNyZXQ="])
async def test_twilio_client_an_answer_that_repeats_the_credentials_is_not_passed_on(repeated: str) -> None:
    async with serving((403, {"code": 20003, "message": f"Bad login {repeated}."}, {})) as (_, twilio):
        with pytest.raises(TwilioRefused) as caught:
            await twilio.ask("sync", "GET", "/v1/Services")
        assert "HTTP 403, code 20003" in str(caught.value)
        assert repeated.rsplit(maxsplit=1)[-1] not in str(caught.value)


async def test_twilio_client_an_answer_that_does_not_come() -> None:
    async with serving({"ok": 1}, timeout=1.5) as (bench, twilio):
        bench.slow = 30
        with pytest.raises(TwilioUnavailable, match=r"no answer within 1\.5 s") as raised:
            await twilio.ask("sync", "POST", "/v1/Services", form={"a": 1})
        assert raised.value.unclear
        assert len(bench.seen) == 1


@pytest.mark.parametrize("answer", ["[]", "<html>", '"text"'])
async def test_twilio_client_answers_that_are_no_object(answer: str) -> None:
    async with serving((200, answer, {})) as (_, twilio):
        with pytest.raises(TwilioUnavailable, match="not a JSON object"):
            await twilio.ask("sync", "GET", "/v1/Services")


async def test_twilio_client_few_at_once_to_an_account_whoever_asks() -> None:
    async with serving({"ok": 1}, concurrent=2) as (bench, twilio):
        bench.slow = 0.05
        again = TwilioClient(twilio._pool, twilio.address, twilio.login)
        await asyncio.gather(*(one.ask("sync", "GET", "/v1/Services") for one in (twilio, again) for _ in range(4)))
        assert (len(bench.seen), bench.most) == (8, 2)


async def test_twilio_client_no_write_without_the_lease() -> None:
    async with serving({"ok": 1}) as (bench, twilio):
        bench.leading = False
        assert await twilio.ask("sync", "GET", "/v1/Services") == {"ok": 1}
        for method in ("POST", "DELETE"):
            with pytest.raises(NotLeading):
                await twilio.ask("sync", method, "/v1/Services")
        assert [one[0] for one in bench.seen] == ["GET"]


@pytest.mark.parametrize(
    ("address", "base"),
    [
        (Address(), "https://sync.twilio.com"),
        (Address(region="ie1"), "https://sync.ie1.twilio.com"),
        (Address(region="ie1", edge="dublin"), "https://sync.dublin.ie1.twilio.com"),
        (Address("http://sandbox/{product}/"), "http://sandbox/sync"),
    ],
)
def test_twilio_client_addresses(address: Address, base: str) -> None:
    assert address.base("sync") == base
