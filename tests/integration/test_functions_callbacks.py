"""Twilio's stream status callbacks: forged ones, streams that die before and after their `start`, in every order and number."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from integration.functions_rig import QUICK, Relay, Rig, rigged
from support.eventually import eventually
from support.load import slowdown
from voiceassist_crds.messages import CallState
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.faults import FaultKind, FaultRule
from voiceassist_sim.twilio.streams.signature import sign

URL = "https://assist.example.com/voice/callbacks/stream"
CREATE = r"/Streams\.json$"


def form(rig: Rig, call: CreatedCall, event: str, generation: int = 1, **fields: str) -> dict[str, str]:
    name = f"assist_{call.call_sid}" + ("" if generation == 1 else f"_{generation}")
    made = {
        "AccountSid": rig.twilio.account_sid,
        "CallSid": call.call_sid,
        "StreamSid": "MZ" + "0" * 32,
        "StreamName": name,
        "StreamEvent": event,
        "Timestamp": "2026-11-22T18:00:00.000Z",
    }
    return made | fields


async def send(rig: Rig, relay: Relay, fields: dict[str, str], *, token: str = "", **changes: Any) -> tuple[int, dict[str, Any]]:
    headers = {"X-Twilio-Signature": sign(rig.twilio.credentials.auth_token, URL, fields)}
    if token:
        headers["I-Twilio-Idempotency-Token"] = token
    arguments: dict[str, Any] = {"data": fields, "headers": headers} | changes
    status, body, _ = await relay.request("POST", "/callbacks/stream", **arguments)
    return status, body


async def live(rig: Rig, relay: Relay) -> CreatedCall:
    call = rig.call()
    await relay.stream("start", call)
    await eventually(lambda: relay.held.find(call.call_sid))
    await rig.idle()
    return call


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 204),
        ({"headers": {}}, 403),
        ({"headers": {"X-Twilio-Signature": ""}}, 403),
        ({"headers": {"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}, 403),
        ({"key": "another"}, 403),
        ({"url": URL.replace("/voice", "")}, 403),
        ({"url": URL.replace("https:", "http:")}, 403),
        ({"url": URL + "?a=b"}, 403),
        ({"params": {"a": "b"}}, 403),
        ({"sent": {"StreamEvent": "stream-stopped"}}, 403),
        ({"sent": {"Extra": "field"}}, 403),
    ],
)
async def test_only_twilio_is_heard(changes: dict[str, Any], status: int) -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        fields = form(rig, call, "stream-error", StreamError="31921")
        signature = sign(changes.pop("key", rig.twilio.credentials.auth_token), changes.pop("url", URL), fields)
        sent = fields | changes.pop("sent", {})
        arguments = {"data": sent, "headers": {"X-Twilio-Signature": signature}} | changes
        answered, _, _ = await relay.request("POST", "/callbacks/stream", **arguments)
        assert answered == status
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None
        assert document.state is (CallState.LOST if status == 204 else CallState.LIVE)


async def test_without_checks_no_signature_is_needed() -> None:
    async with rigged(checks="Off") as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        fields = form(rig, call, "stream-error", StreamError="31921")
        assert (await relay.request("POST", "/callbacks/stream", data=fields))[0] == 204
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LOST


async def test_the_answer_does_not_wait_for_the_work() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, "/Documents", seconds=0.5))
        began = time.monotonic()
        assert (await send(rig, relay, form(rig, call, "stream-error")))[0] == 204
        assert time.monotonic() - began < 0.4
        await rig.idle()


@pytest.mark.parametrize("event", ["stream-started", "stream-invented", "", "stream-error"])
async def test_what_changes_nothing(event: str) -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        before = rig.document(call.call_sid)
        fields = form(rig, call, event)
        if event == "stream-error":
            fields["StreamError"] = "31930"  # audio thrown away: a warning
        assert (await send(rig, relay, fields))[0] == 204
        for strange in ({"AccountSid": "AC" + "0" * 32}, {"CallSid": "CA" + "0" * 32}, {"CallSid": "../x"}, {"StreamName": "other"}):
            assert (await send(rig, relay, form(rig, call, "stream-error") | strange))[0] == 204
        assert (await send(rig, relay, form(rig, call, "stream-error", 2)))[0] == 204
        await rig.idle()
        assert rig.document(call.call_sid) == before
        assert rig.streams(call.call_sid) == [f"assist_{call.call_sid}"]


async def test_a_full_relay_refuses_the_stream_and_it_is_started_again_elsewhere() -> None:
    async with rigged(2) as rig:
        full, other = rig.relays
        full.full = True
        call = rig.call()
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, r"/Calls/CA\w+\.json", seconds=0.2))
        assert (await other.stream("start", call))[1]["outcome"] == "started"
        # the callback comes to the full relay, which works on it; by then the balancer leads elsewhere
        await eventually(lambda: full.counted("http_requests_total", path="/callbacks/stream", status="2xx"), every=0.005)
        rig.route_to(other)
        held = await eventually(lambda: other.held.find(call.call_sid))
        assert held.claims.generation == 2
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None
        assert (document.state, document.generation, document.restarts) == (CallState.LIVE, 2, 1)
        assert rig.streams(call.call_sid) == [f"assist_{call.call_sid}_2"]
        assert full.counted("stream_restarts_total", outcome="started") == 1
        assert rig.readers(call.call_sid) == {call.identity}


async def test_a_stream_that_never_connects_is_started_again_four_times_and_then_the_agent_is_told() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        relay.full = True
        await relay.stream("start", call)
        document = await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LOST and found)
        await rig.idle()
        assert (document.generation, document.restarts) == (5, 4)
        assert len(rig.streams(call.call_sid, active=False)) == 5
        assert relay.counted("stream_restarts_total", outcome="started") == 4
        assert relay.counted("stream_restarts_total", outcome="given_up") == 1
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"], item["generation"]) == ("lost", "StreamLost", 5)
        assert [message.data for message in rig.twilio.messages(item["stream"])][-1] == item

        relay.full = False  # the agent tries again
        assert (await relay.stream("start", call))[1]["generation"] == 6
        await eventually(lambda: relay.held.find(call.call_sid))
        document = rig.document(call.call_sid)
        assert document is not None and document.restarts == 0


async def test_a_call_that_is_over_is_not_started_again() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.connect_to.clear()
        await relay.stream("start", call)
        await rig.idle()
        rig.twilio.complete_call(call.call_sid)
        assert (await send(rig, relay, form(rig, call, "stream-error", StreamError="31902")))[0] == 204
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.generation) == (CallState.LOST, 1)
        assert relay.counted("stream_restarts_total", outcome="call_over") == 1
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"]) == ("stopped", "CallEnded")


async def test_a_restart_that_twilio_refuses_is_told() -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        rig.twilio.connect_to.clear()
        await relay.stream("start", call)
        await rig.idle()
        rig.twilio.settings.max_forked_tracks = 1
        await send(rig, relay, form(rig, call, "stream-error", StreamError="31902"))
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.generation) == (CallState.LOST, 2)
        assert relay.counted("stream_restarts_total", outcome="refused") == 1
        item = rig.status_item(call.call_sid)
        assert item is not None and item["state"] == "lost"


async def test_the_same_callback_at_three_relays_restarts_once() -> None:
    async with rigged(3) as rig:
        call = rig.call()
        rig.twilio.connect_to.clear()
        await rig.relays[0].stream("start", call)
        await rig.idle()
        rig.route_to(rig.relays[0])
        fields = form(rig, call, "stream-error", StreamError="31902")
        answers = await asyncio.gather(*(send(rig, rig.relays[n % 3], fields) for n in range(9)))
        assert [status for status, _ in answers] == [204] * 9
        await eventually(lambda: rig.relays[0].held.find(call.call_sid))
        await rig.idle()
        assert rig.streams(call.call_sid, active=False) == [f"assist_{call.call_sid}", f"assist_{call.call_sid}_2"]
        assert sum(relay.counted("stream_restarts_total", outcome="started") for relay in rig.relays) == 1


async def test_a_repeated_callback_is_worked_on_once() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        fields = form(rig, call, "stream-error", 7)
        before = rig.asked("GET", "/Documents/")
        for _ in range(3):
            assert (await send(rig, relay, fields, token="same"))[0] == 204
        await rig.idle()
        assert rig.asked("GET", "/Documents/") == before + 1
        await send(rig, relay, fields, token="other")
        await rig.idle()
        assert rig.asked("GET", "/Documents/") == before + 2


async def test_when_a_relay_crashes_the_call_goes_on_at_another() -> None:
    async with rigged(2) as rig:
        crashed, other = rig.relays
        call = await live(rig, crashed)
        rig.route_to(other)  # where the callback goes
        crashed.silent_end = True
        await crashed.cut_all()
        held = await eventually(lambda: other.held.find(call.call_sid))
        await rig.idle()
        assert held.claims.generation == 2
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.restarts) == (CallState.LIVE, 1)
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"], item["generation"]) == ("reconnecting", "StreamLost", 1)
        assert other.counted("streams_lost_total", reason="relay") == 1
        assert other.counted("stream_restarts_total", outcome="started") == 1


async def test_a_relay_that_lost_its_streams_socket_has_it_started_again() -> None:
    async with rigged(2) as rig:
        relay, other = rig.relays
        call = await live(rig, relay)
        await relay.stream("pause", call)
        rig.route_to(other)
        relay.silent_end = True
        relay.held.over.add(call.call_sid)
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, "/Documents", seconds=0.05))
        await relay.cut_all()
        assert relay.functions.stream_cut(call.call_sid, 1)
        assert relay.functions.stream_cut(call.call_sid, 1), "twice does no harm"
        held = await eventually(lambda: other.held.find(call.call_sid))
        await rig.idle()
        assert (held.claims.generation, held.document.paused) == (2, True)
        assert rig.streams(call.call_sid) == [f"assist_{call.call_sid}_2"]
        assert relay.counted("stream_restarts_total", outcome="started") == 1


async def test_a_cut_stream_whose_next_one_cannot_come_is_asked_for_until_it_does() -> None:
    """The ingress controller died: no stream gets in, and no callback that says so."""
    async with rigged(timing=replace(QUICK, came_seconds=(0.2, 0.2, 0.4, 0.6, 0.9))) as rig:
        [relay] = rig.relays
        call = await live(rig, relay)
        rig.route_to(None)
        await relay.cut_all()
        assert relay.functions.stream_cut(call.call_sid, 1)
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.generation >= 3)
        rig.route_to(relay)
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LIVE)
        await rig.idle()
        held = relay.held.find(call.call_sid)
        assert held is not None and rig.streams(call.call_sid) == [f"assist_{call.call_sid}_{held.claims.generation}"]
        document = rig.document(call.call_sid)
        assert document is not None and document.deaths == 1, "one death, however long it took"


async def test_a_cut_stream_whose_next_one_never_comes_is_lost_and_its_agent_told() -> None:
    async with rigged(timing=replace(QUICK, came_seconds=(0.1, 0.1), starting_seconds=0.4)) as rig:
        [relay] = rig.relays
        call = await live(rig, relay)
        rig.route_to(None)
        await relay.cut_all()
        relay.held.over.add(call.call_sid)
        assert relay.functions.stream_cut(call.call_sid, 1)
        item = await eventually(lambda: (found := rig.status_item(call.call_sid)) and found["state"] == "lost" and found)
        assert "Tell your administrator" in item["message"]
        assert relay.counted("streams_lost_total", reason="never_came") == 1


async def test_a_cut_stream_whose_call_ends_before_the_next_one_comes_is_not_lost() -> None:
    async with rigged(timing=replace(QUICK, came_seconds=(0.2, 0.2, 0.4, 0.6, 0.9))) as rig:
        [relay] = rig.relays
        call = await live(rig, relay)
        rig.route_to(None)
        await relay.cut_all()
        assert relay.functions.stream_cut(call.call_sid, 1)
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.generation >= 3)
        rig.twilio.complete_call(call.call_sid)
        await rig.idle()
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"]) == ("stopped", "CallEnded")
        assert relay.counted("streams_lost_total", reason="never_came") == 0


async def test_a_cut_stream_that_the_agent_stopped_is_not_started_again() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        await relay.stream("stop", call)
        assert relay.functions.stream_cut(call.call_sid, 1)
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.generation) == (CallState.STOPPED, 1)


async def test_a_cut_stream_of_a_call_that_is_over_is_an_end() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        relay.silent_end = True
        rig.twilio.complete_call(call.call_sid)
        assert relay.functions.stream_cut(call.call_sid, 1)
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.generation) == (CallState.STOPPED, 1)
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"]) == ("stopped", "CallEnded")


async def test_a_stream_that_is_cut_again_and_again_is_given_up() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        relay.silent_end = True
        for generation in (1, 2, 3):
            assert relay.functions.stream_cut(call.call_sid, generation)
            await rig.idle()
            if generation < 3:
                await eventually(lambda wanted=generation + 1: relay.held.calls[call.call_sid].claims.generation == wanted)
                await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and (document.state, document.generation, document.deaths) == (CallState.LOST, 3, 2)
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"]) == ("lost", "StreamLost")
        assert relay.counted("stream_restarts_total", outcome="given_up") == 1


async def test_a_stream_whose_end_its_relay_has_seen_is_counted_there_alone() -> None:
    """The callback can be quicker than the relay's own word in the Document: the agent is told, and nothing is counted twice."""
    async with rigged(2) as rig:
        owner, other = rig.relays
        call = await live(rig, owner)
        rig.route_to(other)
        owner.silent_end = True
        owner.held.over.add(call.call_sid)
        await owner.cut_all()
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LOST)
        await rig.idle()
        assert other.counted("streams_lost_total", reason="relay") == 0


async def test_what_a_relay_said_of_a_failure_outlives_the_loss_of_its_stream() -> None:
    """It ends the stream itself when the model refuses for good; the callback can be quicker than its word in the Document."""
    async with rigged(2) as rig:
        owner, other = rig.relays
        call = await live(rig, owner)
        item = rig.status_item(call.call_sid)
        assert item is not None
        item.update(state="failed", reason="ModelRefused")
        rig.route_to(other)
        owner.silent_end = True
        owner.held.over.add(call.call_sid)
        await owner.cut_all()
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LOST)
        await rig.idle()
        after = rig.status_item(call.call_sid)
        assert after is not None and (after["state"], after["reason"]) == ("failed", "ModelRefused")
        assert not [message for message in rig.twilio.messages(item["stream"]) if message.data.get("state") == "lost"]


async def test_a_relay_that_reports_its_lost_stream_itself_is_not_contradicted() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        await relay.cut_all()
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LOST)
        document = await eventually(lambda: (found := rig.document(call.call_sid)) and found.seq == 3 and found)
        await rig.idle()
        assert document.state is CallState.LOST
        for _ in range(2):
            await send(rig, relay, form(rig, call, "stream-error", StreamError="31921"))
            await send(rig, relay, form(rig, call, "stream-stopped"))
        await rig.idle()
        assert rig.document(call.call_sid) == document
        assert relay.counted("streams_lost_total", reason="relay") == 0


async def test_the_ordinary_end_of_a_call_is_no_lost_stream() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        relay.slow_report = QUICK.own_report_seconds / 2
        rig.twilio.complete_call(call.call_sid)
        await send(rig, relay, form(rig, call, "stream-stopped"))  # before the relay has written anything
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.STOPPED)
        await asyncio.sleep(QUICK.own_report_seconds + 0.1)
        await rig.idle()
        item = rig.status_item(call.call_sid)
        assert item is not None and item["state"] == "starting"  # the relay's publisher, not here, says how it ended


async def test_a_call_that_ends_with_its_relay_gone_is_stopped_not_lost() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        relay.silent_end = True
        rig.twilio.complete_call(call.call_sid)
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.STOPPED)
        await rig.idle()
        item = rig.status_item(call.call_sid)
        assert item is not None and (item["state"], item["reason"]) == ("stopped", "CallEnded")


async def test_an_agents_stop_is_not_taken_for_a_lost_stream() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        await relay.stream("stop", call)
        await send(rig, relay, form(rig, call, "stream-stopped"))
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.STOPPED
        assert rig.streams(call.call_sid, active=False) == [f"assist_{call.call_sid}"]


async def test_a_callback_outlives_faults_of_sync() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        rig.twilio.set_faults(
            FaultRule(FaultKind.SERVER_ERROR, "/Documents", method="GET", times=QUICK.follow.attempts - 1),
            FaultRule(FaultKind.STORED_THEN_500, "/Documents", method="POST", times=1),
            FaultRule(FaultKind.TOO_MANY, "/Maps", times=2),
        )
        relay.silent_end = True
        await send(rig, relay, form(rig, call, "stream-error", StreamError="31903"))
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LOST
        item = rig.status_item(call.call_sid)
        assert item is not None and item["state"] == "lost"


async def test_an_older_status_never_overwrites_a_newer_generations() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        item = rig.status_item(call.call_sid)
        assert item is not None
        item["generation"] = 5
        await send(rig, relay, form(rig, call, "stream-error", StreamError="31903"))
        await rig.idle()
        after = rig.status_item(call.call_sid)
        assert after is not None and after["state"] == "starting"


async def test_too_many_callbacks_are_refused_not_queued() -> None:
    async with rigged() as rig:
        relay = rig.relays[0]
        call = await live(rig, relay)
        relay.background._limit = 2
        rig.twilio.set_faults(FaultRule(FaultKind.LATENCY, "/Documents", seconds=0.3 * slowdown()))  # longer than all four take
        answers = [await send(rig, relay, form(rig, call, "stream-error", n)) for n in range(2, 6)]
        assert [status for status, _ in answers] == [204, 204, 503, 503]
        assert answers[-1][1]["error"]["code"] == "busy"


@pytest.mark.parametrize("body", [b"", b"not a form", b"\xff\xfe=1", b"a=1&a=2"])
async def test_what_is_no_form_is_refused(body: bytes) -> None:
    async with rigged() as rig:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
        status, answer, _ = await rig.relays[0].request("POST", "/callbacks/stream", data=body, headers=headers)
        assert status in {400, 403} and answer["error"]["code"]
