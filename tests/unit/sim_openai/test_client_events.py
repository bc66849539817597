"""Every client event that the vendor refuses is refused, with its code and parameter, and the configuration stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.openai.strict_types import check_client_event
from unit.sim_openai.client_events import ACCEPTED, BETA, REFUSED, detection, update
from unit.sim_openai.rig import call, dial
from voiceassist_sim.openai import RealtimeServer


def ids(value: Any) -> str | None:
    return json.dumps(value)[:70] if isinstance(value, dict) else None


async def test_every_event_of_the_table_is_accepted(server: RealtimeServer) -> None:
    for event in ACCEPTED:
        assert check_client_event(event) == [], event
        async with dial(server) as caller:
            await caller.expect("session.created")
            await caller.ws.send(json.dumps(event))
            answers = await caller.settle()
            assert not [answer for answer in answers if answer["type"] == "error"], (event, answers)


async def test_every_event_of_the_table_is_refused(server: RealtimeServer) -> None:
    async with dial(server) as caller:
        created = (await caller.expect("session.created"))[0]["session"]
        for event, code, param in REFUSED:
            await caller.ws.send(json.dumps(event))
            answer = await caller.next()
            assert answer["type"] == "error", (event, answer)
            assert (answer["error"]["code"], answer["error"]["param"]) == (code, param), (event, answer)
            assert answer["error"]["type"] == "invalid_request_error"
        assert await caller.settle() == []
        (unchanged,) = [session.protocol.config for session in server.sessions]
        assert unchanged == created


@pytest.mark.parametrize("event", BETA, ids=ids)
async def test_the_beta_interface_is_refused_by_the_stand_in_and_by_the_types(server: RealtimeServer, event: dict[str, Any]) -> None:
    assert check_client_event(event) != []
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.ws.send(json.dumps(event))
        (answer,) = await caller.expect("error")
        assert answer["error"]["code"] in ("unknown_parameter", "missing_required_parameter", "invalid_value")


async def test_the_event_id_of_the_client_comes_back_in_the_error(server: RealtimeServer) -> None:
    async with dial(server) as caller:
        await caller.expect("session.created")
        error = await caller.refused("session.update", event_id="cfg-1", session={"type": "realtime", "modalities": ["text"]})
        assert error["event_id"] == "cfg-1"
        assert error["message"] == "Unknown parameter: 'session.modalities'."


NO_NUMBER = json.dumps(detection(threshold=0.5)).replace("0.5", "NaN")


@pytest.mark.parametrize("raw", ["", "{", "null", "[]", '"text"', NO_NUMBER, "[" * 5000], ids=range(7))
async def test_what_is_no_json_object_is_refused_and_the_session_goes_on(server: RealtimeServer, raw: str) -> None:
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.ws.send(raw)
        await caller.expect("error")
        await caller.configure()


async def test_binary_frames_end_the_session(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.ws.send(b"\x00\x01")
        await caller.expect("error")
        assert await caller.closed() == 1003


async def test_a_frame_above_the_bound_ends_the_session(server: RealtimeServer) -> None:
    server.behaviour.change({"maxEventBytes": 10_000})
    async with call(server) as caller:
        await caller.send("input_audio_buffer.append", audio="/" * 12_000)
        assert await caller.closed() == 1009


async def test_an_append_above_the_bound_is_refused(server: RealtimeServer) -> None:
    assert server.behaviour.max_append_bytes == 15 * 1024 * 1024
    server.behaviour.max_append_bytes = 3000
    async with call(server) as caller:
        error = await caller.refused("input_audio_buffer.append", audio="A" * 4004)
        assert (error["code"], error["param"]) == ("invalid_value", "audio")
        await caller.send("input_audio_buffer.append", audio="/" * 4000)
        assert await caller.settle() == []
        assert server.sessions[0].protocol.ledger.bytes_heard == 3000


async def test_nulls_count_as_left_out_with_the_lenient_reading(server: RealtimeServer) -> None:
    server.behaviour.lenient_nulls = True
    async with call(server) as caller:
        before = dict(server.sessions[0].protocol.config)
        after = await caller.configure(update(instructions=None, tools=None, audio=None)["session"])
        assert after == before
        error = await caller.refused("session.update", session={"type": None})
        assert error["param"] == "session.type"


async def test_finer_codes_on_request(server: RealtimeServer) -> None:
    server.behaviour.fine_error_codes = True
    async with dial(server) as caller:
        await caller.expect("session.created")
        for event, code in [
            (update(max_output_tokens=5000), "integer_above_max_value"),
            (update(instructions=5), "invalid_type"),
            (update(modalities=["text"]), "unknown_parameter"),
        ]:
            error = await caller.refused(**{"kind": event["type"], "session": event["session"]})
            assert error["code"] == code


async def test_long_item_ids_on_request(server: RealtimeServer) -> None:
    server.behaviour.long_item_ids = True
    async with dial(server) as caller:
        await caller.expect("session.created")
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}], "id": "i" * 60}
        await caller.send("conversation.item.create", item=item)
        await caller.expect("conversation.item.added", "conversation.item.done")
