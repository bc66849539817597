"""The other hosts that Flex asks: configuration, whose token it is, plugins, the page, the voice SDK's signalling, TaskRouter's bridge."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from contract.twilio_browser.raw_client import World
from voiceassist_sim.twilio.browser import BrowserEdge, Plugin
from voiceassist_sim.twilio.browser.flex_hosts import read_plugin

FLEX = "flex.twilio.com"
API = "flex-api.twilio.com"
BRIDGE = "event-bridge.twilio.com"


async def test_the_configuration_is_what_rest_has_with_nothing_missing(world: World) -> None:
    world.twilio.flex.edit({"ui_attributes": {"custom_data": {"voice_assist": {"instances": {}}}}}, world.twilio.clock())
    status, shown = await world.get(API, "/v1/Configuration?UiVersion=2.17.1")
    assert status == 200
    assert shown["ui_attributes"] == {
        "version_compatibility": "yes",
        "version_message": "",
        "custom_data": {"voice_assist": {"instances": {}}},
    }
    assert shown["account_sid"] == world.twilio.account_sid
    assert shown["taskrouter_workspace_sid"] == world.twilio.taskrouter.workspace_sid
    for name in ("date_created", "date_updated", "runtime_domain", "taskrouter_skills", "public_attributes"):
        assert shown[name] is not None, name


async def info(world: World, token: str) -> Any:
    path = f"/v1/Accounts/{world.twilio.account_sid}/Tokens/Info"
    status, shown = await world.ask("POST", API, path, data={"Token": token})
    assert status == 200
    return shown


async def test_whose_token_it_is(world: World) -> None:
    shown = await info(world, world.twilio.flex_token(world.worker.sid))
    assert shown["valid"] is True
    assert (shown["identity"], shown["roles"], shown["worker_sid"]) == (world.worker.identity, ["agent"], world.worker.sid)
    assert (await info(world, world.twilio.flex_token(world.worker.sid, ttl=-1)))["code"] == 20104
    assert (await info(world, "no.such.token"))["valid"] is False
    assert (await info(world, world.token()))["valid"] is False, "an access token is no Flex token"


async def test_the_loader_is_told_of_plugins_and_gets_the_bundle_as_it_is_now(world: World, tmp_path: Path) -> None:
    bundle = tmp_path / "plugin-x.js"
    bundle.write_text("one")
    async with BrowserEdge(world.twilio, plugins=[Plugin("plugin-x", bundle, "1.2.3")]) as edge:
        there = World(world.twilio, edge, world.http)
        _, listed = await there.get(FLEX, "/plugins?roles=agent")
        src = "https://flex.twilio.com/plugins/v1/plugin-x/1.2.3/bundle.js"
        assert listed == [{"name": "plugin-x", "version": "1.2.3", "src": src, "phase": 3, "enabled": True}]
        path = src.removeprefix("https://flex.twilio.com")
        assert await there.get(FLEX, path) == (200, "one")
        bundle.write_text("two")
        assert await there.get(FLEX, path) == (200, "two")
        assert (await there.get(FLEX, f"{path}.map"))[0] == 404
        assert (await there.get(FLEX, "/agent-desktop/"))[0] == 404, "no script, no page"


def test_plugins_on_the_command_line(tmp_path: Path) -> None:
    assert read_plugin(str(tmp_path / "plugin-x.js")) == Plugin("plugin-x", tmp_path / "plugin-x.js")
    assert read_plugin(f"other={tmp_path}/x.js") == Plugin("other", tmp_path / "x.js")
    for bad in ("", "=x.js", "x="):
        with pytest.raises(ValueError, match="NAME=FILE"):
            read_plugin(bad)


async def test_the_page_logs_a_worker_in(world: World, tmp_path: Path) -> None:
    script = tmp_path / "flex.js"
    script.write_text("window.Twilio = 1")
    async with BrowserEdge(world.twilio, flex_script=script) as edge:
        there = World(world.twilio, edge, world.http)
        status, text = await there.get(FLEX, f"/sim/log-in?worker={there.worker.sid}")
        assert status == 200
        stored = json.loads(json.loads(text.split('localStorage.setItem("TWILIO_FLEX_SSO", ')[1].split(");")[0]))
        assert (await info(there, stored["token"]))["worker_sid"] == there.worker.sid
        assert (await there.get(FLEX, "/sim/log-in?worker=WK0"))[0] == 404
        assert (await there.get(FLEX, "/sim/flex.js"))[1] == "window.Twilio = 1"
        _, page = await there.get(FLEX, "/agent-desktop/WR1")
        assert world.twilio.account_sid in page


async def test_pages_of_other_hosts_may_read_with_credentials(world: World) -> None:
    url = f"https://127.0.0.1:{world.edge.port}/v1/Configuration"
    headers = {"Host": API, "Origin": "https://flex.twilio.com", "Access-Control-Request-Headers": "authorization"}
    for method, status in (("OPTIONS", 204), ("GET", 200)):
        async with world.http.request(method, url, headers=headers, ssl=False) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == "https://flex.twilio.com"
            assert response.headers["Access-Control-Allow-Credentials"] == "true"
            assert response.headers["Access-Control-Allow-Headers"] == "authorization"


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("status.twilio.com", "/api/v2/summary.json", 200),
        ("assets.flex.twilio.com", "/x/countries.json", 200),
        ("assets.flex.twilio.com", "/x/flagPositions.json", 200),
        ("assets.twilio.com", "/fonts.css", 200),
        (FLEX, "/api/v1/Session", 200),
        (FLEX, "/nothing", 404),
        ("sdk.twilio.com", "/js/client/sounds/x.mp3", 404),
        ("tsock.us1.twilio.com", "/v2/wsconnect", 404),
        ("chunderw.twilio.com", "/", 404),
    ],
)
async def test_odds_and_ends(world: World, host: str, path: str, status: int) -> None:
    assert (await world.get(host, path))[0] == status


async def connect(world: World, host: str, path: str) -> aiohttp.ClientWebSocketResponse:
    return await world.http.ws_connect(f"wss://127.0.0.1:{world.edge.port}{path}", headers={"Host": host}, ssl=False)


async def test_the_voice_sdk_registers(world: World) -> None:
    socket = await connect(world, "voice-js.roaming.twilio.com", "/signal")
    await socket.send_str("\n")
    await socket.send_json({"type": "listen", "payload": {"token": world.twilio.flex_token(world.worker.sid)}})
    connected = await said(socket)
    assert connected["type"] == "connected"
    assert connected["payload"]["client"] == {"identity": world.worker.identity}
    await socket.send_json({"type": "register", "payload": {"media": {"audio": True}}})
    assert (await said(socket))["type"] == "ready"
    for bad in ("no.such.token", world.twilio.flex_token(world.worker.sid, ttl=-1)):
        await socket.send_json({"type": "listen", "payload": {"token": bad}})
        assert (await said(socket))["type"] == "error"
    await socket.send_str("{")
    assert (await said(socket))["payload"]["error"]["code"] == 31100


async def said(socket: aiohttp.ClientWebSocketResponse) -> Any:
    async with asyncio.timeout(10):
        while not (text := await socket.receive_str()).strip():
            continue
    return json.loads(text)


async def test_the_event_bridge_wants_a_workers_flex_token(world: World) -> None:
    for bad in ("", "no.such.token", world.token(), world.twilio.flex_token(world.worker.sid, with_worker=False)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await connect(world, BRIDGE, f"/v1/wschannels?token={bad}")
        assert caught.value.status == 401
    for body, status in (
        ({"url": "Workspaces/x/Activities", "method": "GET", "token": "bad"}, 401),
        ({"method": "GET"}, 400),
        ({"url": "Workspaces/WS0/Activities", "method": "GET", "token": world.twilio.flex_token(world.worker.sid)}, 404),
        ({"url": "Somewhere", "method": "GET", "token": world.twilio.flex_token(world.worker.sid)}, 404),
    ):
        assert (await world.ask("POST", BRIDGE, "/v1/wschannels", data=json.dumps(body)))[0] == status


async def test_a_new_session_ends_the_workers_others(world: World) -> None:
    token = world.twilio.flex_token(world.worker.sid)
    first = await connect(world, BRIDGE, f"/v1/wschannels?token={token}&closeExistingSessions=false")
    assert (await said(first))["payload"]["channel_id"] == world.worker.sid
    second = await connect(world, BRIDGE, f"/v1/wschannels?token={token}&closeExistingSessions=false")
    await said(second)
    assert world.edge.event_bridge.connected(world.worker.sid) == 2
    await said(await connect(world, BRIDGE, f"/v1/wschannels?token={token}&closeExistingSessions=true"))
    for socket in (first, second):
        async with asyncio.timeout(10):
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    assert world.edge.event_bridge.connected(world.worker.sid) == 1


async def test_a_stale_write_of_a_task_is_refused(world: World) -> None:
    call = world.twilio.create_call(Silence(), worker_sid=world.worker.sid)
    task = world.twilio.taskrouter.task(call.task_sid)

    async def write(version: int) -> int:
        url = f"Workspaces/{call.workspace_sid}/Tasks/{call.task_sid}"
        token = world.twilio.flex_token(world.worker.sid)
        body = {"url": url, "method": "POST", "params": {"Attributes": {"n": version}}, "token": token}
        headers = {"If-Match": str(version)}
        return (await world.ask("POST", BRIDGE, "/v1/wschannels", data=json.dumps(body), headers=headers))[0]

    assert await write(task.version - 1) == 412
    assert await write(task.version) == 200


class Silence:
    customer = b"\xff" * 8000
    agent = None


# The control API


async def control(world: World, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with world.http.request(method, f"{world.twilio.url}/_sim/browser{path}", json=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"do": "offload", "backoffMs": 100}, ("close", 308)),
        ({"do": "leave", "code": 406}, ("close", 406)),
        ({"do": "leave"}, ("close", 410)),
        ({"do": "about-to-expire"}, ("client_update", "token_about_to_expire")),
    ],
)
async def test_what_can_be_done_to_sockets_from_another_process(world: World, body: dict[str, Any], told: tuple[str, Any]) -> None:
    socket = await world.connected()
    assert await control(world, "POST", "/sockets", {**body, "identity": "somebody"}) == (200, {"sockets": 0})
    assert await control(world, "POST", "/sockets", body) == (200, {"sockets": 1})
    header, _ = await socket.next()
    assert header["method"] == told[0]
    assert told[1] in (header.get("status", {}).get("code"), header.get("client_update_type"))


async def test_cut_and_deaf_from_another_process(world: World) -> None:
    socket = await world.connected()
    await control(world, "POST", "/sockets", {"do": "deafen"})
    _, shown = await control(world, "GET", "")
    (one,) = shown["sockets"]
    assert (one["identity"], one["products"], one["deaf"]) == (world.worker.identity, ["data_sync"], True)
    await control(world, "POST", "/sockets", {"do": "hear"})
    assert (await socket.ask("GET", "/v3/Maps/NONE"))[0] == 404
    await control(world, "POST", "/sockets", {"do": "cut", "product": None})
    assert await socket.end() == 1006


async def test_rules_and_behaviour_from_another_process(world: World) -> None:
    status, shown = await control(world, "PUT", "/notification-faults", {"rules": [{"kind": "double", "event": "map", "times": 1}]})
    assert (status, shown["rules"][0]["fired"]) == (200, 0)
    for bad in ({"kind": "shout"}, {"event": "x"}, {"kind": "drop", "often": 1}, {"kind": "drop", "event": "("}):
        assert (await control(world, "PUT", "/notification-faults", {"rules": [bad]}))[0] == 400
    given = {"page_size": 7, "subscriptions": {"interrupted": 2, "ttl_seconds": 60, "events_first": True}}
    status, shown = await control(world, "PUT", "/behaviour", given)
    assert (status, shown["page_size"], shown["subscriptions"]["ttl_seconds"]) == (200, 7, 60)
    for bad in ({"pages": 1}, {"page_size": -1}, {"page_size": "7"}, {"offline_storage": 1}, {"subscriptions": {"events_first": 1}}):
        assert (await control(world, "PUT", "/behaviour", bad))[0] == 400
    assert (await control(world, "PUT", "/behaviour", {"subscriptions": {"ttl_seconds": None}}))[0] == 200


async def test_a_session_for_another_page_host(world: World) -> None:
    status, shown = await control(world, "GET", f"/session?worker={world.worker.sid}")
    assert (status, shown["identity"], shown["accountSid"]) == (200, world.worker.identity, world.twilio.account_sid)
    assert (await control(world, "GET", "/session?worker=WK0"))[0] == 404
    assert await control(world, "POST", "/event-bridge/end", {}) == (200, {"sockets": 0})


async def test_hold_from_another_process(world: World) -> None:
    call = world.twilio.create_call(Silence(), worker_sid=world.worker.sid)
    assert await control(world, "POST", "/hold", {"task": call.task_sid, "hold": True}) == (200, {"onHold": True})
    assert await control(world, "POST", "/hold", {"task": call.task_sid, "hold": False}) == (200, {"onHold": False})
    assert (await control(world, "POST", "/hold", {"task": "WT0", "hold": True}))[0] == 404
    assert (await control(world, "POST", "/hold", {"task": call.task_sid}))[0] == 400
