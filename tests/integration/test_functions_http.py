"""The functions as browsers meet them: bodies, headers, origins, methods, rates, the token for Sync, and feedback."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import time
from typing import Any

import jwt
import pytest
from twilio.jwt.access_token import AccessToken

from integration.functions_rig import PREFIX, QUICK, REVISION, Relay, rigged
from integration.functions_table import ADDRESSES, BODIES, FLEX, QUERIES, SID, TOKENS, Case, each
from support.eventually import eventually
from voiceassist_crds.names import suggestions_map
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.functions import endpoints
from voiceassist_relay.rate_limits import Rate
from voiceassist_sim.twilio.faults import FaultKind, FaultRule
from voiceassist_sim.twilio.sync_model import Kind


async def error(relay: Relay, method: str, path: str, **arguments: Any) -> tuple[int, str, str]:
    """Status, code and message; every error has the one form."""
    status, body, headers = await relay.request(method, path, **arguments)
    assert set(body) == {"error"} and {"code", "message", "hint"} <= set(body["error"]) <= {"code", "message", "hint", "twilio"}
    assert headers["content-type"] == "application/json"
    return status, body["error"]["code"], body["error"]["message"]


# what comes in


@pytest.mark.parametrize("way", ["json", "form", "header"])
async def test_a_start_as_json_as_a_form_and_with_the_token_in_the_header(way: str) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        fields = {"action": "start", "callSid": call.call_sid, "taskSid": call.task_sid}
        arguments: dict[str, Any] = {
            "json": {"json": fields | {"Token": call.flex_token}},
            "form": {"data": fields | {"Token": call.flex_token}},
            "header": {"json": fields, "headers": {"Authorization": f"Bearer {call.flex_token}"}},
        }[way]
        status, answer, headers = await relay.request("POST", "/stream", **arguments)
        assert (status, answer["outcome"]) == (200, "started")
        assert headers["Cache-Control"] == "no-store"
        assert relay.counted("http_requests_total", path="/stream", status="2xx") == 1


@pytest.mark.parametrize("case", each(BODIES))
async def test_what_does_not_fit_is_named(case: Case) -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        answered, code, message = await error(relay, case.method, case.path, **case.arguments)
        assert (answered, code, case.named in message) == (case.status, case.code, True), message
        assert rig.asked("POST", "/Tokens/validate") == 0
        assert relay.counted("http_requests_total", path="/stream", status=f"{case.status // 100}xx") == 1


@pytest.mark.parametrize("case", each((*ADDRESSES, *QUERIES, *TOKENS)))
async def test_the_table_that_others_are_held_to(case: Case) -> None:
    async with rigged() as rig:
        call = rig.call()
        told = case.filled({"call": call.call_sid, "task": call.task_sid, "token": call.flex_token})
        answered, code, message = await error(rig.relays[0], case.method, case.path, **told)
        assert (answered, code, case.named in message) == (case.status, case.code, True), message
        if case in QUERIES:
            _, body, _ = await rig.relays[0].request(case.method, case.path, **told)
            assert "docs/migrating.md" in body["error"]["hint"]
            assert rig.asked("POST", "/Tokens/validate") == 0


async def test_a_body_without_end_is_cut_off() -> None:
    async with rigged() as rig:
        sent = 0

        async def endless():
            nonlocal sent
            while sent < 5_000_000:
                sent += 8192
                yield b"x" * 8192

        try:
            status, code, _ = await error(rig.relays[0], "POST", "/stream", data=endless(), headers={"Content-Type": "application/json"})
        except OSError:
            status, code = 413, "too_large"  # cut while we were still sending
        assert (status, code) == (413, "too_large")
        assert sent < 5_000_000


SECRET = "eyJ6aXAiOiJERUYi" + "S" * 60


@pytest.mark.parametrize(
    "arguments",
    [
        {"json": {"action": "stop", "callSid": SECRET}},
        {"json": {"action": SECRET, "callSid": SID}},
        {"json": {"action": "stop", "callSid": SID, "token": SECRET}},
        {"json": {"action": "stop", "callSid": SID, SECRET: 1}},
        {"json": {"action": "stop", "callSid": SID, "Token": [SECRET]}},
        {"json": {"action": "stop", "callSid": SID, "Token": SECRET}},
        {"json": {"action": "stop", "callSid": SID}, "headers": {"Authorization": f"Token {SECRET}"}},
        {"json": {"action": "stop", "callSid": SID}, "params": {"Token": SECRET}},
        {"data": SECRET.encode(), "headers": {"Content-Type": "application/json"}},
        {"data": SECRET.encode(), "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ],
)
async def test_a_token_is_never_repeated_nor_logged(
    arguments: dict[str, Any], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with rigged() as rig:
        status, body, _ = await rig.relays[0].request("POST", "/stream", **arguments)
        assert status in {400, 401}
        assert "S" * 20 not in json.dumps(body)
    captured = capfd.readouterr()
    assert "S" * 20 not in captured.out + captured.err + caplog.text


async def test_a_whole_call_leaves_no_secret_in_the_logs(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(FaultRule(FaultKind.STORED_THEN_500, r"/Streams\.json$", times=1))
        await relay.stream("start", call)
        held = await eventually(lambda: relay.held.find(call.call_sid))
        await relay.cut_all()
        await rig.idle()
        orders = [stream.order.parameters["token"] for stream in rig.twilio.calls.get(call.call_sid).streams.values()]
        secrets = [*orders, call.flex_token, relay.snapshot.secrets.auth_token, relay.snapshot.secrets.api_key_secret]
        suffix = held.document.sync_stream.rpartition("_")[2]
    captured = capfd.readouterr()
    logged = "\n".join(line for line in (captured.out + captured.err).splitlines() if "test_" not in line)
    assert "stream creation unclear" in logged
    for secret in [*secrets, suffix, call.call_sid]:
        assert secret not in logged


# addresses and methods


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/stream", 405, "method"),
        ("PUT", "/stream", 405, "method"),
        ("DELETE", "/token", 405, "method"),
        ("GET", "/feedback", 405, "method"),
        ("GET", "/callbacks/stream", 405, "method"),
        ("OPTIONS", "/callbacks/stream", 405, "method"),
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/stream/", 404, "not_found"),
        ("POST", "/more/stream", 404, "not_found"),
        ("POST", "/stream/stream", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/metrics", 404, "not_found"),
    ],
)
async def test_other_addresses_and_methods(method: str, path: str, status: int, code: str) -> None:
    async with rigged() as rig:
        answered, answer, headers = await rig.relays[0].request(method, path)
        assert (answered, answer["error"]["code"]) == (status, code)
        if status == 405:
            assert headers["Allow"] in {"POST", "GET, POST"}


async def test_the_path_prefix_is_that_of_the_configuration_in_force() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        base = f"http://127.0.0.1:{relay.port}"
        for prefix, other in (("", PREFIX), ("/a/b", ""), ("/callbacks", "")):
            config = relay.snapshot.config.model_copy(update={"path_prefix": prefix})
            relay.snapshot = Snapshot(config, relay.snapshot.secrets)
            async with relay.http.post(f"{base}{prefix}/token", json={"Token": call.flex_token}) as response:
                assert response.status == 200
            async with relay.http.post(f"{base}{prefix}/stream", json={}) as response:
                assert response.status == 400
            async with relay.http.post(f"{base}{other}/token", json={"Token": call.flex_token}) as response:
                assert response.status == 404


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"identity": "agent"}, "identity"),
        ({"Token": "abc"}, "token"),
        ({"token": "abc"}, "token"),
        ({"access_token": "abc"}, "token"),
        ({"page": "1"}, "no query string"),
    ],
)
async def test_feedback_takes_nothing_from_the_query(query: dict[str, str], named: str) -> None:
    async with rigged() as rig:
        call = rig.call()
        headers = {"Authorization": f"Bearer {call.flex_token}"}
        status, body, _ = await rig.relays[0].request("POST", "/feedback", params=query, headers=headers)
        assert (status, body["error"]["code"]) == (400, "query")
        assert named in body["error"]["message"] and "docs/migrating.md" in body["error"]["hint"]
        assert rig.asked("POST", "/Tokens/validate") == 0


# origins


@pytest.mark.parametrize(
    ("allowed", "origin", "status", "header"),
    [
        ([FLEX], FLEX, 200, FLEX),
        ([FLEX], "", 200, None),
        ([FLEX], "https://evil.example.com", 403, None),
        ([FLEX], "https://flex.twilio.com.evil.example.com", 403, None),
        ([FLEX], "http://flex.twilio.com", 403, None),
        ([FLEX], "https://flex.twilio.com:444", 403, None),
        ([FLEX], "null", 403, None),
        ([FLEX, "http://127.0.0.1:8600"], "http://127.0.0.1:8600", 200, "http://127.0.0.1:8600"),
        (["*"], "https://anything.example.com", 200, "*"),
        ([], FLEX, 403, None),
    ],
)
async def test_pages_of_configured_origins_may_ask(allowed: list[str], origin: str, status: int, header: str | None) -> None:
    async with rigged(functions__allowedOrigins=allowed) as rig:
        relay, call = rig.relays[0], rig.call()
        headers = {"Origin": origin} if origin else {}
        answered, _, answer_headers = await relay.request("POST", "/token", json={"Token": call.flex_token}, headers=headers)
        assert answered == status
        assert answer_headers.get("Access-Control-Allow-Origin") == header
        assert "Access-Control-Allow-Credentials" not in answer_headers
        assert header == "*" or answer_headers["Vary"] == "Origin"

        # errors are readable by the page as well
        _, _, answer_headers = await relay.request("POST", "/token", json={"Token": 1}, headers=headers)
        assert answer_headers.get("Access-Control-Allow-Origin") == header

        ask = headers | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answered, _, answer_headers = await relay.request("OPTIONS", "/stream", headers=ask)
        assert answered == (204 if status == 200 else 403)
        assert answer_headers.get("Access-Control-Allow-Origin") == header
        if status == 200:
            assert answer_headers["Access-Control-Allow-Methods"] == "POST"
            assert answer_headers["Access-Control-Allow-Headers"] == "authorization, content-type"
            assert int(answer_headers["Access-Control-Max-Age"]) > 0


# rates


async def test_one_worker_cannot_ask_for_ever_and_others_are_not_held_back() -> None:
    timing = dataclasses.replace(QUICK, stream_rate=Rate(per_second=0.5, burst=3), feedback_rate=Rate(per_second=0.5, burst=1))
    async with rigged(timing=timing) as rig:
        relay, call, other = rig.relays[0], rig.call(), rig.call()
        answers = [await relay.request("POST", "/token", json={"Token": call.flex_token}) for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
        assert answers[-1][1]["error"]["code"] == "rate"
        assert 1 <= int(answers[-1][2]["Retry-After"]) <= 2
        again = rig.twilio.flex_token(call.worker_sid)  # another token of the same worker
        assert (await relay.request("POST", "/token", json={"Token": again}))[0] == 429
        assert (await relay.request("POST", "/token", json={"Token": other.flex_token}))[0] == 200
        body = {"callSid": call.call_sid, "id": "g1-x", "revision": REVISION, "verdict": "up", "Token": call.flex_token}
        assert [(await relay.request("POST", "/feedback", json=body))[0] for _ in range(2)] == [403, 429]


# the token for Sync


@pytest.mark.parametrize("way", ["get", "json", "form"])
async def test_the_token_opens_what_was_granted_and_nothing_else(way: str) -> None:
    async with rigged() as rig:
        relay, call, other = rig.relays[0], rig.call(), rig.call()
        for each in (call, other):
            await relay.stream("start", each)
        await rig.idle()
        bearer = {"headers": {"Authorization": f"bearer {call.flex_token}"}}
        arguments = {"get": bearer, "json": {"json": {"Token": call.flex_token}}, "form": {"data": {"Token": call.flex_token}}}[way]
        status, answer, _ = await relay.request("GET" if way == "get" else "POST", "/token", **arguments)
        assert status == 200 and set(answer) == {"token", "identity", "expires", "service_sid"}
        assert (answer["identity"], answer["service_sid"]) == (call.identity, rig.service)
        assert answer["expires"] == pytest.approx(time.time() + 3600, abs=5)

        # as the twilio package and Twilio itself read it
        secrets = relay.snapshot.secrets
        known = AccessToken.from_jwt(answer["token"], secrets.api_key_secret)
        assert known.payload["grants"] == {"identity": call.identity, "data_sync": {"service_sid": rig.service}}
        assert (known.payload["iss"], known.payload["sub"]) == (secrets.api_key_sid, rig.twilio.account_sid)
        assert known.payload["exp"] == answer["expires"]
        assert known.payload["nbf"] <= time.time() - 59, "also where the relay's clock is a minute ahead of Twilio's, which refuses 20105"
        assert jwt.get_unverified_header(answer["token"]) == {"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}
        view = rig.twilio.view(answer["token"], rig.service)
        assert view.read(Kind.MAP, suggestions_map(call.call_sid))["sid"]
        with pytest.raises(Exception, match="forbidden"):
            view.read(Kind.MAP, suggestions_map(other.call_sid))
        with pytest.raises(Exception, match="forbidden"):
            view.read(Kind.DOCUMENT, f"VA_CALL_{call.call_sid}")


async def test_a_regions_token_names_the_region() -> None:
    async with rigged(twilio__region="ie1") as rig:
        _, answer, _ = await rig.relays[0].request("POST", "/token", json={"Token": rig.call().flex_token})
        assert jwt.get_unverified_header(answer["token"])["twr"] == "ie1"


@pytest.mark.parametrize(
    ("missing", "named"), [({"api_key_sid": ""}, "twilio-api-key-sid"), ({"api_key_secret": ""}, "twilio-api-key-secret")]
)
async def test_without_an_api_key_the_missing_secret_is_named(missing: dict[str, str], named: str) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        relay.snapshot = Snapshot(relay.snapshot.config, dataclasses.replace(relay.snapshot.secrets, **missing))
        status, body, _ = await relay.request("POST", "/token", json={"Token": call.flex_token})
        assert (status, body["error"]["code"]) == (500, "no_api_key")
        assert named in body["error"]["hint"]
        assert isinstance(relay.snapshot.secrets, Secrets)


async def test_no_feedback_without_a_token() -> None:
    async with rigged() as rig:
        body = {"callSid": rig.call().call_sid, "id": "g1-x", "revision": REVISION, "verdict": "up"}
        assert (await error(rig.relays[0], "POST", "/feedback", json=body))[:2] == (401, "token_missing")


# feedback


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"verdict": "sideways"}, "verdict: 'sideways' given; input should be 'up', 'down', 'edited' or 'painted'"),
        ({"verdict": None}, "verdict: missing"),
        ({"id": "x" * 201}, "id: a text of 201 characters"),
        ({"id": ""}, "id: missing"),
        ({"revision": "No spaces"}, "revision: 'No spaces' given"),
        ({"callSid": "CA1"}, "callSid"),
        ({"reason": "Because of you"}, "reason"),
        ({"verdict": "painted", "at": 5}, "verdict 'painted' needs agoMs"),
        ({"verdict": "painted", "at": 5, "agoMs": -1}, "agoMs"),
        ({"seq": 0}, "seq"),
        ({"seq": "last"}, "seq"),
    ],
)
async def test_feedback_that_does_not_fit(changes: dict[str, Any], named: str) -> None:
    async with rigged() as rig:
        call = rig.call()
        body = {"callSid": call.call_sid, "id": "g1-x", "revision": REVISION, "verdict": "up", "Token": call.flex_token} | changes
        status, _, message = await error(rig.relays[0], "POST", "/feedback", json=body)
        assert status == 400 and named in message


async def test_fields_of_a_later_plugin_are_passed_over_and_counted() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        body = {"callSid": call.call_sid, "id": "g1-x", "revision": REVISION, "verdict": "up", "Token": call.flex_token}
        assert (await relay.request("POST", "/feedback", json=body | {"words": "later", "mood": 3}))[0] == 403, (
            "no more than: not published"
        )
        status, answer, _ = await relay.request("POST", "/token", json={"Token": call.flex_token, "identity": "somebody"})
        assert (status, answer["identity"]) == (200, call.identity), "a token is for its own worker, whatever is asked for"
        assert relay.counted("other_version_total", what="request_field") == 3


# the unexpected


async def test_an_error_of_our_own_is_json_and_tells_nothing() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()

        async def fail(*_: object) -> None:
            raise RuntimeError("the inside of the relay")

        relay.functions._tokens.person = fail  # type: ignore[assignment,method-assign]
        status, code, message = await error(relay, "POST", "/token", json={"Token": call.flex_token}, headers={"Origin": FLEX})
        assert (status, code) == (500, "internal") and "inside" not in message
        assert relay.counted("http_requests_total", path="/token", status="5xx") == 1


async def test_many_browsers_at_once() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        calls = [rig.call() for _ in range(40)]
        answers = await asyncio.gather(*(relay.request("POST", "/token", json={"Token": call.flex_token}) for call in calls))
        assert {status for status, _, _ in answers} == {200}
        assert {answer["identity"] for _, answer, _ in answers} == {call.identity for call in calls}


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "BODY_SECONDS", 0.2)
    async with rigged() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.relays[0].port)
        head = f"POST {PREFIX}/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        writer.write(head.encode())
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        assert answer.startswith(b"HTTP/1.1 408")
        writer.close()
