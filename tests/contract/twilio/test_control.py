"""The control API, by which the demo and tests in other processes use the stand-in."""

from __future__ import annotations

import base64
import io
import wave
from pathlib import Path
from typing import Any

import pytest
from twilio.rest import Client

from contract.twilio.conftest import NOW, Ask, basic
from voiceassist_sim.twilio import TwilioServer
from voiceassist_sim.twilio.control_settings import parse_address

URL = "wss://assist.example.com/ws/call"


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    file = tmp_path / "call.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0\1\0\2" * 8000)
    return file


async def test_health_and_facts(server: TwilioServer, ask: Ask) -> None:
    assert (await ask("GET", "/_sim/healthz")).body == {"status": "ok"}
    facts = (await ask("GET", "/_sim/account")).body
    assert facts["accountSid"] == server.account_sid
    assert facts["template"] == server.template
    assert (await ask("GET", "/_sim/other")).status == 404


async def test_a_call_from_a_file_and_from_bytes(ask: Ask, wav: Path, client: Client, server: TwilioServer) -> None:
    made = await ask(
        "POST", "/_sim/calls", json={"recording": str(wav), "worker": {"name": "ada@example.com", "roles": ["agent", "admin"]}}
    )
    assert made.status == 201
    assert set(made.body) == {"callSid", "taskSid", "workspaceSid", "workerSid", "reservationSid", "identity", "flexToken"}
    assert (await client.calls(made.body["callSid"]).fetch_async()).status == "in-progress"
    again = await ask(
        "POST", "/_sim/calls", json={"recording": {"wav": base64.b64encode(wav.read_bytes()).decode()}, "worker": made.body["workerSid"]}
    )
    assert again.body["workerSid"] == made.body["workerSid"]
    calls = (await ask("GET", "/_sim/calls")).body["calls"]
    assert [(call["callSid"], call["seconds"], call["status"]) for call in calls] == [
        (made.body["callSid"], 1.0, "in-progress"),
        (again.body["callSid"], 1.0, "in-progress"),
    ]
    valid = await ask("POST", f"/iam/v1/Accounts/{server.account_sid}/Tokens/validate", json={"token": made.body["flexToken"]})
    assert valid.body["roles"] == ["agent", "admin"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"recording": "/no/such/file.wav"},
        {"recording": {"wav": "!"}},
        {"recording": {"wav": base64.b64encode(b"RIFF").decode()}},
        {"recording": "WAV", "status": "asleep"},
        {"recording": "WAV", "hangUp": "soon"},
        {"recording": "WAV", "hangUp": True},
        {"recording": "WAV", "worker": 5},
        {"recording": "WAV", "worker": {"rolls": []}},
        {"recording": "WAV", "attributes": []},
        {"recording": "WAV", "surprise": 1},
    ],
)
async def test_a_call_that_cannot_be_made(ask: Ask, wav: Path, server: TwilioServer, given: dict[str, Any]) -> None:
    if given.get("recording") == "WAV":
        given = {**given, "recording": str(wav)}
    reply = await ask("POST", "/_sim/calls", json=given)
    assert (reply.status, reply.code) == (400, 20001)
    assert list(server.calls) == []


async def test_a_calls_life(ask: Ask, wav: Path, client: Client) -> None:
    made = (await ask("POST", "/_sim/calls", json={"recording": str(wav), "status": "ringing"})).body
    at = f"/_sim/calls/{made['callSid']}"
    assert (await client.calls(made["callSid"]).fetch_async()).status == "ringing"
    assert (await ask("POST", f"{at}/answer")).status == 200
    moved = await ask("POST", f"{at}/transfer", json={"worker": {"name": "bob@example.com"}})
    task = client.taskrouter.v1.workspaces(made["workspaceSid"]).tasks(made["taskSid"])
    held = {one.worker_sid: one.reservation_status for one in await task.reservations.list_async()}
    assert held == {made["workerSid"]: "wrapping", moved.body["workerSid"]: "accepted"}
    assert (await ask("POST", f"/_sim/reservations/{made['reservationSid']}", json={"status": "completed"})).status == 200
    assert (await task.reservations(made["reservationSid"]).fetch_async()).reservation_status == "completed"
    assert (await ask("POST", f"/_sim/reservations/{made['reservationSid']}", json={"status": "x"})).status == 400
    assert (await ask("POST", f"{at}/complete")).status == 200
    assert (await client.calls(made["callSid"]).fetch_async()).status == "completed"
    assert (await ask("POST", f"/_sim/tasks/{made['taskSid']}", json={"status": "completed"})).status == 200
    assert (await task.fetch_async()).assignment_status == "completed"
    for path in (
        "/_sim/calls/CA1/complete",
        "/_sim/calls/CA1/transfer",
        "/_sim/calls/CA1/answer",
        "/_sim/tasks/WT1",
        "/_sim/reservations/WR1",
    ):
        assert (await ask("POST", path, json={"status": "completed"} if "complete" in path or "tasks" in path else None)).status == 404, (
            path
        )


async def test_workers_and_their_tokens(ask: Ask, server: TwilioServer) -> None:
    made = (await ask("POST", "/_sim/workers", json={"name": "boss@example.com", "roles": ["supervisor"]})).body
    assert made["identity"] == "boss_40example_2Ecom"
    token = (await ask("POST", f"/_sim/workers/{made['workerSid']}/token", json={"ttl": -1})).body["flexToken"]
    path = f"/iam/v1/Accounts/{server.account_sid}/Tokens/validate"
    assert (await ask("POST", path, json={"token": token})).code == 20104
    assert (await ask("POST", "/_sim/flex-tokens/revoke", json={"token": made["flexToken"]})).body == {"revoked": True}
    assert (await ask("POST", path, json={"token": made["flexToken"]})).code == 20101
    assert (await ask("GET", "/_sim/workers")).body["workers"][0]["roles"] == ["supervisor"]
    assert (await ask("POST", "/_sim/workers/WK1/token")).status == 404


async def test_streams_and_their_faults(ask: Ask, wav: Path, client: Client, server: TwilioServer) -> None:
    made = (await ask("POST", "/_sim/calls", json={"recording": str(wav)})).body
    own = await ask("PUT", f"/_sim/calls/{made['callSid']}/stream-faults", json={"signature": "none"})
    assert own.body["signature"] == "none"
    assert (await ask("GET", "/_sim/stream-faults")).body["signature"] == "true"
    assert (await ask("PUT", "/_sim/stream-faults", json={"nothing": 1})).status == 400
    assert (await ask("PUT", "/_sim/stream-faults", json={"signature": "wrong"})).body["signature"] == "wrong"
    stream = await client.calls(made["callSid"]).streams.create_async(url=URL, parameter1_name="token", parameter1_value="secret-parameter")
    running = server.streams.get(stream.sid)
    assert running is not None
    assert running.faults.signature == "none"
    await running.ended()
    stats = (await ask("GET", "/_sim/streams")).body["streams"]
    assert [(one["streamSid"], one["state"], one["error"]["code"]) for one in stats] == [(stream.sid, "failed", 31902)]
    assert (await ask("GET", f"/_sim/streams/{stream.sid}")).body == stats[0]
    assert "secret-parameter" not in str(stats)
    assert (await ask("GET", "/_sim/streams/MZ1")).status == 404


async def test_sync_is_shown(ask: Ask, client: Client) -> None:
    made = await client.sync.v1.services.create_async(friendly_name="x")
    service = client.sync.v1.services(made.sid)
    await service.documents.create_async(unique_name="d", data={"n": 1})
    stream = await service.sync_streams.create_async(unique_name="s")
    await service.sync_streams(stream.sid).stream_messages.create_async(data={"n": 2})
    await service.sync_maps.create_async(unique_name="m")
    await service.sync_maps("m").sync_map_items.create_async(key="k", data={"n": 3})
    await service.sync_maps("m").sync_map_permissions("agent").update_async(read=True, write=False, manage=False)
    shown = (await ask("GET", "/_sim/sync")).body
    assert shown["services"] == [{"sid": made.sid, "friendlyName": "x", "aclEnabled": False}]
    by_name = {one["uniqueName"]: one for one in shown["objects"]}
    assert by_name["d"]["data"] == {"n": 1}
    assert by_name["m"]["items"] == [{"key": "k", "data": {"n": 3}}]
    assert by_name["m"]["permissions"] == [{"identity": "agent", "read": True, "write": False, "manage": False}]
    messages = (await ask("GET", "/_sim/sync/messages?stream=s")).body["messages"]
    assert [(one["at"], one["data"]) for one in messages] == [(NOW, {"n": 2})]
    assert (await ask("GET", "/_sim/sync/messages?stream=other")).body["messages"] == []


async def test_requests_are_remembered_without_contents(ask: Ask, server: TwilioServer) -> None:
    await ask("POST", "/sync/v1/Services", form={"FriendlyName": "content"})
    await ask("GET", "/sync/v1/Services?PageSize=1", headers=basic("AC", "secret"))
    await ask("PUT", "/_sim/faults", json={"rules": [{"kind": "429", "path": "/sync/"}]})
    await ask("GET", "/sync/v1/Services")
    seen = (await ask("GET", "/_sim/requests")).body
    assert [(one["method"], one["path"], one["status"], one["code"], one["fault"]) for one in seen["requests"]] == [
        ("POST", "/sync/v1/Services", 201, None, None),
        ("GET", "/sync/v1/Services", 401, 20003, None),
        ("GET", "/sync/v1/Services", 429, 20429, "429"),
    ]
    assert seen["total"] == 3
    assert "content" not in str(seen)
    assert server.api_key[1] not in str(seen)


async def test_faults_by_http(ask: Ask) -> None:
    reply = await ask("PUT", "/_sim/faults", json={"seed": 3, "rules": [{"kind": "5xx", "method": "POST", "times": 1, "status": 503}]})
    assert reply.status == 200
    assert (await ask("POST", "/sync/v1/Services")).status == 503
    assert (await ask("POST", "/sync/v1/Services")).status == 201
    assert [rule["fired"] for rule in (await ask("GET", "/_sim/faults")).body["rules"]] == [1]
    for bad in (
        {"rules": [{"kind": "x"}]},
        {"rules": [{}]},
        {"rules": [{"kind": "429", "share": 2}]},
        {"rules": [{"kind": "429", "path": "("}]},
        {"rules": [{"kind": "5xx", "status": 404}]},
        {"rules": [{"kind": "latency", "seconds": -1}]},
        {"rules": [{"kind": "429", "chance": 1}]},
        {"rules": "429"},
        {"rule": []},
    ):
        assert (await ask("PUT", "/_sim/faults", json=bad)).status == 400, bad
    assert len((await ask("GET", "/_sim/faults")).body["rules"]) == 1
    assert (await ask("PUT", "/_sim/faults", json={})).body["rules"] == []


async def test_settings_by_http(ask: Ask, server: TwilioServer) -> None:
    old = server.api_key
    new = "SK" + "1" * 32
    reply = await ask(
        "PUT",
        "/_sim/settings",
        json={
            "lenient": {"unknown_fields": True},
            "sync": {"messages": {"per_second": 5, "burst_seconds": 2}, "message_bytes": 100},
            "maxConcurrentRequests": 50,
            "maxForkedTracks": 2,
            "authToken": "rotated-token",
            "authTokenSecondary": server.credentials.auth_token,
            "apiKeys": {new: "new-secret"},
            "connectTo": {"assist.example.com": "127.0.0.1:4000"},
        },
    )
    assert reply.status == 200
    assert reply.body["lenient"]["unknown_fields"] is True
    assert reply.body["sync"]["messages"] == {"per_second": 5, "burst_seconds": 2}
    assert (reply.body["maxConcurrentRequests"], reply.body["maxForkedTracks"]) == (50, 2)
    assert reply.body["connectTo"] == {"assist.example.com": "127.0.0.1:4000"}
    assert reply.body["hasSecondaryAuthToken"] is True
    for secret in ("rotated-token", "new-secret", old[1]):
        assert secret not in str(reply.body)
    assert server.settings.message_rate().capacity == 10
    assert server.credentials.auth_token == "rotated-token"
    assert server.connect_to == {"assist.example.com": ("127.0.0.1", 4000)}
    assert (await ask("GET", "/sync/v1/Services", headers=basic(new, "new-secret"))).status == 200
    everything = dict.fromkeys(reply.body["lenient"], False)
    least = {"lenient": everything, "sync": reply.body["sync"], "maxForkedTracks": 1, "authTokenSecondary": None}
    changed = await ask("PUT", "/_sim/settings", json=least)
    assert changed.body["lenient"] == everything
    assert changed.body["hasSecondaryAuthToken"] is False
    await ask(
        "PUT", "/_sim/settings", json={"apiKeys": {new: None}, "connectTo": {"assist.example.com": None}, "maxConcurrentRequests": None}
    )
    assert (await ask("GET", "/sync/v1/Services", headers=basic(new, "new-secret"))).status == 401
    assert server.connect_to == {}
    assert server.settings.max_concurrent_requests is None


@pytest.mark.parametrize(
    "bad",
    [
        {"lenient": {"everything": True}},
        {"lenient": {"unknown_fields": "yes"}},
        {"sync": {"messages": 5}},
        {"sync": {"messages": {"per_second": 0}}},
        {"sync": {"messages": {"per_second": 1, "burst_seconds": 0}}},
        {"sync": []},
        {"lenient": []},
        {"sync": {"message_bytes": 1.5}},
        {"sync": {"message_bytes": True}},
        {"authToken": 5},
        {"apiKeys": {"SK1": 5}},
        {"connectTo": {"host": 5}},
        {"sync": {"messages": {"rate": 1}}},
        {"sync": {"message_bytes": -1}},
        {"sync": {"other": 1}},
        {"serverless": {"max_builds": 0}},
        {"serverless": {"build_seconds": -1}},
        {"serverless": {"build_polls": True}},
        {"serverless": {"runtimes": "node22"}},
        {"serverless": {"runtimes": ["deno"]}},
        {"serverless": {"other": 1}},
        {"serverless": []},
        {"suspended": 20404},
        {"suspended": "20005"},
        {"maxConcurrentRequests": 0},
        {"authToken": ""},
        {"apiKeys": []},
        {"connectTo": {"host": "nowhere"}},
        {"connectTo": {"host": "127.0.0.1:1,nowhere"}},
        {"connectTo": {"host": ""}},
        {"unknown": 1},
    ],
)
async def test_bad_settings_change_nothing(ask: Ask, bad: dict[str, Any]) -> None:
    before = (await ask("GET", "/_sim/settings")).body
    assert (await ask("PUT", "/_sim/settings", json={"lenient": {"any_json_data": True}, "maxForkedTracks": 3, **bad})).status == 400
    assert (await ask("GET", "/_sim/settings")).body == before


async def test_a_name_may_lead_to_several_addresses(ask: Ask, server: TwilioServer) -> None:
    def dialled() -> set[object]:
        return {server.streams.dialer.target("assist.example.com", 443) for _ in range(40)}

    several = {"assist.example.com": "127.0.0.1:4000,127.0.0.1:4001"}
    assert (await ask("PUT", "/_sim/settings", json={"connectTo": several})).body["connectTo"] == several
    assert dialled() == {("127.0.0.1", 4000), ("127.0.0.1", 4001)}
    await ask("PUT", "/_sim/settings", json={"connectTo": {"assist.example.com": "127.0.0.1:4002"}})
    assert dialled() == {("127.0.0.1", 4002)}


@pytest.mark.parametrize("bad", ["", "host", "host:", ":80", "host:x", "host:0", "host:65536", "host:²"])
def test_addresses(bad: str) -> None:
    assert parse_address("127.0.0.1:65535") == ("127.0.0.1", 65535)
    assert parse_address("[::1]:1") == ("::1", 1)
    with pytest.raises(ValueError, match="ADDRESS:PORT"):
        parse_address(bad)


async def test_only_json_objects(ask: Ask) -> None:
    for given in ({"json": []}, {"data": b"{}"}, {"data": b"{", "headers": {"Content-Type": "application/json"}}):
        assert (await ask("PUT", "/_sim/settings", **given)).status == 400
    big = io.BytesIO(b"x" * (2 << 20)).read()
    assert (await ask("PUT", "/_sim/settings", data=big, headers={"Content-Type": "application/json"})).status == 413
