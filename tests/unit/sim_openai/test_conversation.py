"""Items of the conversation: where they go, what refers to what, and that a response reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from unit.sim_openai.rig import Caller, call, session_config, silence, tone
from voiceassist_sim.openai import RealtimeServer, Utterance


async def say(caller: Caller, text: str, role: str = "user", **fields: Any) -> list[dict[str, Any]]:
    kind = "output_text" if role == "assistant" else "input_text"
    item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields.pop("item", {})}
    await caller.send("conversation.item.create", item=item, **fields)
    return await caller.expect("conversation.item.added", "conversation.item.done")


def order(server: RealtimeServer) -> list[str]:
    return [item.text for item in server.sessions[0].protocol.conversation]


async def test_items_go_to_the_end_to_the_front_or_behind_another(server: RealtimeServer) -> None:
    async with call(server) as caller:
        first = (await say(caller, "one"))[0]
        assert first["previous_item_id"] is None
        one = first["item"]["id"]
        assert (await say(caller, "two"))[0]["previous_item_id"] == one
        assert (await say(caller, "between", previous_item_id=one))[1]["previous_item_id"] == one
        assert (await say(caller, "zero", previous_item_id="root"))[0]["previous_item_id"] is None
        assert (await say(caller, "three", previous_item_id=None))[0]["previous_item_id"] is not None
        assert order(server) == ["zero", "one", "between", "two", "three"]


async def test_ids_of_the_client_are_kept_and_not_taken_twice(server: RealtimeServer) -> None:
    async with call(server) as caller:
        added, done = await say(caller, "one", item={"id": "mine"})
        assert added["item"]["id"] == done["item"]["id"] == "mine"
        item = {"type": "message", "role": "user", "id": "mine", "content": [{"type": "input_text", "text": "again"}]}
        error = await caller.refused("conversation.item.create", item=item)
        assert (error["code"], error["param"]) == ("item_create_duplicate_item_id", "item.id")
        assert order(server) == ["one"]


async def test_items_are_deleted_and_retrieved(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    speech = words["card-charge/c2"].audio
    async with call(server) as caller:
        await caller.append(silence(300) + speech + silence(600))
        turn = await caller.until("conversation.item.done")
        await caller.send("conversation.item.retrieve", item_id=turn["item"]["id"])
        (event,) = await caller.expect("conversation.item.retrieved")
        assert speech[800:-800] in base64.b64decode(event["item"]["content"][0]["audio"])
        await caller.send("conversation.item.delete", item_id=turn["item"]["id"])
        (event,) = await caller.expect("conversation.item.deleted")
        assert event["item_id"] == turn["item"]["id"]
        assert order(server) == []
        assert (await caller.refused("conversation.item.delete", item_id=turn["item"]["id"]))["code"] == "item_delete_invalid_item_id"


async def test_audio_of_an_item_comes_back_only_when_it_is_retrieved(server: RealtimeServer) -> None:
    async with call(server) as caller:
        item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "//7+", "transcript": "hi"}]}
        await caller.send("conversation.item.create", item=item)
        added, done = await caller.expect("conversation.item.added", "conversation.item.done")
        assert added["item"]["content"] == done["item"]["content"] == [{"type": "input_audio", "transcript": "hi"}]
        await caller.send("conversation.item.retrieve", item_id=added["item"]["id"])
        (event,) = await caller.expect("conversation.item.retrieved")
        assert event["item"]["content"] == item["content"]


async def test_an_output_belongs_to_a_call(server: RealtimeServer) -> None:
    async with call(server) as caller:
        item = {"type": "function_call_output", "call_id": "call_1", "output": '{"shown":true}'}
        assert (await caller.refused("conversation.item.create", item=item))["code"] == "invalid_tool_call_id"
        await caller.send("response.create")
        done = await caller.until("response.done")
        item["call_id"] = done["response"]["output"][0]["call_id"]
        await caller.send("conversation.item.create", item=item)
        added, _ = await caller.expect("conversation.item.added", "conversation.item.done")
        assert added["previous_item_id"] == done["response"]["output"][0]["id"]


async def test_only_spoken_output_is_truncated(server: RealtimeServer) -> None:
    async with call(server) as caller:
        item = (await say(caller, "written", role="assistant"))[0]["item"]["id"]
        error = await caller.refused("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=100)
        assert error["message"] == "Only model output audio messages can be truncated."
        await caller.send("response.create", response={"output_modalities": ["audio"], "tool_choice": "none"})
        spoken = (await caller.until("response.done"))["response"]["output"][0]["id"]
        await caller.send("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=100)
        (event,) = await caller.expect("conversation.item.truncated")
        assert event["item_id"] == spoken


async def test_what_the_conversation_holds_is_counted_and_listed(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await caller.send("response.create")
        bare = (await caller.until("response.done"))["response"]["usage"]
        await say(caller, "Agent: one moment please", item={"id": "agent-1"})
        await caller.append(tone(1000) + silence(600))
        await caller.until("conversation.item.done")
        await caller.send("response.create")
        full = (await caller.until("response.done"))["response"]["usage"]
    assert full["input_token_details"]["audio_tokens"] == 15
    assert full["input_token_details"]["text_tokens"] > bare["input_token_details"]["text_tokens"] + 6
    report = server.sessions[0].to_json()
    assert "agent-1" in report["responses"][1]["inputItems"]
    assert {"id": "agent-1", "type": "message", "role": "user", "text": "Agent: one moment please"}.items() <= next(
        item for item in report["conversation"] if item["id"] == "agent-1"
    ).items()


async def test_the_words_of_the_agent_are_no_question(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await say(caller, "Agent: how can I help?")
        await caller.send("response.create")
        done = await caller.until("response.done")
        assert json.loads(done["response"]["output"][0]["arguments"])["relevant"] is False
        await say(caller, "Where is my parcel?")
        await caller.send("response.create")
        done = await caller.until("response.done")
        assert json.loads(done["response"]["output"][0]["arguments"])["question"] == "Where is my parcel?"


async def test_cached_tokens_grow_with_the_conversation_and_break_with_it(server: RealtimeServer) -> None:
    async with call(server, config=session_config(instructions="x" * 2000)) as caller:

        async def cached() -> tuple[int, int]:
            await caller.send("response.create")
            usage = (await caller.until("response.done"))["response"]["usage"]
            details = usage["input_token_details"]
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
            assert usage["input_tokens"] == details["text_tokens"] + details["audio_tokens"]
            assert details["cached_tokens"] <= usage["input_tokens"]
            split = details["cached_tokens_details"]
            assert split["text_tokens"] + split["audio_tokens"] == details["cached_tokens"]
            return details["cached_tokens"], usage["input_tokens"]

        first, size = await cached()
        assert first == 0
        await say(caller, "y" * 400, item={"id": "long"})
        second, _ = await cached()
        assert second == size // 64 * 64 > 0
        await say(caller, "z" * 400)
        third, _ = await cached()
        assert third > second
        await say(caller, "in the middle", previous_item_id="long")
        assert (await cached())[0] == 0
        assert (await cached())[0] > third
        await caller.configure({"type": "realtime", "instructions": "other"})
        assert (await cached())[0] == 0


@pytest.mark.parametrize(
    ("truncation", "dropped", "status"),
    [
        ("auto", 0, "completed"),
        ({"type": "retention_ratio", "retention_ratio": 1.0, "token_limits": {"post_instructions": 350}}, 1, "completed"),
        ({"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": {"post_instructions": 350}}, 3, "completed"),
    ],
)
async def test_the_oldest_items_are_left_out_where_the_context_is_bounded(
    server: RealtimeServer, truncation: Any, dropped: int, status: str
) -> None:
    async with call(server, config=session_config(truncation=truncation)) as caller:
        for number in range(4):
            await say(caller, str(number) * 400)
        await caller.send("response.create")
        done = await caller.until("response.done")
        record = server.sessions[0].protocol.ledger.responses[0]
        assert (record.dropped_items, len(record.input_items), done["response"]["status"]) == (dropped, 4 - dropped, status)


async def test_without_truncation_a_context_that_is_too_long_fails(server: RealtimeServer) -> None:
    config = session_config(truncation="disabled")
    async with call(server, "?model=gpt-realtime", config=config) as caller:
        await say(caller, "x" * 130_000)
        await caller.send("response.create")
        done = await caller.until("response.done")
        assert done["response"]["status"] == "failed"
        assert done["response"]["status_details"]["error"]["code"] == "context_length_exceeded"
