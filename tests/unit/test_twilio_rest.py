"""The REST client over real sockets: what is sent, and which of the three errors each answer becomes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.config import RelayConfig
from voiceassist_relay.errors import TwilioBusy, TwilioError, TwilioRefused, TwilioUnclear
from voiceassist_relay.metrics import RelayMetrics
from voiceassist_relay.snapshot import Secrets, Snapshot
from voiceassist_relay.sync_client import SyncClient, is_taken
from voiceassist_relay.sync_payload import encode
from voiceassist_relay.twilio_rest import MAX_ANSWER_BYTES, TwilioRest, segment
from voiceassist_relay.twilio_retry import RetryPolicy, retrying

ACCOUNT = "AC" + "a" * 32
SERVICE = "IS" + "b" * 32
KEYS = Secrets(auth_token="the-token", api_key_sid="SK1", api_key_secret="the-secret")

ANY = st.characters(exclude_categories=())
"""Every code point, halves of surrogate pairs too."""

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


def basic(request: web.Request) -> str:
    return base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()


@pytest.mark.parametrize(
    ("secrets", "as_account", "expected"),
    [
        (KEYS, False, "SK1:the-secret"),
        (KEYS, True, f"{ACCOUNT}:the-token"),
        (Secrets(auth_token="the-token"), False, f"{ACCOUNT}:the-token"),
        (Secrets(auth_token="the-token", api_key_sid="SK1"), False, f"{ACCOUNT}:the-token"),
    ],
)
async def test_signs_in(secrets: Secrets, as_account: bool, expected: str) -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(basic(request))
        return web.json_response({"ok": True})

    async with serving(handler, secrets) as relay:
        answer = await relay.rest.request("op", "iam", "POST", "/v1/x", json={"token": "t"}, as_account=as_account)
    assert seen == [expected]
    assert (answer.status, answer.body) == (200, {"ok": True})


async def test_without_credentials_nothing_is_sent() -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.json_response({})

    async with serving(handler, Secrets()) as relay:
        with pytest.raises(TwilioRefused, match="neither an API key nor an auth token"):
            await relay.rest.request("op", "sync", "GET", "/v1/x")
    assert seen == []


async def test_credentials_of_the_moment_are_used() -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(basic(request))
        return web.json_response({})

    async with serving(handler) as relay:
        await relay.rest.request("op", "sync", "GET", "/v1/x")
        relay.snapshot = Snapshot(relay.snapshot.config, Secrets(api_key_sid="SK2", api_key_secret="new"))
        await relay.rest.request("op", "sync", "GET", "/v1/x")
    assert seen == ["SK1:the-secret", "SK2:new"]


async def test_bodies_and_paths_arrive_as_given() -> None:
    seen: list[tuple[str, str, dict[str, list[str]], str | None]] = []

    async def handler(request: web.Request) -> web.Response:
        fields = parse_qs((await request.read()).decode(), keep_blank_values=True)
        seen.append((request.method, request.raw_path, fields, request.headers.get("If-Match")))
        return web.json_response({})

    form = {"Data": '{"a":"ü &+%=\u2028😀"}', "Read": True, "Write": False, "Ttl": 60, "Many": ["1", "2"], "Empty": ""}
    async with serving(handler) as relay:
        path = f"/v1/Documents/{segment('a/b c?%ü')}"
        await relay.rest.request("op", "sync", "POST", path, form=form, headers={"If-Match": "4"})
    sent = {"Data": ['{"a":"ü &+%=\u2028😀"}'], "Read": ["true"], "Write": ["false"], "Ttl": ["60"], "Many": ["1", "2"], "Empty": [""]}
    assert seen == [("POST", "/sync/v1/Documents/a%2Fb%20c%3F%25%C3%BC", sent, "4")]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "words"),
    [
        (401, {"code": 20003, "message": "Authenticate", "status": 401}, TwilioRefused, 20003, "Authenticate"),
        (404, {"type": "x", "title": "Not found", "status": 404, "code": 20404}, TwilioRefused, 20404, "Not found"),
        (412, {"code": 54103, "message": "revision"}, TwilioRefused, 54103, "revision"),
        (302, "", TwilioRefused, 0, "HTTP 302 without"),
        (404, "<html>nginx</html>", TwilioRefused, 0, "HTTP 404 without"),
        (429, {"code": 20429, "message": "Too many"}, TwilioBusy, 20429, "Too many"),
        (500, {"code": 20500, "message": "Oops"}, TwilioUnclear, 20500, "Oops"),
        (503, "upstream connect error", TwilioUnclear, 0, "HTTP 503 without"),
        (408, "", TwilioUnclear, 0, "HTTP 408 without"),
        (201, "<html>", TwilioUnclear, 0, "not a JSON object"),
        (200, "[1]", TwilioUnclear, 0, "not a JSON object"),
        (200, "[" * 200_000, TwilioUnclear, 0, "not a JSON object"),
        (200, '{"a":"' + "x" * MAX_ANSWER_BYTES + '"}', TwilioUnclear, 0, "not a JSON object"),
    ],
)
async def test_errors(status: int, body: Any, kind: type[TwilioError], code: int, words: str) -> None:
    async with serving(answering(status, body)) as relay:
        with pytest.raises(TwilioError) as caught:
            await relay.rest.request("op", "sync", "GET", "/v1/x")
        outcome = {TwilioRefused: "refused", TwilioBusy: "busy", TwilioUnclear: "unclear"}[kind]
        assert relay.counted("sync", outcome) == 1
    assert type(caught.value) is kind
    assert (caught.value.operation, caught.value.status, caught.value.code) == ("op", status, code)
    assert words in caught.value.message


async def test_no_content_is_an_empty_answer() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=204)

    async with serving(handler) as relay:
        assert (await relay.rest.request("op", "sync", "DELETE", "/v1/x")).body == {}
        assert relay.counted("sync", "ok") == 1


async def test_retry_after_is_read() -> None:
    async with serving(answering(429, {"code": 20429}, {"Retry-After": "7"})) as relay:
        with pytest.raises(TwilioBusy) as caught:
            await relay.rest.request("op", "sync", "GET", "/v1/x")
    assert caught.value.retry_after == 7


async def test_a_server_that_hangs_is_left() -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await gone.wait()
        return web.json_response({})

    async with serving(handler) as relay:
        with pytest.raises(TwilioUnclear, match=r"no answer within 0\.1 s"):
            await relay.rest.request("op", "sync", "GET", "/v1/x", timeout=0.1)
        gone.set()


async def test_a_body_that_never_ends_is_left() -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"a":')
        await gone.wait()
        return response

    async with serving(handler) as relay:
        with pytest.raises(TwilioUnclear, match="no answer within"):
            await relay.rest.request("op", "sync", "GET", "/v1/x", timeout=0.1)
        gone.set()


async def test_a_broken_connection_is_unclear() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.json_response({})

    async with serving(handler) as relay:
        with pytest.raises(TwilioUnclear, match="the connection failed"):
            await relay.rest.request("op", "sync", "POST", "/v1/x", form={})


async def test_nobody_listens() -> None:
    async with serving(answering(200)) as relay:
        pass
    other = Relay(relay.snapshot.config.twilio.base_url("").rstrip("/"))
    with pytest.raises(TwilioUnclear, match="the connection failed") as caught:
        await other.rest.request("op", "sync", "GET", "/v1/x")
    await other.rest.aclose()
    assert caught.value.status == 0


async def test_requests_under_way_are_bounded() -> None:
    inside, most = 0, 0
    full, gone = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 2:
            full.set()
        if request.path.startswith("/sync/"):
            await gone.wait()
        inside -= 1
        return web.json_response({})

    async with serving(handler, concurrent=2) as relay:
        slow = [asyncio.create_task(relay.rest.request("op", "sync", "GET", "/v1/x")) for _ in range(6)]
        await full.wait()
        with pytest.raises(TwilioBusy, match="no free connection"):
            await relay.rest.request("op", "sync", "GET", "/v1/x", timeout=0.05)
        assert most == 2
        await relay.rest.request("op", "api", "GET", "/2010-04-01/x")  # one product that hangs does not hold up another
        gone.set()
        await asyncio.gather(*slow)


async def test_an_answer_and_its_request_show_no_words_and_no_secrets() -> None:
    async with serving(answering(200, {"data": "spoken words"})) as relay:
        answer = await relay.rest.request("op", "sync", "POST", "/v1/x", form={"Data": "spoken words"})
        text = f"{answer!r} {relay.rest!r} {relay.snapshot!r}"
    assert "spoken" not in text
    assert "the-secret" not in text
    assert "the-token" not in text


async def test_after_closing_requests_are_refused() -> None:
    async with serving(answering(200, {})) as relay:
        await relay.rest.request("op", "sync", "GET", "/v1/x")
        await relay.rest.aclose()
        await relay.rest.aclose()
        with pytest.raises(TwilioRefused, match="closing"):
            await relay.rest.request("op", "sync", "GET", "/v1/x")


# repeating


@given(failures=st.integers(1, 60), chance=st.floats(0, 1, exclude_max=True), asked=st.none() | st.floats(0, 1e6))
def test_backoff_is_bounded_and_honours_the_asked_wait(failures: int, chance: float, asked: float | None) -> None:
    policy = RetryPolicy(first=0.2, longest=5.0, attempts=None, longest_asked=30.0)
    delay = policy.delay(failures, chance, asked)
    assert delay is not None
    assert 0 <= delay <= max(min(5.0, 0.2 * 2 ** (failures - 1)), min(asked or 0.0, 30.0))
    assert delay >= min(asked or 0.0, 30.0)


def test_backoff_grows_and_gives_up() -> None:
    policy = RetryPolicy(first=0.5, longest=4.0, attempts=6)
    assert [policy.delay(n, 0.999999) for n in range(1, 6)] == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0], rel=1e-4)
    assert policy.delay(6, 0.5) is None


def test_no_attempt_begins_too_late() -> None:
    policy = RetryPolicy(first=2.0, longest=2.0, attempts=None, within=8.0)
    assert policy.delay(1, 0.5, elapsed=7.0) == 1.0
    assert policy.delay(1, 0.5, elapsed=7.1) is None, "attempts that hang take their time too"
    assert policy.delay(50, 0.5, elapsed=0.1) == 1.0


@pytest.mark.parametrize(
    ("errors", "idempotent", "calls"),
    [
        ([TwilioBusy("op", 429, 0, ""), TwilioBusy("op", 429, 0, "")], False, 3),
        ([TwilioUnclear("op", 500, 0, "")], True, 2),
        ([TwilioUnclear("op", 500, 0, "")], False, 1),
        ([TwilioRefused("op", 400, 0, "")], True, 1),
        ([TwilioUnclear("op", 500, 0, "")] * 9, True, 4),
    ],
)
async def test_retrying(errors: list[TwilioError], idempotent: bool, calls: int) -> None:
    made = 0
    slept: list[float] = []

    async def attempt() -> str:
        nonlocal made
        made += 1
        if made <= len(errors):
            raise errors[made - 1]
        return "done"

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    work = retrying(RetryPolicy(attempts=4), attempt, idempotent=idempotent, chance=lambda: 0.5, sleep=sleep)
    if made_it := len(errors) < calls:
        assert await work == "done"
    else:
        with pytest.raises(TwilioError):
            await work
    assert (made, len(slept)) == (calls, calls - 1 if not made_it else len(errors))


# the Sync client's own part


async def test_ensure_takes_what_exists_and_sets_its_ttl() -> None:
    seen: list[tuple[str, str, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        fields = dict(parse_qsl((await request.read()).decode()))
        path = request.path.removeprefix(f"/sync/v1/Services/{SERVICE}")
        seen.append((request.method, path, fields))
        if path == "/Streams":
            return web.json_response({"code": 54301, "message": "Unique name already exists", "status": 409}, status=409)
        return web.json_response({"sid": "TO1", "unique_name": "a b"})

    async with serving(handler) as relay:
        stream = await relay.sync.ensure_stream("a b", 900)
    assert (stream.sid, stream.existed) == ("TO1", True)
    assert seen == [
        ("POST", "/Streams", {"UniqueName": "a b", "Ttl": "900"}),
        ("GET", "/Streams/a b", {}),
        ("POST", "/Streams/TO1", {"Ttl": "900"}),
    ]


async def test_pages_are_followed_but_never_to_another_host() -> None:
    queries: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        queries.append(dict(request.query))
        page = int(request.query.get("Page", "0"))
        items = [{"key": f"{page}{n}", "revision": "1", "data": {"n": n}} for n in range(2)]
        following = None if page == 2 else f"https://elsewhere.example/v1/x?PageSize=2&Page={page + 1}&PageToken=t%2F{page}"
        return web.json_response({"items": items, "meta": {"next_page_url": following}})

    async with serving(handler) as relay:
        keys = [item.sid async for item in relay.sync.items("MP1", descending=True, start="9", page_size=2)]
    assert keys == ["00", "01", "10", "11", "20", "21"]
    assert queries[0] == {"Order": "desc", "PageSize": "2", "From": "9"}
    assert [query.get("PageToken") for query in queries] == [None, "t/0", "t/1"]


async def test_an_answer_without_its_sid_is_unclear() -> None:
    async with serving(answering(201, {"data": {}})) as relay:
        with pytest.raises(TwilioUnclear, match="no sid"):
            await relay.sync.create_document("d", {}, 60)


async def test_a_taken_key_is_told_from_other_refusals() -> None:
    async with serving(answering(409, {"code": 54208, "message": "exists"})) as relay:
        with pytest.raises(TwilioRefused) as caught:
            await relay.sync.create_item("MP1", "000001", {}, 60)
    assert is_taken(caught.value)
    assert not is_taken(TwilioRefused("op", 403, 54007, ""))


@given(st.dictionaries(st.text(ANY, max_size=5), st.text(ANY, max_size=20), max_size=3))
def test_any_text_can_be_sent(data: dict[str, str]) -> None:
    sent = encode(data).encode()
    if not any(0xD800 <= ord(c) <= 0xDFFF for pair in data.items() for c in "".join(pair)):
        assert json.loads(sent) == data


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert json.loads(encode({"a": "x\ud83d", "b": "\ud83d\ude00"}).encode()) == {"a": "x\ufffd", "b": "😀"}
