"""Responses: what they say, in which order of events, how they are cut short, and how many may run."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from unit.sim_openai.rig import SUGGEST, Caller, Event, call, session_config, silence, tone
from voiceassist_sim.openai import RealtimeServer, Utterance

START = ("response.created", "rate_limits.updated", "response.output_item.added", "conversation.item.added")
END = ("response.output_item.done", "conversation.item.done", "response.done")


async def speak(caller: Caller, *audio: bytes) -> None:
    """One turn for each stretch of audio."""
    for speech in audio:
        await caller.append(silence(400) + speech + silence(600))
        await caller.collect_until("conversation.item.done")


async def respond(caller: Caller, **response: Any) -> list[Event]:
    await caller.send("response.create", **({"response": response} if response else {}))
    return await caller.collect_until("response.done")


def kinds(events: list[Event]) -> list[str]:
    """Types of events, a run of one type given once."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event["type"]:
            found.append(event["type"])
    return found


def arguments(events: list[Event]) -> dict[str, Any]:
    (done,) = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    found: dict[str, Any] = json.loads(done["arguments"])
    return found


async def test_a_call_comes_in_fine_deltas_and_in_order(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    known = words["card-charge/c2"]
    async with call(server) as caller:
        await speak(caller, known.audio)
        events = await respond(caller)
    assert kinds(events) == [*START, "response.function_call_arguments.delta", "response.function_call_arguments.done", *END]
    deltas = [event["delta"] for event in events if event["type"].endswith(".delta")]
    assert len(deltas) > 20 and all(3 <= len(delta) <= 8 for delta in deltas[:-1])
    text = "".join(deltas)
    assert text.startswith('{"relevant":true,"answer":')
    assert list(json.loads(text)) == ["relevant", "answer", "question"]
    assert json.loads(text) == {"relevant": True, "answer": known.answer, "question": known.question}
    done = events[-1]["response"]
    (item,) = done["output"]
    assert (done["status"], done["status_details"], item["status"], item["type"]) == ("completed", None, "completed", "function_call")
    assert item["arguments"] == text
    added = events[2]["item"]
    assert (added["status"], added["arguments"], added["call_id"]) == ("in_progress", "", item["call_id"])
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}
    assert {event["response_id"] for event in events if "response_id" in event} == {done["id"]}


async def test_properties_come_in_the_order_of_the_schema(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    swapped = json.loads(json.dumps(SUGGEST))
    swapped["parameters"]["properties"] = {name: {"type": kind} for name, kind in [("question", "string"), ("relevant", "boolean")]}
    async with call(server, config=session_config(tools=[swapped])) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        assert list(arguments(await respond(caller))) == ["question", "relevant"]


async def test_what_is_not_relevant_is_said_so(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    async with call(server) as caller:
        await speak(caller, words["card-charge/c1"].audio)
        assert arguments(await respond(caller)) == {"relevant": False, "answer": "", "question": ""}


async def test_what_is_not_required_is_left_out_where_nothing_is_relevant(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    loose = json.loads(json.dumps(SUGGEST))
    loose["parameters"]["required"] = ["relevant"]
    async with call(server, config=session_config(tools=[loose])) as caller:
        await speak(caller, words["card-charge/c1"].audio)
        assert arguments(await respond(caller)) == {"relevant": False}
        await speak(caller, words["card-charge/c2"].audio)
        assert arguments(await respond(caller)).keys() == {"relevant", "answer", "question"}


async def test_silence_is_nothing_to_answer(server: RealtimeServer) -> None:
    async with call(server, config=session_config(turn_detection=None)) as caller:
        await caller.append(silence(800))
        await caller.send("input_audio_buffer.commit")
        assert arguments(await respond(caller))["relevant"] is False


async def test_unknown_audio_is_answered_by_its_length_and_loudness(server: RealtimeServer) -> None:
    async with call(server) as caller:
        await speak(caller, tone(1240, -23))
        said = arguments(await respond(caller))
    assert said["relevant"] is True
    assert said["question"] == "Unknown audio of 1240 ms"
    assert said["answer"] == "Heard 1240 ms of unknown audio at -23.0 dBFS."


async def test_all_turns_since_the_last_answer_are_answered_together_and_once(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    one, two = words["card-charge/c2"], words["card-charge/c4"]
    async with call(server) as caller:
        await speak(caller, one.audio, words["card-charge/c1"].audio, two.audio)
        said = arguments(await respond(caller))
        assert said["answer"] == f"{one.answer} {two.answer}"
        assert said["question"] == f"{one.question} / {two.question}"
        assert arguments(await respond(caller))["relevant"] is False
        ledger = server.sessions[0].protocol.ledger
        assert ledger.responses[0].turns == [turn.item for turn in ledger.turns]
        assert ledger.turns[2].responses == [ledger.responses[0].id]


async def test_the_instructions_matter(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    known = words["card-charge/c2"]
    async with call(server, config=session_config(instructions="You help.\n  Prefix: Dear agent,  \nBe brief.")) as caller:
        await speak(caller, known.audio)
        assert arguments(await respond(caller))["answer"] == f"Dear agent, {known.answer}"
        await speak(caller, known.audio)
        assert arguments(await respond(caller, instructions="Prefix: Hey!"))["answer"] == f"Hey! {known.answer}"


async def test_the_instructions_may_make_answers_late_long_or_unreadable(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    known = words["card-charge/c2"]
    async with call(server, config=session_config(instructions="Wait: 400\nRepeat: 2")) as caller:
        await speak(caller, known.audio)
        assert arguments(await respond(caller))["answer"] == f"{known.answer} {known.answer}"
        record = server.sessions[0].protocol.ledger.responses[0]
        assert record.first_token_ms == server.behaviour.first_token_ms + 400
        await speak(caller, known.audio)
        await respond(caller, instructions="Form: prose")
        assert server.sessions[0].protocol.ledger.responses[1].arguments == f"You could say: {known.answer}"
        await speak(caller, known.audio)
        await respond(caller, instructions="Form: text")
        assert server.sessions[0].protocol.ledger.responses[2].text == known.answer


STYLES = [
    ("whole", [*START, "response.function_call_arguments.delta", "response.function_call_arguments.done", *END]),
    (
        "preamble",
        [
            *START,
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            *END[:2],
            *START[2:],
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            *END,
        ],
    ),
    (
        "text",
        [
            *START,
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            *END,
        ],
    ),
]


@pytest.mark.parametrize(("style", "order"), STYLES)
async def test_the_shape_of_the_answer_can_be_another(
    server: RealtimeServer, words: dict[str, Utterance], style: str, order: list[str]
) -> None:
    known = words["card-charge/c2"]
    server.behaviour.change({"answerStyle": style})
    async with call(server) as caller:
        await speak(caller, known.audio)
        events = await respond(caller)
    assert kinds(events) == order
    output = events[-1]["response"]["output"]
    if style == "whole":
        assert sum(event["type"].endswith(".delta") for event in events) == 1
    if style == "preamble":
        assert [(item["type"], item.get("phase")) for item in output] == [("message", "commentary"), ("function_call", None)]
        assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1]
    if style == "text":
        assert output[0]["content"] == [{"type": "output_text", "text": known.answer}]
        assert [event["part"] for event in events if "part" in event] == [
            {"type": "text", "text": ""},
            {"type": "text", "text": known.answer},
        ]


async def test_without_phases_a_preamble_has_none(server: RealtimeServer) -> None:
    server.behaviour.change({"answerStyle": "preamble", "preamblePhase": False})
    async with call(server) as caller:
        assert "phase" not in (await respond(caller))[-1]["response"]["output"][0]


async def test_without_a_tool_the_answer_is_text(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    for config in (session_config(tools=[], tool_choice="auto"), session_config(tool_choice="none")):
        async with call(server, config=config) as caller:
            await speak(caller, words["card-charge/c2"].audio)
            assert (await respond(caller))[-1]["response"]["output"][0]["type"] == "message"


async def test_which_function_is_called(server: RealtimeServer) -> None:
    other = {
        "type": "function",
        "name": "show",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "number"}}},
    }
    for choice, name in (("auto", "suggest"), ("required", "show"), ({"type": "function", "name": "show"}, "show")):
        async with call(server, config=session_config(tools=[other, SUGGEST], tool_choice=choice)) as caller:
            assert (await respond(caller))[-1]["response"]["output"][0]["name"] == name


async def test_audio_output_has_its_own_events(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    known = words["card-charge/c2"]
    async with call(server, config=session_config(output_modalities=["audio"], tool_choice="none")) as caller:
        await speak(caller, known.audio)
        events = await respond(caller)
    seen = {event["type"] for event in events}
    assert {"response.output_audio.delta", "response.output_audio_transcript.delta", "response.output_audio_transcript.done"} <= seen
    assert not {"response.output_text.delta", "response.function_call_arguments.delta"} & seen
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": known.answer}]


# -------------------------------------------------------------------------------------------------------------- cut short


@pytest.mark.parametrize("tool_choice", ["none", "auto"])
async def test_the_token_limit_ends_a_response_as_incomplete(server: RealtimeServer, words: dict[str, Utterance], tool_choice: str) -> None:
    async with call(server, config=session_config(max_output_tokens=10, tool_choice=tool_choice)) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        events = await respond(caller)
        done = events[-1]["response"]
        assert (done["status"], done["status_details"]) == ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        assert done["max_output_tokens"] == 10
        assert done["usage"]["output_tokens"] == 10
        (item,) = done["output"]
        assert item["status"] == "incomplete"
        text = item["arguments"] if tool_choice == "auto" else item["content"][0]["text"]
        assert len(text) == 40
        assert len((await respond(caller, max_output_tokens=4))[-1]["response"]["output"]) == 1


@pytest.mark.parametrize(("model", "status"), [("gpt-realtime-2.1", "incomplete"), ("gpt-realtime", "completed")])
async def test_reasoning_can_eat_the_token_limit(server: RealtimeServer, words: dict[str, Utterance], model: str, status: str) -> None:
    server.behaviour.reasoning_tokens = 500
    async with call(server, f"?model={model}", config=session_config(max_output_tokens=400)) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        done = (await respond(caller))[-1]["response"]
    assert done["status"] == status
    assert (done["usage"]["output_tokens"] >= 500) is (status == "incomplete")


async def test_a_response_can_be_cancelled_at_any_point(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    server.behaviour.change({"deltaMs": 60_000})
    async with call(server) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        for first_token_ms, outputs in ((60_000, 0), (0, 1)):
            server.behaviour.first_token_ms = first_token_ms
            await caller.send("response.create")
            created = await caller.until("response.created")
            if outputs:
                await caller.until("response.function_call_arguments.delta")
            await caller.send("response.cancel", response_id=created["response"]["id"])
            events = await caller.collect_until("response.done")
            done = events[-1]["response"]
            assert (done["status"], done["status_details"]) == ("cancelled", {"type": "cancelled", "reason": "client_cancelled"})
            assert [item["status"] for item in done["output"]] == ["incomplete"] * outputs
            assert done["usage"] is not None
        # What was cancelled is not answered: the next response answers it.
        server.behaviour.change({"deltaMs": 0, "firstTokenMs": 0})
        assert arguments(await respond(caller))["relevant"] is True
        assert (await caller.refused("response.cancel"))["code"] == "response_cancel_not_active"


async def test_only_one_response_writes_to_the_conversation(server: RealtimeServer) -> None:
    server.behaviour.change({"firstTokenMs": 60_000})
    async with call(server) as caller:
        await caller.send("response.create")
        created = (await caller.expect("response.created", "rate_limits.updated"))[0]
        error = await caller.refused("response.create", event_id="second")
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
        assert created["response"]["id"] in error["message"]
        await caller.send("response.cancel")
        await caller.expect("response.done")
        await caller.send("response.create")
        await caller.expect("response.created", "rate_limits.updated")


# -------------------------------------------------------------------------------------------------------------- out of band


async def test_an_out_of_band_response_runs_beside_and_leaves_no_trace(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    server.behaviour.change({"firstTokenMs": 60_000})
    async with call(server) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        before = server.sessions[0].protocol.conversation.to_json()
        await caller.send("response.create")
        await caller.expect("response.created", "rate_limits.updated")
        server.behaviour.change({"firstTokenMs": 0})
        turn = server.sessions[0].protocol.ledger.turns[0].item
        summary = {
            "conversation": "none",
            "metadata": {"kind": "summary"},
            "instructions": "Summarise.",
            "tools": [],
            "tool_choice": "none",
            "input": [
                {"type": "item_reference", "id": turn},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Notes: caller verified"}]},
            ],
        }
        await caller.send("response.create", response=summary)
        events = await caller.collect_until("response.done")
        done = events[-1]["response"]
        assert (done["conversation_id"], done["metadata"]) == (None, {"kind": "summary"})
        assert "Notes: caller verified" in done["output"][0]["content"][0]["text"]
        assert not any(event["type"].startswith("conversation.item") for event in events)
        assert server.sessions[0].protocol.conversation.to_json()[: len(before)] == before
        (record,) = [record for record in server.sessions[0].protocol.ledger.responses if record.out_of_band]
        assert record.input_items[0] == turn and len(record.input_items) == 2
        await caller.send("response.cancel")
        done = await caller.until("response.done")
        assert done["response"]["conversation_id"] is not None


async def test_audio_in_an_item_is_heard_as_a_turn_is(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    audio = words["card-charge/c2"].audio
    given = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": base64.b64encode(audio).decode()}]}
    async with call(server) as caller:
        heard = arguments(await respond(caller, conversation="none", input=[given]))
        assert heard["answer"] == words["card-charge/c2"].answer
        given["content"] = [{"type": "input_audio", "audio": base64.b64encode(tone(1240, -23)).decode()}]
        assert arguments(await respond(caller, conversation="none", input=[given]))["question"] == "Unknown audio of 1240 ms"
        await speak(caller, audio)
        assert arguments(await respond(caller)) == heard


async def test_what_a_client_puts_in_as_the_models_call_answers_what_stands_before_it(
    server: RealtimeServer, words: dict[str, Utterance]
) -> None:
    async with call(server) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        turn = server.sessions[0].protocol.ledger.turns[0].item
        said = {"type": "function_call", "name": "suggest", "call_id": "call_elsewhere", "arguments": "{}"}
        await caller.send("conversation.item.create", item=said, previous_item_id=turn)
        await caller.until("conversation.item.done")
        assert arguments(await respond(caller))["relevant"] is False


async def test_an_empty_input_is_an_empty_context(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    async with call(server) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        assert arguments(await respond(caller, input=[]))["relevant"] is False
        assert arguments(await respond(caller))["relevant"] is True


async def test_fields_of_a_response_count_for_it_alone(server: RealtimeServer) -> None:
    async with call(server) as caller:
        events = await respond(caller, tool_choice="none", max_output_tokens=200, metadata={"seq": "17"})
        done = events[-1]["response"]
        assert (done["max_output_tokens"], done["metadata"], done["output"][0]["type"]) == (200, {"seq": "17"}, "message")
        done = (await respond(caller))[-1]["response"]
        assert (done["max_output_tokens"], done["metadata"], done["output"][0]["type"]) == ("inf", None, "function_call")


# ------------------------------------------------------------------------------------------------------------- time and limits


async def test_delays_are_those_that_are_set_and_are_reported(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    server.behaviour.change({"firstTokenMs": 150, "deltaMs": 5})
    async with call(server) as caller:
        await speak(caller, words["card-charge/c2"].audio)
        await respond(caller)
    report = server.sessions[0].to_json()["responses"][0]
    assert (report["firstTokenMs"], report["deltaMs"]) == (150, 5)
    assert 145 <= report["firstDeltaAtMs"] - report["requestedAtMs"] <= 600
    assert report["modelMs"] == pytest.approx(report["doneAtMs"] - report["requestedAtMs"], abs=0.01)
    assert report["modelMs"] >= 145 + 5 * (report["deltas"] - 1)


async def test_the_defaults_are_180_and_8_ms() -> None:
    server = RealtimeServer(calls=[])
    assert (server.behaviour.first_token_ms, server.behaviour.delta_ms) == (180, 8)


async def test_rate_limits_are_told_and_kept(server: RealtimeServer) -> None:
    server.behaviour.rate_limit_requests = 2
    async with call(server) as caller:
        left = []
        for _ in range(2):
            events = await respond(caller)
            limits = {limit["name"]: limit for limit in events[1]["rate_limits"]}
            left.append((limits["requests"]["limit"], limits["requests"]["remaining"]))
        assert left == [(2, 1), (2, 0)]
        done = (await respond(caller))[-1]["response"]
        assert (done["status"], done["output"]) == ("failed", [])
        assert done["status_details"]["error"]["code"] == "rate_limit_exceeded"
    async with call(server) as caller:
        assert (await respond(caller))[-1]["response"]["status"] == "failed"


async def test_rate_limit_events_can_be_off(server: RealtimeServer) -> None:
    server.behaviour.rate_limit_events = False
    async with call(server) as caller:
        assert "rate_limits.updated" not in kinds(await respond(caller))
