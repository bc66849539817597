"""Starts over real sockets: one stream whatever happens at once, what is left to the background, and what a start costs."""

from __future__ import annotations

import asyncio
import time

import pytest

from integration.functions_rig import QUICK, Rig, rigged, starting
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_crds.names import suggestions_map
from voiceassist_relay.auth import read_stream_token
from voiceassist_relay.sync.document_rules import STARTING_SECONDS
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.faults import FaultKind, FaultRule

CREATE = r"/Streams\.json$"
DOCUMENTS = r"/Documents"


def stream_order(rig: Rig, call: CreatedCall):
    (stream,) = rig.twilio.calls.get(call.call_sid).streams.values()
    return stream.order


async def test_a_start_gives_a_stream_and_everything_the_agent_needs() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        status, answer = await relay.stream("start", call)
        assert status == 200
        sync_stream = answer.pop("stream")
        name = f"assist_{call.call_sid}"
        assert answer == {
            "state": "starting",
            "outcome": "started",
            "callSid": call.call_sid,
            "generation": 1,
            "streamName": name,
            "map": suggestions_map(call.call_sid),
        }
        prefix, _, suffix = sync_stream.rpartition("_")
        assert prefix == f"FLEX_ASSIST_{call.call_sid}" and len(suffix) == 16 and suffix.isalnum()
        held = await eventually(lambda: relay.held.find(call.call_sid))
        await rig.idle()
        assert rig.streams(call.call_sid) == [name]
        document = rig.document(call.call_sid)
        assert document is not None
        assert (document.state, document.worker, document.identity, document.task_sid) == (
            CallState.LIVE,
            call.worker_sid,
            call.identity,
            call.task_sid,
        )
        assert held.claims.generation == 1 and held.claims.paused is False
        assert held.claims.exp == pytest.approx(time.time() + 120, abs=5)
        assert rig.readers(call.call_sid) == {call.identity}
        status_item = rig.status_item(call.call_sid)
        assert status_item is not None and status_item["state"] == "starting" and status_item["stream"] == sync_stream
        # and the browser's own token opens the Map, by this permission
        _, token, _ = await relay.request("POST", "/token", json={"Token": call.flex_token})
        view = rig.twilio.view(token["token"], rig.service)
        assert view is not None


@pytest.mark.parametrize(("tracks", "expected"), [("Both", "both_tracks"), ("Customer", "inbound_track")])
async def test_what_twilio_is_asked_for(tracks: str, expected: str) -> None:
    async with rigged(audio__tracks=tracks) as rig:
        relay, call = rig.relays[0], rig.call()
        assert (await relay.stream("start", call))[0] == 200
        order = stream_order(rig, call)
        assert order.track == expected
        assert order.url == f"wss://assist.example.com/voice/ws/{call.call_sid}"
        assert order.status_callback == "https://assist.example.com/voice/callbacks/stream"
        assert order.status_callback_method == "POST"
        assert list(order.parameters) == ["token"]
        claims = read_stream_token(relay.snapshot.secrets.auth_tokens, order.parameters["token"], time.time())
        assert (claims.call, claims.account, claims.generation) == (call.call_sid, rig.twilio.account_sid, 1)


async def test_the_original_plugins_stream_name_has_no_suffix() -> None:
    async with rigged(twilio__legacyStream=True) as rig:
        call = rig.call()
        _, answer = await rig.relays[0].stream("start", call)
        assert answer["stream"] == f"FLEX_ASSIST_{call.call_sid}"


async def test_the_answer_does_not_wait_for_map_stream_and_permission() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, r"/(Maps|Services/IS\w+/Streams|Permissions)", seconds=0.7))
        began = time.monotonic()
        assert (await relay.stream("start", call))[0] == 200
        await eventually(lambda: relay.held.find(call.call_sid))
        assert time.monotonic() - began < 0.7
        assert rig.readers(call.call_sid) == set()
        await rig.idle()
        assert rig.readers(call.call_sid) == {call.identity}


async def test_what_follows_a_start_survives_faults_of_sync() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.set_faults(
            FaultRule(FaultKind.STORED_THEN_500, r"/Maps$", times=1),
            FaultRule(FaultKind.TOO_MANY, r"/Permissions/", times=2),
            FaultRule(FaultKind.CUT, r"/v1/Services/IS\w+/Streams$", times=1),
        )
        assert (await relay.stream("start", call))[0] == 200
        await rig.idle()
        assert rig.readers(call.call_sid) == {call.identity}
        assert rig.status_item(call.call_sid) is not None


async def test_twenty_starts_on_three_relays_make_one_stream() -> None:
    async with rigged(3) as rig:
        call = rig.call()
        answers = await asyncio.gather(*(rig.relays[n % 3].stream("start", call) for n in range(20)))
        assert [status for status, _ in answers] == [200] * 20
        assert sorted(answer["outcome"] for _, answer in answers) == ["running"] * 19 + ["started"]
        assert {answer["generation"] for _, answer in answers} == {1}
        assert len({answer["stream"] for _, answer in answers}) == 1
        await eventually(lambda: rig.relays[0].held.find(call.call_sid))
        await rig.idle()
        assert rig.streams(call.call_sid, active=False) == [f"assist_{call.call_sid}"]


async def test_twenty_starts_after_a_stop_make_one_stream_more() -> None:
    async with rigged(3) as rig:
        call = rig.call()
        await rig.relays[0].stream("start", call)
        await eventually(lambda: rig.relays[0].held.find(call.call_sid))
        assert (await rig.relays[1].stream("stop", call))[1]["state"] == "stopped"
        await eventually(lambda: not rig.relays[0].held.find(call.call_sid))
        answers = await asyncio.gather(*(rig.relays[n % 3].stream("start", call) for n in range(20)))
        assert sorted(answer["outcome"] for _, answer in answers) == ["restarted"] + ["running"] * 19
        await rig.idle()
        name = f"assist_{call.call_sid}"
        assert rig.streams(call.call_sid) == [f"{name}_2"]
        assert rig.streams(call.call_sid, active=False) == [name, f"{name}_2"]


async def test_many_calls_at_once_do_not_disturb_each_other() -> None:
    async with rigged(2) as rig:
        rig.twilio.connect_to.clear()  # no audio: it is not what is tested, and costs much
        calls = [rig.call() for _ in range(15)]
        answers = await asyncio.gather(*(rig.relays[n % 2].stream("start", call) for n, call in enumerate(calls)))
        assert [answer["outcome"] for _, answer in answers] == ["started"] * 15


async def test_a_relay_that_dies_between_document_and_stream_frees_the_call_after_the_deadline() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.store(call.call_sid, starting(call, rig))  # written by a relay that is no more
        assert (await relay.stream("start", call))[1]["outcome"] == "running"
        assert rig.streams(call.call_sid) == []
        rig.clock.ahead += STARTING_SECONDS
        status, answer = await relay.stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "restarted", 2)
        await rig.idle()
        assert rig.streams(call.call_sid) == [f"assist_{call.call_sid}_2"]


async def test_a_relay_that_was_too_slow_leaves_no_second_stream() -> None:
    async with rigged(2) as rig:
        slow, other = rig.relays
        call = rig.call()
        gate = slow.hold_streams()
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, CREATE, seconds=0.5, times=1))
        overtaken = asyncio.create_task(slow.stream("start", call))
        await eventually(lambda: rig.document(call.call_sid))
        rig.clock.ahead += STARTING_SECONDS
        assert (await other.stream("start", call))[1]["generation"] == 2
        await overtaken
        await rig.idle()
        name = f"assist_{call.call_sid}"
        assert set(rig.streams(call.call_sid, active=False)) == {name, f"{name}_2"}
        assert rig.streams(call.call_sid) == [f"{name}_2"]
        gate.set()
        await eventually(lambda: slow.held.find(call.call_sid))
        document = rig.document(call.call_sid)
        assert document is not None and document.generation == 2


async def test_an_unclear_creation_is_followed_by_the_next_generation() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        gate = relay.hold_streams()
        rig.twilio.set_faults(FaultRule(FaultKind.STORED_THEN_500, CREATE, times=1))
        status, answer = await relay.stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "started", 2)
        await rig.idle()
        name = f"assist_{call.call_sid}"
        assert rig.streams(call.call_sid, active=False) == [name, f"{name}_2"]
        assert rig.streams(call.call_sid) == [f"{name}_2"]
        gate.set()
        held = await eventually(lambda: relay.held.find(call.call_sid))
        assert held.claims.generation == 2


async def test_unclear_creations_without_end_are_an_error_and_a_later_start_works() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        relay.hold_streams()
        rig.twilio.set_faults(FaultRule(FaultKind.STORED_THEN_500, CREATE, times=QUICK.ask.attempts))
        status, answer = await relay.stream("start", call)
        assert (status, answer["error"]["code"]) == (502, "twilio_unclear")
        assert answer["error"]["twilio"] == {"code": 20500, "status": 500}
        await rig.idle()
        assert rig.streams(call.call_sid) == []
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.generation) == (CallState.LOST, 3)
        status, answer = await relay.stream("start", call)
        assert (status, answer["outcome"], answer["generation"]) == (200, "restarted", 4)


async def test_a_stream_of_the_same_name_that_nobody_remembers_is_replaced() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        await rig.idle()
        service = rig.twilio.sync.service(rig.service)
        for found in list(service.objects.values()):  # as after the time to live
            rig.twilio.sync.delete(service, found, rig.clock())
        status, answer = await relay.stream("start", call)
        assert (status, answer["generation"]) == (200, 2)
        await rig.idle()
        assert rig.streams(call.call_sid) == [f"assist_{call.call_sid}_2"]


async def test_a_later_versions_document_is_understood() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.store(call.call_sid, starting(call, rig))
        rig.raw_document(call.call_sid).data["invented"] = {"later": True}
        assert (await relay.stream("start", call))[1]["outcome"] == "running"


async def test_what_a_start_costs() -> None:
    """The table in docs/functions.md."""
    async with rigged() as rig:
        relay = rig.relays[0]
        first, call = rig.call(), rig.call()
        await relay.stream("start", first)
        await rig.idle()
        before = len(rig.twilio.journal.requests())
        rig.twilio.connect_to.clear()  # what the relay with the audio writes is counted elsewhere
        await relay.stream("start", call)
        await rig.idle()
        made = [(entry.method, entry.path.rpartition("/")[2].partition(".")[0]) for entry in rig.twilio.journal.requests()[before:]]
        ours = [(method, call.call_sid if last == f"VA_CALL_{call.call_sid}" else last) for method, last in made]
        assert sorted(ours) == sorted(
            [
                ("POST", "validate"),
                ("GET", "Reservations"),
                ("GET", "Conferences"),
                ("GET", call.call_sid),  # the participant
                ("POST", "Documents"),
                ("POST", "Streams"),  # the call's
                ("GET", call.call_sid),  # the Document, to confirm
                ("POST", "Maps"),
                ("POST", call.identity),
                ("POST", "Streams"),  # Sync's
                ("POST", "Items"),
            ]
        )
