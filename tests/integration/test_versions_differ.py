"""A call that a newer relay has brought into a state unknown here: hands off, and everybody is told what was not done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from integration.functions_rig import Rig, rigged
from integration.publisher_bench import Bench, Call, running
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_crds.names import call_document
from voiceassist_sim.twilio.account import CreatedCall
from voiceassist_sim.twilio.app import TwilioServer
from voiceassist_sim.twilio.sync_model import Kind


@asynccontextmanager
async def publishing() -> AsyncIterator[tuple[Bench, Call]]:
    async with TwilioServer() as twilio:
        bench = Bench(twilio, twilio.template, timeout=2.0)
        call = bench.call()
        await call.write_document()
        yield bench, call
        await bench.rest.aclose()


LATER = {"state": "moving", "generation": 5, "seq": 12, "handover": {"to": "10.0.0.9:9090"}}


def document_of(bench: Bench, call: Call) -> Any:
    """The stand-in's own object."""
    return bench.found(Kind.DOCUMENT, call_document(call.sid))


async def moved(rig: Rig) -> tuple[CreatedCall, dict[str, Any]]:
    """A live call that a newer relay is about to move."""
    relay, call = rig.relays[0], rig.call()
    await relay.stream("start", call)
    await eventually(lambda: relay.held.find(call.call_sid))
    await rig.idle()
    stored = rig.raw_document(call.call_sid)
    stored.data = {**stored.data, **LATER}
    stored.touch(rig.clock())
    return call, dict(stored.data)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("start", "was not started here"),
        ("stop", "may STILL be sent"),
        ("pause", "may STILL be sent to the model"),
        ("resume", "may still be paused"),
    ],
)
async def test_what_a_worker_asks_is_not_done_and_the_answer_says_so(action: str, words: str) -> None:
    async with rigged(2) as rig:
        call, data = await moved(rig)
        streams = rig.streams(call.call_sid)
        status, answer = await rig.relays[1].stream(action, call)
        assert (status, answer["error"]["code"]) == (503, "newer_version")
        assert words in answer["error"]["message"]
        assert answer["error"]["hint"]
        await rig.idle()
        assert rig.raw_document(call.call_sid).data == data
        assert rig.streams(call.call_sid) == streams
        held = rig.relays[0].held.find(call.call_sid)
        assert held is not None and held.told == []
        assert rig.relays[1].counted("other_version_total", what="document_state") >= 1


async def test_a_worker_of_another_call_is_served_meanwhile() -> None:
    async with rigged() as rig:
        await moved(rig)
        other = rig.call()
        status, answer = await rig.relays[0].stream("start", other)
        assert (status, answer["outcome"]) == (200, "started")


async def test_a_streams_death_is_left_to_the_newer_relay() -> None:
    async with rigged(2) as rig:
        call, data = await moved(rig)
        rig.relays[0].silent_end = True
        await rig.relays[0].cut_all()
        await asyncio.sleep(0.2)
        await rig.idle()
        assert rig.raw_document(call.call_sid).data == data
        assert rig.streams(call.call_sid) == [], "nothing was started again"


async def test_a_callback_waits_for_the_newer_relay_to_be_done() -> None:
    async with rigged(2) as rig:
        call, _ = await moved(rig)
        rig.relays[0].silent_end = True
        rig.relays[0].held.over.add(call.call_sid)
        await rig.relays[0].cut_all()
        await eventually(lambda: rig.relays[0].counted("other_version_total", what="document_state") >= 1)
        stored = rig.raw_document(call.call_sid)
        stored.data = {**stored.data, "state": "live", "generation": 1, "seq": 12}
        stored.touch(rig.clock())
        await rig.idle()
        data = rig.raw_document(call.call_sid).data
        assert data["state"] == CallState.LOST
        assert data["handover"] == LATER["handover"], "what a newer version wrote stays"
        assert data["seq"] == 12


async def test_a_stream_that_arrives_is_let_go_and_nothing_is_written() -> None:
    async with publishing() as (bench, call):
        found = document_of(bench, call)
        found.data = {**found.data, **LATER}
        before = dict(found.data)
        publisher = call.publisher(generation=5)
        async with running(publisher) as task:
            async with asyncio.timeout(10):
                await task
        assert call.superseded == ["superseded"]
        assert document_of(bench, call).data == before
        assert bench.value("other_version_total", what="document_state") >= 1


async def test_the_end_of_a_stream_is_not_written_over_a_newer_relays_state() -> None:
    async with publishing() as (bench, call):
        publisher = call.publisher()
        async with running(publisher) as task:
            await eventually(lambda: call.opened)
            found = document_of(bench, call)
            found.data = {**found.data, **LATER}
            found.touch(bench.twilio.clock())
            before = dict(found.data)
            await publisher.finish(5.0)
            async with asyncio.timeout(10):
                await task
        assert document_of(bench, call).data == before


async def test_fields_of_a_newer_version_stay_through_a_streams_whole_life() -> None:
    async with publishing() as (bench, call):
        found = document_of(bench, call)
        found.data = {**found.data, "handover": {"n": 1}, "seq": 12}
        publisher = call.publisher()
        async with running(publisher) as task:
            await eventually(lambda: call.opened)
            assert document_of(bench, call).data["handover"] == {"n": 1}
            await publisher.finish(5.0)
            async with asyncio.timeout(10):
                await task
        data = document_of(bench, call).data
        assert (data["state"], data["seq"], data["handover"], data["syncStream"]) == ("stopped", 12, {"n": 1}, call.stream)
        assert bench.value("other_version_total", what="document_field") >= 1
