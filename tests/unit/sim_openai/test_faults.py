"""Faults on request: each hits whom it should, as often as it should, and does what it says."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
import websockets

from unit.sim_openai.rig import TIMEOUT_S, Caller, call, dial, session_config, silence, tone, transcribe
from voiceassist_sim.openai import Fault, FaultError, Faults, RealtimeServer
from voiceassist_sim.openai.faults import HANDSHAKE, SESSION, When


async def refused_with(server: RealtimeServer, query: str = "?model=gpt-realtime") -> tuple[int, str]:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with dial(server, query):
            pass
    return refused.value.response.status_code, json.loads(refused.value.response.body or b"{}")["error"]["code"]


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ({"kind": "refuse"}, (503, "server_error")),
        ({"kind": "refuse", "status": 429, "code": "rate_limit_exceeded"}, (429, "rate_limit_exceeded")),
        ({"kind": "unauthorized"}, (401, "invalid_api_key")),
        ({"kind": "forbidden"}, (403, "unsupported_country_region_territory")),
    ],
)
async def test_handshakes_are_refused(server: RealtimeServer, fault: dict[str, Any], answer: tuple[int, str]) -> None:
    server.set_faults([fault])
    assert await refused_with(server) == answer
    server.set_faults([])
    async with call(server):
        pass


async def test_the_next_ones_only(server: RealtimeServer) -> None:
    server.set_faults({"kind": "refuse", "next": 2})
    assert [await refused_with(server), await refused_with(server)] == [(503, "server_error")] * 2
    async with call(server):
        pass
    assert (server.faults.active[0].hits, server.faults.active[0].next) == (2, 0)


async def test_one_kind_of_session_only(server: RealtimeServer) -> None:
    server.set_faults({"kind": "unauthorized", "session": "transcription"})
    async with call(server):
        pass
    assert await refused_with(server, "?intent=transcription") == (401, "invalid_api_key")


def test_a_share_of_them() -> None:
    faults = Faults()
    faults.add("refuse", probability=0.3)
    rng = random.Random(1)
    hits = sum(bool(faults.hit(HANDSHAKE, "realtime", rng)) for _ in range(1000))
    assert 250 < hits < 350
    assert faults.active[0].hits == hits


def test_standing_faults_hit_live_sessions_and_counted_ones_do_not() -> None:
    faults = Faults()
    faults.add("drop", next=1)
    faults.add("stall")
    hit = faults.hit(SESSION, "realtime", random.Random(1), when=When.CONNECT, standing_only=True)
    assert [fault.kind for fault in hit] == ["stall"]


@pytest.mark.parametrize(
    "given",
    [
        "drop",
        [5],
        {"kind": "explode"},
        {},
        {"kind": "drop", "when": "never"},
        {"kind": "drop", "often": True},
        {"kind": "drop", "ms": "soon"},
        {"kind": "drop", "ms": True},
        {"kind": "drop", "probability": 1.5},
        {"kind": "drop", "session": "chat"},
        {"kind": "refuse", "status": 200},
        {"kind": "close", "code": 99},
    ],
)
def test_what_is_no_fault_is_refused_and_the_old_ones_stay(given: Any) -> None:
    faults = Faults([Fault.of({"kind": "stall"})])
    with pytest.raises(FaultError):
        faults.replace(given)
    assert [fault.kind for fault in faults.active] == ["stall"]


@pytest.mark.parametrize("milliseconds", [0, 100])
async def test_the_socket_is_cut(server: RealtimeServer, milliseconds: int) -> None:
    server.set_faults({"kind": "drop", "ms": milliseconds})
    async with dial(server) as caller:
        assert await caller.closed() == 1006
    await asyncio.wait_for(server.sessions[0].done.wait(), TIMEOUT_S)
    assert (server.sessions[0].close_code, server.sessions[0].closed_by) == (1006, "fault")


async def test_a_live_session_is_hit_when_a_fault_is_set(server: RealtimeServer) -> None:
    async with call(server) as one, call(server) as two:
        server.set_faults({"kind": "drop", "sessionId": server.sessions[1].id})
        assert await two.closed() == 1006
        assert await one.settle() == []


async def test_a_drop_in_the_middle_of_a_response(server: RealtimeServer) -> None:
    server.set_faults({"kind": "drop", "when": "response", "deltas": 2})
    server.behaviour.delta_ms = 20
    async with call(server) as caller:
        await caller.send("response.create")
        seen = 0
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                seen += (await caller.next())["type"].endswith(".delta")
        assert 1 <= seen <= 3


async def test_a_stalled_session_says_nothing_more_and_answers_no_ping(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await asyncio.wait_for(await caller.ws.ping(), TIMEOUT_S)
        server.set_faults({"kind": "stall"})
        await caller.append(tone(600) + silence(600))
        await caller.send("response.create")
        pong = await caller.ws.ping()
        protocol = server.sessions[0].protocol
        async with asyncio.timeout(TIMEOUT_S):
            while not protocol.ledger.responses or protocol.ledger.responses[0].done_at_ms is None or protocol.ledger.pings < 2:
                await asyncio.sleep(0.01)
        assert not pong.done()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.ws.recv(), 0.1)
        assert protocol.ledger.bytes_heard == 9600
        assert server.sessions[0].open


async def test_a_stall_in_place_of_the_answer_to_an_update(server: RealtimeServer) -> None:
    server.set_faults({"kind": "stall", "when": "update"})
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.send("session.update", session=session_config())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.ws.recv(), 0.1)
    assert server.sessions[0].protocol.ledger.updates == 0


async def test_an_error_in_place_of_the_answer_to_an_update(server: RealtimeServer) -> None:
    server.set_faults({"kind": "error", "when": "update", "code": "invalid_api_key", "type": "invalid_request_error", "message": "No."})
    async with dial(server) as caller:
        await caller.expect("session.created")
        error = await caller.refused("session.update", session=session_config())
        assert (error["code"], error["type"], error["message"]) == ("invalid_api_key", "invalid_request_error", "No.")


async def test_a_slow_session_waits_before_each_event(server: RealtimeServer) -> None:
    async with call(server) as caller:
        server.set_faults({"kind": "slow", "ms": 50})
        begin = asyncio.get_running_loop().time()
        for _ in range(4):
            await caller.send("input_audio_buffer.clear")
        await caller.expect(*["input_audio_buffer.cleared"] * 4)
        assert asyncio.get_running_loop().time() - begin >= 0.2
        server.set_faults([])
        begin = asyncio.get_running_loop().time()
        for _ in range(100):
            await caller.send("input_audio_buffer.clear")
        await caller.expect(*["input_audio_buffer.cleared"] * 100)
        assert asyncio.get_running_loop().time() - begin < 5


async def test_malformed_frames(server: RealtimeServer) -> None:
    server.set_faults({"kind": "malformed"})
    async with dial(server) as caller:
        await caller.expect("session.created")
        with pytest.raises(json.JSONDecodeError):
            await caller.next()
        await caller.configure()


async def test_unknown_events_are_mixed_in(server: RealtimeServer) -> None:
    server.set_faults({"kind": "unknown-events"})
    async with dial(server, check=False) as caller:
        await caller.expect("session.created", "session.horoscope")
        await caller.configure()
        await caller.send("response.create")
        events = await caller.collect_until("response.done")
    strange = [event["type"] == "response.telepathy.delta" for event in events]
    assert sum(strange) == sum(event["type"].startswith("response.") for event in events) / 2


async def test_ids_are_doubled(server: RealtimeServer) -> None:
    server.set_faults({"kind": "duplicate-ids"})
    async with call(server) as caller:
        await caller.append(tone(600) + silence(600))
        item = (await caller.until("conversation.item.done"))["item"]["id"]
        await caller.send("response.create")
        events = await caller.collect_until("response.done")
    assert events[-1]["response"]["output"][0]["id"] == item
    assert len({event["event_id"] for event in events}) == 1


@pytest.mark.parametrize(
    ("kind", "code"), [("quota", "insufficient_quota"), ("rate-limit", "rate_limit_exceeded"), ("server-error", "server_error")]
)
async def test_responses_fail(server: RealtimeServer, kind: str, code: str) -> None:
    server.set_faults([{"kind": kind, "next": 1}])
    async with call(server) as caller:
        await caller.send("response.create")
        events = await caller.collect_until("response.done")
        assert [event["type"] for event in events] == ["response.created", "rate_limits.updated", "response.done"]
        done = events[-1]["response"]
        assert (done["status"], done["output"], done["status_details"]["error"]["code"]) == ("failed", [], code)
        await caller.send("response.create")
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        server.set_faults([{"kind": kind, "asError": True}])
        error = await caller.refused("response.create", event_id="mine")
        assert (error["code"], error["event_id"]) == (code, "mine")


@pytest.mark.parametrize("code", [1001, 1011])
@pytest.mark.parametrize("when", ["connect", "response"])
async def test_the_socket_is_closed_with_a_code(server: RealtimeServer, code: int, when: str) -> None:
    server.set_faults({"kind": "close", "code": code, "reason": "maintenance", "when": when})

    async def end(caller: Caller) -> None:
        if when == "response":
            await caller.send("response.create")
        assert await caller.closed() == code
        assert caller.ws.close_reason == "maintenance"

    async with dial(server) as caller:
        await end(caller)
    await asyncio.wait_for(server.sessions[0].done.wait(), TIMEOUT_S)
    assert (server.sessions[0].close_code, server.sessions[0].closed_by) == (code, "server")


async def test_a_transcription_fails(server: RealtimeServer) -> None:
    server.set_faults({"kind": "transcription-failed", "next": 1})
    async with transcribe(server) as caller:
        for outcome in ("failed", "completed"):
            await caller.append(tone(600))
            await caller.send("input_audio_buffer.commit")
            await caller.until(f"conversation.item.input_audio_transcription.{outcome}")


async def test_what_waits_for_a_client_that_does_not_read_is_bounded(server: RealtimeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceassist_sim.openai.connection.MAX_WAITING_EVENTS", 50)
    server.set_faults({"kind": "slow", "ms": 10_000})
    async with dial(server) as caller:
        for _ in range(60):
            await caller.send("input_audio_buffer.clear")
        assert await caller.closed() == 1006
    assert server.sessions[0].overflowed


async def test_a_client_that_does_not_read_is_cut_off(server: RealtimeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceassist_sim.openai.connection.SEND_TIMEOUT_S", 0.2)
    async with dial(server, max_queue=1, max_size=None, close_timeout=0.2) as caller:
        await caller.expect("session.created")
        audio = "A" * 4_000_000
        item = {"type": "message", "role": "user", "id": "long", "content": [{"type": "input_audio", "audio": audio}]}
        await caller.send("conversation.item.create", item=item)
        await caller.expect("conversation.item.added", "conversation.item.done")
        for _ in range(20):
            await caller.send("conversation.item.retrieve", item_id="long")
        await asyncio.wait_for(server.sessions[0].done.wait(), TIMEOUT_S)
    assert server.sessions[0].overflowed
    assert (server.sessions[0].close_code, server.sessions[0].closed_by) == (1006, "fault")


async def test_sessions_are_dropped_by_kind_and_by_id(server: RealtimeServer) -> None:
    async with call(server) as one, transcribe(server) as two, call(server) as three:
        assert server.drop(kind="transcription") == 1
        assert await two.closed() == 1006
        assert server.drop(server.sessions[0].id, code=1001) == 1
        assert await one.closed() == 1001
        assert await three.settle() == []
        assert server.drop() == 1
        assert await three.closed() == 1006


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_dropped_connection_is_cut_on_every_loop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def drop_one() -> int:
        async with RealtimeServer(calls=[]) as server, call(server) as caller:
            assert server.drop() == 1
            return await caller.closed()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(drop_one()) == 1006
