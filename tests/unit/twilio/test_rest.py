"""The REST client over real sockets: what is sent, and which of the three errors each answer becomes."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from unit.twilio.rest_rig import ACCOUNT, KEYS, Relay, answering, serving
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.errors import TwilioBusy, TwilioError, TwilioRefused, TwilioUnclear
from voiceassist_relay.twilio.rest import MAX_ANSWER_BYTES, segment


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
async def test_rest_signs_in(secrets: Secrets, as_account: bool, expected: str) -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(basic(request))
        return web.json_response({"ok": True})

    async with serving(handler, secrets) as relay:
        answer = await relay.rest.request("op", "iam", "POST", "/v1/x", json={"token": "t"}, as_account=as_account)
    assert seen == [expected]
    assert (answer.status, answer.body) == (200, {"ok": True})


async def test_rest_without_credentials_nothing_is_sent() -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.json_response({})

    async with serving(handler, Secrets()) as relay:
        with pytest.raises(TwilioRefused, match="neither an API key nor an auth token"):
            await relay.rest.request("op", "sync", "GET", "/v1/x")
    assert seen == []


async def test_rest_credentials_of_the_moment_are_used() -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(basic(request))
        return web.json_response({})

    async with serving(handler) as relay:
        await relay.rest.request("op", "sync", "GET", "/v1/x")
        relay.snapshot = Snapshot(relay.snapshot.config, Secrets(api_key_sid="SK2", api_key_secret="new"))
        await relay.rest.request("op", "sync", "GET", "/v1/x")
    assert seen == ["SK1:the-secret", "SK2:new"]


async def test_rest_bodies_and_paths_arrive_as_given() -> None:
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
        (302, "", TwilioRefused, 0, ""),
        (404, "<html>nginx</html>", TwilioRefused, 0, ""),
        (429, {"code": 20429, "message": "Too many"}, TwilioBusy, 20429, "Too many"),
        (500, {"code": 20500, "message": "Oops"}, TwilioUnclear, 20500, "Oops"),
        (503, "upstream connect error", TwilioUnclear, 0, ""),
        (408, "", TwilioUnclear, 0, ""),
        (201, "<html>", TwilioUnclear, 0, "not a JSON object"),
        (200, "[1]", TwilioUnclear, 0, "not a JSON object"),
        (200, "[" * 200_000, TwilioUnclear, 0, "not a JSON object"),
        (200, '{"a":"' + "x" * MAX_ANSWER_BYTES + '"}', TwilioUnclear, 0, "not a JSON object"),
    ],
)
async def test_rest_errors(status: int, body: Any, kind: type[TwilioError], code: int, words: str) -> None:
    async with serving(answering(status, body)) as relay:
        with pytest.raises(TwilioError) as caught:
            await relay.rest.request("op", "sync", "GET", "/v1/x")
        outcome = {TwilioRefused: "refused", TwilioBusy: "busy", TwilioUnclear: "unclear"}[kind]
        assert relay.counted("sync", outcome) == 1
    assert type(caught.value) is kind
    assert (caught.value.operation, caught.value.status, caught.value.code) == ("op", status, code)
    assert words in (caught.value.said or caught.value.message)
    assert not caught.value.said or caught.value.said not in str(caught.value), "a stranger's words are for decisions only"


async def test_rest_no_content_is_an_empty_answer() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=204)

    async with serving(handler) as relay:
        assert (await relay.rest.request("op", "sync", "DELETE", "/v1/x")).body == {}
        assert relay.counted("sync", "ok") == 1


async def test_rest_retry_after_is_read() -> None:
    async with serving(answering(429, {"code": 20429}, {"Retry-After": "7"})) as relay:
        with pytest.raises(TwilioBusy) as caught:
            await relay.rest.request("op", "sync", "GET", "/v1/x")
    assert caught.value.retry_after == 7


async def test_rest_a_server_that_hangs_is_left() -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await gone.wait()
        return web.json_response({})

    async with serving(handler) as relay:
        with pytest.raises(TwilioUnclear, match=r"no answer within 0\.1 s"):
            await relay.rest.request("op", "sync", "GET", "/v1/x", timeout=0.1)
        gone.set()


async def test_rest_a_body_that_never_ends_is_left() -> None:
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


async def test_rest_a_broken_connection_is_unclear() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.json_response({})

    async with serving(handler) as relay:
        with pytest.raises(TwilioUnclear, match="the connection failed"):
            await relay.rest.request("op", "sync", "POST", "/v1/x", form={})


async def test_rest_nobody_listens() -> None:
    async with serving(answering(200)) as relay:
        pass
    other = Relay(relay.snapshot.config.twilio.base_url("").rstrip("/"))
    with pytest.raises(TwilioUnclear, match="the connection failed") as caught:
        await other.rest.request("op", "sync", "GET", "/v1/x")
    await other.rest.aclose()
    assert caught.value.status == 0


async def test_rest_requests_under_way_are_bounded() -> None:
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


async def test_rest_an_answer_and_its_request_show_no_words_and_no_secrets() -> None:
    async with serving(answering(200, {"data": "spoken words"})) as relay:
        answer = await relay.rest.request("op", "sync", "POST", "/v1/x", form={"Data": "spoken words"})
        text = f"{answer!r} {relay.rest!r} {relay.snapshot!r}"
    assert "spoken" not in text
    assert "the-secret" not in text
    assert "the-token" not in text


async def test_rest_after_closing_requests_are_refused() -> None:
    async with serving(answering(200, {})) as relay:
        await relay.rest.request("op", "sync", "GET", "/v1/x")
        await relay.rest.aclose()
        await relay.rest.aclose()
        with pytest.raises(TwilioRefused, match="closing"):
            await relay.rest.request("op", "sync", "GET", "/v1/x")


@given(st.text(alphabet=st.one_of(st.sampled_from('{}":,%/ =+&?#é\n'), st.characters(exclude_categories=["Cs"])), max_size=60))
def test_rest_encodes_as_the_standard_library_does(text: str) -> None:
    assert segment(text) == quote(text, safe="")
