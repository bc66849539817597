"""The functions under Twilio's own runtime: every request of the relay's table ends as it does at the relay."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from functions.rig import TwilioRun, asked
from integration.functions_table import EVERY, FLEX, ORIGINS, TOKENS, Case, Through, each
from support.suggestions import publish
from voiceassist_demo.stage import Stage, sample_calls

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALL = sample_calls() / "lost-parcel.wav"


async def a_call(stage: Stage) -> dict[str, str]:
    made = await stage.new_call(CALL, hangUp=60)
    return {"call": made["callSid"], "task": made["taskSid"], "token": made["flexToken"], "identity": made["identity"]}


async def direct(stage: Stage, case: Case, call: Mapping[str, str]) -> tuple[int, Any, Mapping[str, str]]:
    return await asked(stage.http, case.method, f"{stage.relay.public}/voice{case.path}", **case.filled(call))


def without_times(answer: Any) -> Any:
    """A token for Sync says when it was made."""
    return {key: value for key, value in answer.items() if key not in {"token", "expires"}}


@pytest.mark.parametrize("case", each(EVERY))
async def test_the_relays_own_table(case: Case, stage: Stage, functions: TwilioRun) -> None:
    call = await a_call(stage)
    status, body, headers = await direct(stage, case, call)
    assert status == case.status
    answered, answer, answer_headers = await functions.ask(case.method, case.path, **case.filled(call))
    if case.through is Through.OTHER:
        assert answered == case.through_status, case.why
        return
    assert answered == status
    assert answer_headers["Cache-Control"] == "no-store"
    assert answer_headers.get("Access-Control-Allow-Origin") == headers.get("Access-Control-Allow-Origin")
    if case.through is Through.SAME_CODE:
        assert answer["error"]["code"] == body["error"]["code"], case.why
    else:
        assert without_times(answer) == without_times(body)


async def test_a_process_for_each_request(stage: Stage, tmp_path: Path) -> None:
    """As at Twilio, where nothing is kept from one request to the next."""
    call = await a_call(stage)
    variables = {"STREAM_URL": f"ws://127.0.0.1:{stage.relay.port}/voice/ws"}
    async with TwilioRun(tmp_path / "project", variables, fork=True) as functions:
        cases = [case for case in (*TOKENS, *ORIGINS) if case.name in {"GET /token without a token", "start of another's call", "Flex"}]
        answers = await asyncio.gather(*(functions.ask(case.method, case.path, **case.filled(call)) for case in cases))
        assert [answer[0] for answer in answers] == [case.status for case in cases] == [401, 403, 200]
        assert answers[0][1]["error"]["code"] == "token_missing"
        assert answers[2][1]["identity"] == call["identity"]


@pytest.mark.parametrize("way", ["json", "form", "header"])
async def test_a_call_from_start_to_stop(way: str, stage: Stage, functions: TwilioRun) -> None:
    call = await a_call(stage)

    async def act(action: str, ask: Any = functions.ask, path: str = "/stream") -> tuple[int, Any]:
        fields = {"action": action, "callSid": call["call"], "taskSid": call["task"]}
        arguments: dict[str, Any] = {
            "json": {"json": fields | {"Token": call["token"]}},
            "form": {"data": fields | {"Token": call["token"]}},
            "header": {"json": fields, "headers": {"Authorization": f"Bearer {call['token']}", "Origin": FLEX}},
        }[way]
        status, answer, _ = await ask("POST", path, **arguments)
        return status, answer

    async def at_the_relay(method: str, path: str, **arguments: Any) -> tuple[int, Any, Mapping[str, str]]:
        return await asked(stage.http, method, f"{stage.relay.public}/voice{path}", **arguments)

    status, answer = await act("start")
    assert (status, answer["outcome"], answer["callSid"]) == (200, "started", call["call"])
    status, again = await act("start", at_the_relay)
    assert (status, again["outcome"], again["streamName"]) == (200, "running", answer["streamName"])
    status, answer = await act("stop")
    assert (status, answer["state"]) == (200, "stopped")
    assert await act("stop", at_the_relay) == (status, answer)


@pytest.mark.parametrize("way", ["get", "json", "form"])
async def test_the_token_is_the_relays(way: str, stage: Stage, functions: TwilioRun) -> None:
    call = await a_call(stage)
    bearer = {"headers": {"Authorization": f"Bearer {call['token']}"}}
    arguments = {"get": bearer, "json": {"json": {"Token": call["token"]}}, "form": {"data": {"Token": call["token"]}}}[way]
    status, answer, _ = await functions.ask("GET" if way == "get" else "POST", "/token", **arguments)
    assert status == 200 and set(answer) == {"token", "identity", "expires", "service_sid"}
    assert (answer["identity"], answer["service_sid"]) == (call["identity"], stage.sync_service_sid)
    view = f"{stage.twilio_url}/_sim/sync/{stage.sync_service_sid}/view?token={answer['token']}"
    status, _, _ = await asked(stage.http, "GET", view)
    assert status == 200


@pytest.mark.parametrize("way", ["json", "form"])
async def test_what_agents_think_reaches_the_relay(way: str, stage: Stage, functions: TwilioRun) -> None:
    """And when a suggestion was painted: both count at the relay."""
    call = await stage.new_call(CALL, hangUp=60)
    start = {"action": "start", "callSid": call["callSid"], "taskSid": call["taskSid"], "Token": call["flexToken"]}
    status, _, _ = await asked(stage.http, "POST", f"{stage.relay.public}/voice/stream", json=start)
    assert status == 200
    about = await publish(stage, call["callSid"], 900, "0123456789") | {"Token": call["flexToken"]}
    painted = about | {"verdict": "painted", "agoMs": 5}

    async def counted() -> list[float]:
        found = await stage.metrics()
        names = ("feedback_total", "suggestion_painted_seconds_count")
        return [sum(value for key, value in found.items() if key.startswith(name)) for name in names]

    def written(body: Mapping[str, Any]) -> dict[str, Any]:
        return {"json": body} if way == "json" else {"data": {key: str(value) for key, value in body.items()}}

    before = await counted()
    for body in (about | {"verdict": "up"}, painted):
        status, answer, headers = await functions.ask("POST", "/feedback", headers={"Origin": FLEX}, **written(body))
        assert (status, answer, headers["Access-Control-Allow-Origin"]) == (200, {"accepted": True}, FLEX)
    assert await counted() == [one + 1 for one in before]
    for changes in ({"verdict": "up", "Token": "x"}, {"verdict": "down", "id": "g1-made_up"}):
        refused = written(about | changes)
        status, answer, _ = await functions.ask("POST", "/feedback", **refused)
        assert status in {401, 403}
        assert (status, answer) == (await asked(stage.http, "POST", f"{stage.relay.public}/voice/feedback", **refused))[:2]
    assert await counted() == [one + 1 for one in before]


async def test_what_it_asks_for_comes_back_with_the_wait(stage: Stage, functions: TwilioRun) -> None:
    """A worker who asks too often: 429, and when to ask again."""
    call = await a_call(stage)
    answers = await asyncio.gather(*(functions.ask("POST", "/token", json={"Token": call["token"]}) for _ in range(40)))
    late = [(answer, headers) for status, answer, headers in answers if status == 429]
    assert late and {status for status, _, _ in answers} == {200, 429}
    assert all(answer["error"]["code"] == "rate" and int(headers["Retry-After"]) >= 1 for answer, headers in late)


async def test_the_runtime_answers_preflights(functions: TwilioRun) -> None:
    """It never asks the function; the answer to the request itself still names only the origins that the relay allows."""
    headers = {"Origin": FLEX, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    status, _, answered = await functions.ask("OPTIONS", "/stream", headers=headers)
    assert (status, answered["Access-Control-Allow-Origin"]) == (204, "*")
    assert {"authorization", "content-type"} <= {one.strip().lower() for one in answered["Access-Control-Allow-Headers"].split(",")}


async def test_it_dials_the_relay_and_nothing_else(stage: Stage, functions: TwilioRun) -> None:
    await functions.ask("GET", "/token")
    assert functions.dialled() == {f"127.0.0.1:{stage.relay.port}"}


async def test_a_field_named_request_is_a_field(stage: Stage, functions: TwilioRun) -> None:
    """The runtime keeps the headers under that name; a body may overwrite them."""
    call = await a_call(stage)
    for body in ({"request": 5}, {"request": None}, {"request": {"headers": None}}, {"request": {"headers": {}}}):
        status, answer, _ = await functions.ask("POST", "/token", json=body | {"Token": call["token"]})
        assert status in {400, 401}, body
        assert answer["error"]["code"] in {"invalid", "query", "token_missing"}


# without a relay that answers

_WRAPPED = """
const {{ forward }} = require(Runtime.getFunctions().forward.path);
exports.handler = (context, event, callback) => {{
  forward({{ ...context, STREAM_URL: {address} }}, event, '/stream').then((response) => callback(null, response), callback);
}};
"""


@asynccontextmanager
async def odd_servers() -> AsyncIterator[dict[str, int]]:
    """What may answer instead of a relay, by name; each says how it was asked."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(status=503, text="<html>no such backend</html>", content_type="text/html")

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/stolen")

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    runners, ports = [], {}
    for name, handler in (("page", page), ("elsewhere", elsewhere), ("silent", silent)):
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        ports[name] = runner.addresses[0][1]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield ports | {"closed": closed.getsockname()[1]}
    for runner in runners:
        await runner.cleanup()


async def test_errors_of_the_way_have_the_relays_form(tmp_path: Path) -> None:
    from functions.packages import FUNCTIONS

    forward = (FUNCTIONS / "src/forward.private.js").read_text()
    assert "RELAY_MILLISECONDS = 8500;" in forward  # under Twilio's limit of 10 s
    async with odd_servers() as ports:
        addresses = {
            "missing": "undefined",
            "empty": "''",
            "other": "'https://assist.example.com/ws'",
            "credentials": "'wss://user:secret@assist.example.com/ws'",
            "query": "'wss://assist.example.com/ws?a=b'",
            **{name: f"'ws://127.0.0.1:{port}/ws'" for name, port in ports.items()},
        }
        sources = {f"{name}.js": _WRAPPED.format(address=address) for name, address in addresses.items()}
        sources["forward.private.js"] = forward.replace("RELAY_MILLISECONDS = 8500", "RELAY_MILLISECONDS = 700")
        async with TwilioRun(tmp_path / "project", {}, sources=sources) as functions:
            found = {}
            for name in addresses:
                begin = time.monotonic()
                status, answer, headers = await functions.ask("POST", f"/{name}", json={"Token": "a-token"})
                assert set(answer) == {"error"} and set(answer["error"]) == {"code", "message", "hint"}
                assert headers["Access-Control-Allow-Origin"] == "*" and headers["Cache-Control"] == "no-store"
                assert "a-token" not in str(answer) and "secret" not in str(answer)
                found[name] = (status, answer["error"]["code"])
                if status == 500:
                    assert "STREAM_URL" in answer["error"]["message"]
                if name == "silent":
                    assert time.monotonic() - begin >= 0.7
            misled = (500, "stream_url")
            assert found == {
                **dict.fromkeys(("missing", "empty", "other", "credentials", "query"), misled),
                "page": (502, "relay_unclear"),
                "elsewhere": (502, "relay_unclear"),
                "silent": (504, "relay_slow"),
                "closed": (502, "relay_unreachable"),
            }
            assert functions.dialled() == {f"127.0.0.1:{port}" for port in ports.values()}
