"""A call's publisher when what it writes to is gone, refused or changed by others: made again, waited out, or left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from integration.publisher_bench import ENDED, LIVE, REVISION, TTL, Bench, finished, running, struck
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_crds.names import call_document, suggestions_map
from voiceassist_crds.status import PeerReason
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_sim.twilio.app import TwilioServer
from voiceassist_sim.twilio.faults import FaultKind, FaultRule
from voiceassist_sim.twilio.sync_model import Kind


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with TwilioServer() as twilio:
        bench = Bench(twilio, twilio.template, timeout=0.4)
        yield bench
        await bench.rest.aclose()


async def test_a_stream_that_is_gone_is_made_again(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        publisher.draft("item0", "before", REVISION)
        await eventually(lambda: call.messages("draft"))
        old = bench.found(Kind.STREAM, call.stream)
        assert old is not None
        bench.twilio.sync.delete(bench.service, old, time.time())
        publisher.draft("item0", "after", REVISION)
        publisher.finished(finished(0))
        await eventually(lambda: call.messages("suggestion"))
        new = bench.found(Kind.STREAM, call.stream)
        assert new is not None
        assert new.sid != old.sid
        assert new.life.expires is not None
        await publisher.finish(5)
    assert len(call.stored) == 1


async def test_a_map_that_is_gone_is_made_again_and_the_worker_may_read_it(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        publisher.status(*LIVE)
        publisher.finished(finished(0))
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)) and call.stored and call.status_item)
        bench.twilio.sync.delete(bench.service, call.map, time.time())
        publisher.finished(finished(1))
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)) and call.stored)
        publisher.status(*ENDED)
        await publisher.finish(5)
    assert [one["seq"] for one in call.stored][-1] == 2  # the first one again where its answer was under way when the Map went
    assert call.map.permissions["agent_1"].read
    assert not call.map.permissions["agent_1"].write
    assert (call.status_item or {})["state"] == "stopped"


async def test_a_document_that_is_gone_at_the_end_is_not_made_again(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened)
        found = bench.found(Kind.DOCUMENT, call_document(call.sid))
        assert found is not None
        bench.twilio.sync.delete(bench.service, found, time.time())
        publisher.finished(finished(0))
        await publisher.finish(5)
    assert len(call.stored) == 1
    assert bench.found(Kind.DOCUMENT, call_document(call.sid)) is None


async def test_refused_credentials_are_waited_out(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    bench.snapshot = Snapshot(bench.snapshot.config, Secrets(api_key_sid=bench.secrets.api_key_sid, api_key_secret="wrong"))
    publisher = call.publisher()
    async with running(publisher):
        publisher.finished(finished(0))
        await eventually(lambda: bench.health.status.reason is PeerReason.REFUSED)
        bench.snapshot = Snapshot(bench.snapshot.config, bench.secrets)
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)) and call.stored)
        assert bench.health.status.ok
        await publisher.finish(5)


async def test_a_missing_service_is_told_and_waited_for(bench: Bench) -> None:
    call = bench.call()
    service = bench.twilio.sync.services.pop(bench.service.sid)
    publisher = call.publisher()
    async with running(publisher):
        publisher.finished(finished(0))
        await eventually(lambda: bench.health.status.reason is PeerReason.MISCONFIGURED)
        bench.twilio.sync.services[service.sid] = service
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)) and call.stored)
        await publisher.finish(5)


async def test_a_suggestion_that_sync_will_not_have_stands_in_nobodys_way(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        bench.twilio.settings.sync.data_bytes = 1024
        publisher.finished(finished(0, answer="x" * 2000))
        publisher.finished(finished(1))
        await publisher.finish(5)
    assert [one["id"] for one in call.stored] == ["g1-item1"]
    assert bench.value("queue_drops_total", queue="suggestions") == 1
    assert bench.value("sync_publish_seconds_count", outcome="refused") == 1


async def test_a_call_stays_with_the_service_that_it_began_with(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened)
        other = bench.snapshot.config.twilio.model_copy(update={"sync_service_sid": "IS" + "0" * 32})
        bench.snapshot = Snapshot(bench.snapshot.config.model_copy(update={"twilio": other}), bench.secrets)
        publisher.finished(finished(0))
        await publisher.finish(5)
    assert len(call.stored) == 1


async def test_others_who_keep_changing_the_document_do_not_stop_the_start(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    bench.twilio.set_faults(FaultRule(FaultKind.LATENCY, path="/Documents/", method="GET", seconds=0.05, after=True, times=4))
    publisher = call.publisher()
    async with running(publisher):
        for number in range(4):
            await asyncio.sleep(0.04)
            await bench.sync.set_document_ttl(call_document(call.sid), TTL + number)
        await eventually(lambda: call.opened)
        await publisher.finish(5)
    assert call.saved.state is CallState.STOPPED


async def test_a_take_over_between_reading_and_writing_is_not_overwritten(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    bench.twilio.set_faults(FaultRule(FaultKind.LATENCY, path="/Documents/", method="GET", seconds=0.2, after=True, times=1))
    publisher = call.publisher()
    async with running(publisher) as run:
        await eventually(lambda: struck(bench) == 1)
        await call.change_document(generation=2)
        await eventually(run.done)
    assert call.superseded == ["superseded"]
    assert (call.saved.generation, call.saved.state) == (2, CallState.STARTING)
