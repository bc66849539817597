"""Who gets in, by path, query and headers, and with which status and error the others are refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import websockets

from unit.sim_openai.rig import Caller, call, dial, session_config, update_of
from voiceassist_sim.openai import Behaviour, RealtimeServer

REFUSED: list[tuple[str, str, dict[str, str], int, str]] = [
    ("no key", "/v1/realtime?model=gpt-realtime-2.1", {}, 401, "missing_api_key"),
    ("another key", "/v1/realtime?model=gpt-realtime-2.1", {"Authorization": "Bearer sk-wrong"}, 401, "invalid_api_key"),
    ("a key without its scheme", "/v1/realtime?model=gpt-realtime-2.1", {"Authorization": "sk-test"}, 401, "missing_api_key"),
    ("basic auth", "/v1/realtime?model=gpt-realtime-2.1", {"Authorization": "Basic c2stdGVzdA=="}, 401, "missing_api_key"),
    ("Azure's header on OpenAI's path", "/v1/realtime?model=gpt-realtime-2.1", {"api-key": "sk-test"}, 401, "missing_api_key"),
    ("a key in the query", "/v1/realtime?model=gpt-realtime-2.1&api-key=sk-test", {}, 401, "missing_api_key"),
    (
        "the beta header",
        "/v1/realtime?model=gpt-realtime-2.1",
        {"Authorization": "Bearer sk-test", "OpenAI-Beta": "realtime=v1"},
        400,
        "beta_api_shape_disabled",
    ),
    ("no model", "/v1/realtime", {"Authorization": "Bearer sk-test"}, 400, "missing_required_parameter"),
    ("an unknown model", "/v1/realtime?model=gpt-9", {"Authorization": "Bearer sk-test"}, 404, "model_not_found"),
    ("a model that is gone", "/v1/realtime?model=gpt-4o-realtime-preview", {"Authorization": "Bearer sk-test"}, 404, "model_not_found"),
    (
        "transcription with a model",
        "/v1/realtime?intent=transcription&model=gpt-live-transcribe",
        {"Authorization": "Bearer sk-test"},
        400,
        "invalid_value",
    ),
    ("an unknown intent", "/v1/realtime?intent=chat&model=gpt-realtime", {"Authorization": "Bearer sk-test"}, 400, "invalid_value"),
    ("Azure without key", "/openai/v1/realtime?model=gpt-realtime-2.1", {}, 401, "401"),
    ("Azure with another key", "/openai/v1/realtime?model=gpt-realtime-2.1", {"api-key": "wrong"}, 401, "invalid_api_key"),
    (
        "Azure with an api-version",
        "/openai/v1/realtime?model=gpt-realtime-2.1&api-version=2025-04-01-preview",
        {"api-key": "sk-test"},
        401,
        "401",
    ),
    ("Azure's old path", "/openai/realtime?deployment=gpt-realtime", {"api-key": "sk-test"}, 404, ""),
    ("translations", "/v1/realtime/translations", {"Authorization": "Bearer sk-test"}, 404, ""),
]


@pytest.mark.parametrize(("name", "path", "headers", "status", "code"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_who_does_not_fit_is_refused_before_the_socket_opens(
    server: RealtimeServer, name: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(f"ws://127.0.0.1:{server.port}{path}", additional_headers=headers, proxy=None):
            pass
    assert refused.value.response.status_code == status
    if code:
        error = json.loads(refused.value.response.body or b"{}")["error"]
        assert error["code"] == code and error["message"]
        assert server.rejected[-1]["code"] == code
        assert "sk-wrong" not in error["message"]
    assert server.sessions == []


async def test_what_is_no_upgrade_is_refused(server: RealtimeServer) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/v1/realtime?model=gpt-realtime", headers={"Authorization": "Bearer sk-test"}) as answer,
    ):
        assert answer.status == 426


@pytest.mark.parametrize("path", ["/v1/realtime", "/openai/v1/realtime"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_a_bearer_key_opens_both_paths(server: RealtimeServer, path: str, scheme: str) -> None:
    url = f"ws://127.0.0.1:{server.port}{path}"
    async with dial(server, url=url, key=None, headers={"Authorization": f"{scheme} sk-test"}) as caller:
        await caller.expect("session.created")


async def test_azure_takes_its_header_and_any_deployment(server: RealtimeServer) -> None:
    url = f"ws://127.0.0.1:{server.port}/openai/v1/realtime"
    async with dial(server, "?model=our-own-name", url=url, key=None, headers={"api-key": "sk-test"}) as caller:
        (created,) = await caller.expect("session.created")
        assert created["session"]["model"] == "our-own-name"


async def test_deployments_have_the_gates_of_the_model_behind_them(server: RealtimeServer) -> None:
    server.behaviour.deployments = {"old": "gpt-realtime-1.5", "new": "gpt-realtime-2.1"}
    url = f"ws://127.0.0.1:{server.port}/openai/v1/realtime"
    async with dial(server, "?model=old", url=url) as caller:
        await caller.expect("session.created")
        error = await caller.refused("session.update", session=update_of(reasoning={"effort": "low"}))
        assert error["param"] == "session.reasoning"
    async with dial(server, "?model=new", url=url) as caller:
        await caller.expect("session.created")
        await caller.configure(session_config(reasoning={"effort": "low"}))
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with dial(server, "?model=absent", url=url):
            pass
    assert refused.value.response.status_code == 404


@pytest.fixture
async def compatible() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(calls=[], compatible_path="/api/rt", compatible_header="X-API-Key") as server:
        yield server


async def test_a_compatible_server_has_its_own_path_and_header(compatible: RealtimeServer) -> None:
    url = f"ws://127.0.0.1:{compatible.port}/api/rt"
    async with dial(compatible, "?model=anything", url=url, key=None, headers={"X-API-Key": "sk-test"}) as caller:
        await caller.expect("session.created")
    assert compatible.sessions[0].about["headers"]["x-api-key"] == "(secret)"
    with pytest.raises(websockets.InvalidStatus):
        async with dial(compatible, "?model=anything", url=url):
            pass


async def test_the_other_reading_of_the_beta_header_opens_and_closes(server: RealtimeServer) -> None:
    server.behaviour.change({"betaHeader": "open"})
    async with dial(server, headers={"OpenAI-Beta": "realtime=v1"}) as caller:
        (error,) = await caller.expect("error")
        assert error["error"]["code"] == "beta_api_shape_disabled"
        assert await caller.closed() == 4000


async def test_the_other_reading_of_a_bad_key_opens_and_closes(server: RealtimeServer) -> None:
    server.behaviour.change({"badKey": "open"})
    async with dial(server, key="sk-wrong") as caller:
        (error,) = await caller.expect("error")
        assert error["error"]["code"] == "invalid_api_key"
        assert await caller.closed() == 3000
    assert (server.sessions, server.rejected[0]["code"]) == ([], "invalid_api_key")


async def test_the_other_reading_of_unknown_models_takes_them(server: RealtimeServer) -> None:
    server.behaviour.unknown_models = True
    async with dial(server, "?model=gpt-9") as caller:
        await caller.expect("session.created")


async def test_keys_can_be_changed_while_it_runs(server: RealtimeServer) -> None:
    server.behaviour.change({"apiKeys": ["sk-new", "sk-newer"]})
    with pytest.raises(websockets.InvalidStatus):
        async with dial(server):
            pass
    async with dial(server, key="sk-newer") as caller:
        await caller.expect("session.created")


async def test_the_first_frame_is_the_default_configuration(server: RealtimeServer) -> None:
    async with dial(server, "?model=gpt-realtime-2.1") as caller:
        (created,) = await caller.expect("session.created")
    session = created["session"]
    assert session["model"] == "gpt-realtime-2.1"
    assert abs(session["expires_at"] - time.time() - 3600) < 60
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    assert session["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0}
    for name, value in {"tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "tracing": None, "prompt": None}.items():
        assert session[name] == value


async def test_a_transcription_session_has_its_own_configuration(server: RealtimeServer) -> None:
    async with dial(server, "?intent=transcription") as caller:
        (created,) = await caller.expect("session.created")
    session = created["session"]
    assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
    assert session.keys() == {"type", "object", "id", "expires_at", "audio", "include"}
    assert session["audio"].keys() == {"input"}


async def test_the_session_ends_after_its_longest_life(server: RealtimeServer) -> None:
    server.behaviour.session_seconds = 0.2
    async with call(server) as caller:
        error = (await caller.expect("error"))[0]["error"]
        assert error["code"] == "session_expired"
        assert error["message"].startswith("Your session hit the maximum duration of ")
        assert await caller.closed() == 1001
        assert caller.ws.close_reason == error["message"]
    await asyncio.wait_for(server.sessions[0].done.wait(), 5)
    assert (server.sessions[0].close_code, server.sessions[0].closed_by) == (1001, "server")


async def test_an_update_does_not_extend_it(server: RealtimeServer) -> None:
    async with dial(server) as caller:
        before = (await caller.expect("session.created"))[0]["session"]["expires_at"]
        after = await caller.configure()
        assert after["expires_at"] == before


async def test_pings_are_answered(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await asyncio.wait_for(await caller.ws.ping(), 5)
    assert server.sessions[0].protocol.ledger.pings == 1


async def test_stopping_closes_the_sessions(calls: Any) -> None:
    server = RealtimeServer(calls=[])
    await server.start()
    async with dial(server) as caller:
        await caller.expect("session.created")
        await server.stop()
        assert await caller.closed() == 1001


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gpt-realtime-2.1", True),
        ("gpt-realtime-2", True),
        ("gpt-realtime-2.1-mini", True),
        ("gpt-realtime-1.5", False),
        ("gpt-realtime", False),
        ("gpt-realtime-mini", False),
    ],
)
@pytest.mark.parametrize(("field", "value"), [("reasoning", {"effort": "minimal"}), ("parallel_tool_calls", False)])
async def test_only_the_reasoning_models_take_reasoning(server: RealtimeServer, model: str, takes: bool, field: str, value: Any) -> None:
    async with dial(server, f"?model={model}") as caller:
        await caller.expect("session.created")
        if takes:
            assert (await caller.configure(session_config(**{field: value})))[field] == value
            return
        error = await caller.refused("session.update", session=session_config(**{field: value}))
        assert (error["code"], error["param"]) == ("unsupported_parameter", f"session.{field}")
        await caller.configure()
        error = await caller.refused("response.create", response={field: value})
        assert error["param"] == f"response.{field}"
        server.behaviour.ignore_model_gates = True
        await caller.configure(session_config(**{field: value}))


async def test_many_sessions_live_beside_each_other() -> None:
    async with RealtimeServer(behaviour=Behaviour(keep_audio=False), calls=[]) as server:
        callers: list[Caller] = []
        sockets = await asyncio.gather(
            *(
                websockets.connect(
                    server.ws_url + "?model=gpt-realtime", additional_headers={"Authorization": "Bearer sk-test"}, proxy=None
                )
                for _ in range(200)
            )
        )
        callers = [Caller(socket, check=False) for socket in sockets]
        for caller in callers:
            await caller.expect("session.created")
        assert sum(session.open for session in server.sessions) == 200
        await asyncio.gather(*(socket.close() for socket in sockets))
        await asyncio.gather(*(session.done.wait() for session in server.sessions))
        assert server.forget() == 200
