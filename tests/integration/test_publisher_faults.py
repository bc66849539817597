"""A call's publisher while Sync fails, hangs, goes away and comes back: each finished suggestion once, in order, and bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from integration.publisher_bench import ENDED, LIVE, REVISION, Bench, Call, Front, finished, running, struck
from support.eventually import eventually
from voiceassist_crds.messages import CallState, Track
from voiceassist_crds.names import suggestions_map
from voiceassist_crds.status import PeerReason
from voiceassist_sim.twilio.app import TwilioServer
from voiceassist_sim.twilio.faults import FaultKind, FaultRule
from voiceassist_sim.twilio.sync_model import Kind

MAP_ITEMS = r"/Maps/[^/]+/Items$"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with TwilioServer() as twilio:
        bench = Bench(twilio, twilio.template, timeout=0.4)
        yield bench
        await bench.rest.aclose()


@pytest.fixture
async def far() -> AsyncIterator[tuple[Bench, Front]]:
    """A bench whose stand-in can be taken away."""
    async with TwilioServer() as twilio:
        front = Front(int(twilio.url.rsplit(":", 1)[1]))
        await front.back()
        bench = Bench(twilio, f"http://127.0.0.1:{front.port}/{{product}}", timeout=5.0)  # nothing hangs there: it refuses
        yield bench, front
        await bench.rest.aclose()
        await front.away()


async def played(call: Call, count: int, *, grace: float = 30.0) -> None:
    """A whole call with so many suggestions, flushed at its end."""
    publisher = call.publisher()
    async with running(publisher) as run:
        publisher.status(*LIVE)
        for number in range(count):
            publisher.draft(f"item{number}", "so far", REVISION)
            publisher.finished(finished(number))
            await asyncio.sleep(0.01)
        publisher.status(*ENDED)
        await publisher.finish(grace)
        assert run.done()
        assert run.exception() is None


def assert_whole(call: Call, count: int) -> None:
    assert [one["id"] for one in call.stored] == [f"g1-item{number}" for number in range(count)]
    assert [one["seq"] for one in call.stored] == list(range(1, count + 1))
    assert (call.status_item or {})["state"] == "stopped"
    assert (call.saved.state, call.saved.seq) == (CallState.STOPPED, count)
    sent = list(dict.fromkeys(one["id"] for one in call.messages("suggestion")))
    assert sent == [f"g1-item{number}" for number in range(count)]


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param([FaultRule(FaultKind.SERVER_ERROR, share=0.2)], id="500"),
        pytest.param([FaultRule(FaultKind.STORED_THEN_500, share=0.3)], id="stored, then 500"),
        pytest.param([FaultRule(FaultKind.STORED_THEN_500, method="POST", times=12)], id="the first dozen stored, then 500"),
        pytest.param([FaultRule(FaultKind.CUT, share=0.2), FaultRule(FaultKind.CUT, share=0.2, after=True)], id="cut"),
        pytest.param([FaultRule(FaultKind.TOO_MANY, share=0.3)], id="429"),
        pytest.param([FaultRule(FaultKind.TOO_MANY, times=15)], id="a burst of 429"),
        pytest.param([FaultRule(FaultKind.HANG, share=0.1), FaultRule(FaultKind.HANG, share=0.1, after=True)], id="hanging"),
        pytest.param(
            [
                FaultRule(FaultKind.SERVER_ERROR, share=0.1, status=503),
                FaultRule(FaultKind.STORED_THEN_500, share=0.1),
                FaultRule(FaultKind.CUT, share=0.05, after=True),
                FaultRule(FaultKind.LATENCY, share=0.3, seconds=0.05),
            ],
            id="all together",
        ),
    ],
)
async def test_failing_requests_change_nothing_but_latency(bench: Bench, rules: list[FaultRule]) -> None:
    call = bench.call()
    await call.write_document()
    bench.twilio.set_faults(*rules, seed=7)
    await played(call, 14)
    assert struck(bench) >= 3
    assert_whole(call, 14)
    assert bench.value("queue_drops_total", queue="suggestions") == 0
    assert bench.value("sync_publish_seconds_count", outcome="given_up") == 0


async def test_retry_after_is_honoured(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened and bench.found(Kind.STREAM, call.stream))
        bench.twilio.set_faults(FaultRule(FaultKind.TOO_MANY, path=MAP_ITEMS, times=1, retry_after=1))
        began = time.monotonic()
        publisher.finished(finished(1))
        await eventually(lambda: call.stored)
        assert 1.0 <= time.monotonic() - began < 2.0
        await publisher.finish(5)
    assert bench.value("sync_publish_seconds_count", outcome="retried") == 1


async def test_sync_away_and_back(far: tuple[Bench, Front]) -> None:
    bench, front = far
    call = bench.call()
    await call.write_document()
    publisher = call.publisher(chance=lambda: 0.3)
    async with running(publisher):
        publisher.status(*LIVE)
        publisher.finished(finished(0))
        await eventually(
            lambda: call.opened and bench.found(Kind.MAP, suggestions_map(call.sid)) and call.stored and bench.health.status.ok
        )
        await front.away()
        for number in range(1, 26):
            for part in range(4):
                publisher.draft(f"item{number}", "word " * part, REVISION)
            publisher.finished(finished(number))
            await asyncio.sleep(0.2)
        assert (bench.health.status.ok, bench.health.status.reason) == (False, PeerReason.UNREACHABLE)
        assert len(call.stored) == 1
        await front.back()
        await eventually(lambda: len(call.stored) == 26, seconds=6)
        assert bench.health.status.ok
        publisher.status(*ENDED)
        await publisher.finish(20)
    assert_whole(call, 26)
    assert bench.value("queue_drops_total", queue="suggestions") == 0


async def test_a_call_that_begins_while_sync_is_away(far: tuple[Bench, Front]) -> None:
    bench, front = far
    call = bench.call()
    await call.write_document()
    await front.away()
    publisher = call.publisher(chance=lambda: 0.3)
    async with running(publisher):
        publisher.status(*LIVE)
        for number in range(5):
            publisher.finished(finished(number))
        await asyncio.sleep(1.0)
        await front.back()
        publisher.status(*ENDED)
        await publisher.finish(10)
    assert_whole(call, 5)


async def test_many_calls_while_sync_is_away(far: tuple[Bench, Front]) -> None:
    bench, front = far
    bench.twilio.settings.sync.creations = bench.twilio.settings.sync.writes = type(bench.twilio.settings.sync.writes)(1000)
    calls = [bench.call() for _ in range(20)]
    for call in calls:
        await call.write_document()
    publishers = [call.publisher(chance=lambda: 0.3) for call in calls]
    tasks = [asyncio.create_task(publisher.run()) for publisher in publishers]
    await eventually(lambda: all(call.opened for call in calls))
    await front.away()
    for number in range(10):
        for publisher in publishers:
            publisher.finished(finished(number))
        await asyncio.sleep(0.2)
    await front.back()
    for publisher in publishers:
        publisher.status(*ENDED)
    await asyncio.gather(*(publisher.finish(30) for publisher in publishers))
    await asyncio.gather(*tasks)
    for call in calls:
        assert_whole(call, 10)


async def test_what_waits_is_bounded_and_the_oldest_goes_first(far: tuple[Bench, Front]) -> None:
    bench, front = far
    bench.twilio.settings.sync.writes = type(bench.twilio.settings.sync.writes)(1000)
    call = bench.call()
    await call.write_document()
    await front.away()
    publisher = call.publisher()
    async with running(publisher):
        for number in range(230):
            publisher.finished(finished(number))
            publisher.draft(f"draft{number}", "x", REVISION)
            publisher.transcript(Track.AGENT, f"words{number}", "x", True)
        assert bench.value("queue_drops_total", queue="suggestions") == 30
        assert bench.value("sync_publish_seconds_count", outcome="given_up") == 30
        assert (
            bench.value("queue_drops_total", queue="stream_draft") + bench.value("queue_drops_total", queue="stream_transcript")
            == 2 * 230 - 256
        )
        await front.back()
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)) and len(call.stored) == 200, seconds=20)
    assert [one["id"] for one in call.stored] == [f"g1-item{number}" for number in range(30, 230)]


async def test_the_flush_ends_when_its_time_is_over(far: tuple[Bench, Front]) -> None:
    bench, front = far
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher) as run:
        await eventually(lambda: call.opened and bench.found(Kind.STREAM, call.stream))
        await front.away()
        for number in range(3):
            publisher.finished(finished(number))
        publisher.status(*ENDED)
        began = time.monotonic()
        await publisher.finish(0.6)
        assert 0.5 < time.monotonic() - began < 1.5
        assert run.done()
    assert bench.value("queue_drops_total", queue="suggestions") == 3
    assert bench.value("queue_drops_total", queue="stream_kept") == 1


async def test_the_document_ends_although_suggestions_cannot_be_stored(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened and bench.found(Kind.STREAM, call.stream))
        bench.twilio.set_faults(FaultRule(FaultKind.SERVER_ERROR, path=MAP_ITEMS))
        publisher.finished(finished(0))
        await publisher.finish(1.0, lost=True)
    assert call.saved.state is CallState.LOST
    assert bench.value("queue_drops_total", queue="suggestions") == 1


async def test_a_hanging_draft_holds_nothing_up_that_is_kept(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened and bench.found(Kind.STREAM, call.stream))
        bench.twilio.set_faults(FaultRule(FaultKind.HANG, path="/Messages$", times=1))
        publisher.draft("item0", "hangs", REVISION)
        await eventually(lambda: struck(bench) == 1)
        began = time.monotonic()
        publisher.finished(finished(0))
        publisher.status(*LIVE)
        await eventually(lambda: call.messages("suggestion") and call.messages("status"))
        assert time.monotonic() - began < 1.0
        await publisher.finish(5)
    assert call.messages("draft") == []


async def test_at_the_end_drafts_are_not_sent_any_more_but_what_was_said_is(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        publisher.draft("item0", "unfinished", REVISION)
        publisher.transcript(Track.CUSTOMER, "u1", "unfinished", False)
        publisher.transcript(Track.CUSTOMER, "u2", "finished", True)
        await publisher.finish(5)
        publisher.draft("item1", "late", REVISION)
        publisher.status(*LIVE)
    assert [one.get("text") for one in call.messages()] == ["finished"]
    assert bench.value("queue_drops_total", queue="stream_draft") == 0
