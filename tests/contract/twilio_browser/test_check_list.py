"""What no client may do on the socket is refused and recorded, so that a test of a client that does it can fail; a good one leaves none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contract.twilio_browser.raw_client import Socket, World, frame, packet_id
from voiceassist_sim.twilio import Kind
from voiceassist_sim.twilio.browser import Rule

Deed = Callable[[World, Socket], Awaitable[Any]]
MAP = "/v3/Maps/SUGGESTIONS"


async def test_a_good_client_violates_nothing(world: World) -> None:
    found = world.make(Kind.MAP, "SUGGESTIONS", write=True)
    world.put(found, "0001", text="one")
    socket = await world.connected()
    await socket.send({"method": "telemetry.v1", "events": [{"start": -29, "end": 0, "title": "x", "details": ""}]})
    status, root = await socket.ask("GET", MAP)
    assert (status, root["sid"], root["last_event_id"]) == (200, found.sid, 1)
    items = root["links"]["items"].removeprefix("https://cds.us1.twilio.com")
    status, page = await socket.ask("GET", items, params={"HideExpired": "true", "PageSize": "101", "Order": "asc"})
    assert [item["key"] for item in page["items"]] == ["0001"]
    assert await socket.subscribe((found, 1)) == (200, {"max_batch_size": 1000, "estimated_delivery_in_ms": 5000})
    established = await socket.event("subscription_established")
    assert established["correlation_id"] == 7
    assert established["events"][0]["replay_status"] == "completed"
    world.put(found, "0002", text="two")
    event = await socket.event("map_item_added")
    assert event["message_type"] == "com.twilio.rtd.cds.map"
    assert (event["event"]["id"], event["event"]["item_data"]) == (2, {"text": "two"})
    assert (await socket.ask("PUT", f"{items}/k%2F1", {"data": {"a": 1}}))[0] == 201
    assert (await socket.ask("DELETE", f"{items}/k%2F1", b"data_sync"))[0] == 200
    update = await socket.send({"method": "update", "token": world.token()})
    assert (await socket.reply(update))[0]["status"]["code"] == 200
    await socket.send({"method": "close"})
    assert await socket.end() == 1000
    assert world.rules == []


async def text_frame(_: World, socket: Socket) -> None:
    await socket.websocket.send_str(frame({"method": "telemetry.v1", "id": "TM1", "events": []}).decode())


async def wrong_payload_size(_: World, socket: Socket) -> None:
    await socket.websocket.send_bytes(frame({"method": "telemetry.v1", "id": packet_id()}, {}, size=3))


async def another_version(_: World, socket: Socket) -> None:
    await socket.websocket.send_bytes(frame({"method": "telemetry.v1", "id": packet_id()}, version="V2.0"))


async def second_init(world: World, socket: Socket) -> None:
    await socket.send({"method": "init", "token": world.token(), "registrations": []})


@pytest.mark.parametrize(
    ("deed", "rule"),
    [
        (text_frame, Rule.TEXT_FRAME),
        (wrong_payload_size, Rule.BAD_PACKET),
        (another_version, Rule.BAD_PACKET),
        (second_init, Rule.SECOND_INIT),
    ],
)
async def test_what_breaks_the_protocol_ends_the_socket(world: World, deed: Deed, rule: Rule) -> None:
    socket = await world.connected()
    await deed(world, socket)
    assert await socket.end() == 1002
    assert world.rules == [rule]


@pytest.mark.parametrize("method", ["message", "update", "telemetry.v1", "reply"])
async def test_nothing_comes_before_init(world: World, method: str) -> None:
    socket = await world.socket()
    await socket.send({"method": method, "token": world.token()})
    assert await socket.end() == 1002
    assert world.rules == [Rule.BEFORE_INIT]


def body(**changes: Any) -> dict[str, Any]:
    usual = {"event_protocol_version": 4, "action": "establish", "correlation_id": 1, "retried_requests": 0, "ttl_in_s": -1, "requests": []}
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


SUBSCRIPTIONS = "/v4/Subscriptions"
ITEMS = f"{MAP}/Items"
SHOWN = {"HideExpired": "true"}


@pytest.mark.parametrize(
    ("asked", "status", "rule"),
    [
        ({"path": MAP, "grant": None}, -400, Rule.NO_ACTIVE_GRANT),
        ({"path": MAP, "grant": "ip_messaging"}, -400, Rule.NO_ACTIVE_GRANT),
        ({"path": "v3/Maps/x"}, -400, Rule.BAD_REQUEST),
        ({"path": "/v2/Maps/SUGGESTIONS"}, 404, Rule.UNKNOWN_PATH),
        ({"path": "/v3/Files/SUGGESTIONS"}, 404, Rule.UNKNOWN_PATH),
        ({"path": f"{MAP}/Permissions"}, 404, Rule.UNKNOWN_PATH),
        ({"path": "/v3/Documents/SUGGESTIONS/Items"}, 404, Rule.UNKNOWN_PATH),
        ({"path": MAP, "method": "PATCH"}, 404, Rule.UNKNOWN_PATH),
        ({"path": MAP, "params": {"Included": "items"}}, 400, Rule.UNKNOWN_PARAMETER),
        ({"path": ITEMS, "params": {**SHOWN, "Page": "2"}}, 400, Rule.UNKNOWN_PARAMETER),
        ({"path": ITEMS, "params": {**SHOWN, "Order": "up"}}, 400, Rule.UNKNOWN_PARAMETER),
        ({"path": ITEMS, "params": {**SHOWN, "PageSize": "0"}}, 400, Rule.UNKNOWN_PARAMETER),
        ({"path": ITEMS, "params": {"HideExpired": ["true", "true"]}}, -400, Rule.UNKNOWN_PARAMETER),
        ({"path": ITEMS}, 400, Rule.HIDE_EXPIRED),
        ({"path": ITEMS, "params": {"HideExpired": "false"}}, 400, Rule.HIDE_EXPIRED),
        ({"path": f"{ITEMS}/k", "method": "PUT", "body": {"data": {}, "tll": 1}}, 400, Rule.UNKNOWN_PARAMETER),
        ({"path": f"{ITEMS}/k", "method": "PUT", "body": [1]}, 400, Rule.UNKNOWN_PARAMETER),
        ({"path": SUBSCRIPTIONS, "method": "GET"}, 400, Rule.BAD_REQUEST),
        ({"path": SUBSCRIPTIONS, "method": "POST", "body": body(event_protocol_version=3)}, 400, Rule.PROTOCOL_VERSION),
        ({"path": SUBSCRIPTIONS, "method": "POST", "body": body(event_protocol_version=...)}, 400, Rule.PROTOCOL_VERSION),
        ({"path": SUBSCRIPTIONS, "method": "POST", "body": body(action="listen")}, 400, Rule.BAD_REQUEST),
        ({"path": SUBSCRIPTIONS, "method": "POST", "body": body(correlation_id="1")}, 400, Rule.BAD_REQUEST),
        ({"path": SUBSCRIPTIONS, "method": "POST", "body": body(limit=1)}, 400, Rule.UNKNOWN_PARAMETER),
        ({"path": SUBSCRIPTIONS, "method": "POST", "body": body(requests=[{"object_sid": "MP1"}])}, 400, Rule.BAD_REQUEST),
    ],
)
async def test_requests_that_sync_does_not_know(world: World, asked: dict[str, Any], status: int, rule: Rule) -> None:
    world.make(Kind.MAP, "SUGGESTIONS", write=True)
    socket = await world.connected()
    given = {"method": "GET", "body": None, **asked}
    found, _ = await socket.ask(given.pop("method"), given.pop("path"), given.pop("body"), **given)
    assert (found, world.rules) == (status, [rule])


async def test_a_subscription_without_permission_fails_and_is_recorded(world: World) -> None:
    found = world.make(Kind.MAP, "SUGGESTIONS", read=False)
    socket = await world.connected()
    assert (await socket.subscribe((found, 0)))[0] == 200
    failed = (await socket.event("subscription_failed"))["events"][0]
    assert failed == {
        "object_sid": found.sid,
        "object_type": "map",
        "error": {"status": 403, "code": 54007, "message": "Access forbidden for identity"},
    }
    assert world.rules == [Rule.NOT_ALLOWED]
    world.put(found, "0001", text="secret")
    await asyncio.sleep(0.2)
    assert await socket.ask("GET", MAP) == (403, {**_forbidden()})
    assert all(payload is None or payload.get("event_type") != "map_item_added" for _, payload in socket.seen)


async def test_a_subscription_of_what_is_gone_fails_without_being_the_clients_fault(world: World) -> None:
    found = world.make(Kind.MAP, "SUGGESTIONS")
    socket = await world.connected()
    world.twilio.sync.delete(world.service, found, world.twilio.clock())
    await socket.subscribe((found, 0))
    assert (await socket.event("subscription_failed"))["events"][0]["error"]["status"] == 404
    assert world.rules == []


async def test_what_is_not_acknowledged_is_recorded(world: World) -> None:
    world.edge.sync.behaviour.acknowledge = 0.5
    found = world.make(Kind.MAP, "SUGGESTIONS")
    socket = await world.connected()
    await socket.subscribe((found, 0))
    await socket.event("subscription_established")
    socket.acknowledges = False
    world.put(found, "0001", text="one")
    await socket.event("map_item_added")
    async with asyncio.timeout(5):
        while not world.rules:
            await asyncio.sleep(0.05)
    assert world.rules == [Rule.NO_ACKNOWLEDGEMENT]
    assert world.edge.sync.violations.kept[0].detail == "map_item_added was not acknowledged"


async def test_a_late_acknowledgement_is_recorded_once(world: World) -> None:
    """Late, and not a reply to nothing besides."""
    world.edge.sync.behaviour.acknowledge = 0.2
    found = world.make(Kind.MAP, "SUGGESTIONS")
    socket = await world.connected()
    await socket.subscribe((found, 0))
    await socket.event("subscription_established")
    socket.acknowledges = False
    world.put(found, "0001", text="one")
    await socket.event("map_item_added")
    unanswered = socket.seen[-1][0]["id"]
    async with asyncio.timeout(5):
        while not world.rules:
            await asyncio.sleep(0.05)
    await socket.send({"method": "reply", "id": unanswered, "status": {"code": 200, "status": "OK"}})
    await socket.ask("GET", "/v3/Maps/NONE")
    assert world.rules == [Rule.NO_ACKNOWLEDGEMENT]


async def test_an_acknowledgement_of_nothing_is_recorded(world: World) -> None:
    socket = await world.connected()
    await socket.send({"method": "reply", "status": {"code": 200, "status": "OK"}})
    await socket.ask("GET", "/v3/Maps/NONE")
    assert world.rules == [Rule.STRAY_REPLY]


async def test_an_unknown_packet_is_refused(world: World) -> None:
    socket = await world.connected()
    header, _ = await socket.reply(await socket.send({"method": "shout"}))
    assert (header["status"]["code"], world.rules) == (400, [Rule.UNKNOWN_METHOD])


async def test_what_was_wrong_is_told_by_the_control_api(world: World) -> None:
    socket = await world.connected()
    await socket.ask("GET", "/v2/Maps/SUGGESTIONS")
    async with world.http.get(f"{world.twilio.url}/_sim/browser") as response:
        told = (await response.json())["violations"]
    assert told["counts"] == {"unknown-path": 1}
    assert told["kept"][0]["product"] == "data_sync"
    assert "SUGGESTIONS" not in told["kept"][0]["detail"]
    async with world.http.delete(f"{world.twilio.url}/_sim/browser/violations") as response:
        assert response.status == 200
    assert world.rules == []


def _forbidden() -> dict[str, Any]:
    code = 54007
    return {
        "code": code,
        "message": "Access forbidden for identity",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": 403,
    }
