"""A call's publisher when all is well, and when the Document or the Map says that another stream is wanted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from integration.publisher_bench import ENDED, LIVE, REVISION, TTL, Bench, Call, finished, running
from support.eventually import eventually
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.messages import STREAM_MESSAGE, CallState, Suggestion, Track, WithdrawnReason
from voiceassist_crds.names import call_document, suggestion_key, suggestions_map
from voiceassist_relay.config.snapshot import Snapshot
from voiceassist_relay.sync import publisher as publisher_module
from voiceassist_relay.sync.publisher import CallPublisher
from voiceassist_relay.sync.receipts import is_for
from voiceassist_sim.twilio.app import TwilioServer
from voiceassist_sim.twilio.faults import FaultKind, FaultRule
from voiceassist_sim.twilio.sync_model import Kind


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with TwilioServer() as twilio:
        bench = Bench(twilio, twilio.template, timeout=2.0)
        yield bench
        await bench.rest.aclose()


async def test_a_call_from_start_to_end(bench: Bench) -> None:
    call = bench.call()
    await call.write_document(paused=True)
    publisher = call.publisher()
    async with running(publisher) as run:
        publisher.status(*LIVE)
        publisher.transcript(Track.CUSTOMER, "u1", "I want to", False)
        publisher.draft("item1", "You", REVISION)
        publisher.draft("item2", "Never", REVISION)
        await eventually(lambda: len(call.messages("draft")) == 2)
        publisher.transcript(Track.CUSTOMER, "u1", "I want to return it.", True)
        publisher.draft("item1", "You can return", REVISION)
        publisher.withdrawn("item2", REVISION, WithdrawnReason.NOT_RELEVANT)
        publisher.finished(finished(1, "You can return it.", "Can I return it?"))
        await eventually(lambda: call.stored and call.messages("suggestion"))
        publisher.status(*ENDED)
        await publisher.finish(5)
        assert run.done()
        assert run.exception() is None

    document = call.saved
    assert (document.state, document.owner, document.stream_sid, document.prompt_revision) == (
        CallState.STOPPED,
        "10.0.0.1:9090",
        "MZ1",
        REVISION,
    )
    assert (document.worker, document.seq, call.opened[0].paused, call.superseded) == ("WK1", 1, True, [])

    (stored,) = call.stored
    assert stored["id"] == "g1-item1"
    assert (stored["question"], stored["answer"], "truncated" in stored) == ("Can I return it?", "You can return it.", False)
    assert 490 <= stored["latencyMs"] <= 510
    assert "transcript" not in stored
    (sent,) = call.messages("suggestion")
    assert json.loads(sent.pop("transcript")) == {"question": "Can I return it?", "answer": "You can return it."}
    assert sent == stored

    for message in call.messages():
        STREAM_MESSAGE.validate_python(message)
    assert call.messages("draft")[0] == {"type": "draft", "id": "g1-item1", "revision": REVISION, "part": 1, "answer": "You"}
    assert [one["reason"] for one in call.messages("withdrawn")] == ["NotRelevant"]
    assert call.messages("transcript")[-1] == {
        "type": "transcript",
        "id": "g1-u1",
        "revision": REVISION,
        "track": "customer",
        "part": 2,
        "text": "I want to return it.",
        "final": True,
    }
    assert [(one["state"], one["stream"]) for one in call.messages("status")] == [("live", call.stream), ("stopped", call.stream)]
    assert call.status_item == call.messages("status")[-1]

    assert bench.value("sync_publish_seconds_count", outcome="ok") >= 2
    assert bench.value("suggestion_latency_seconds_count", revision=REVISION) == 1
    assert bench.value("stage_duration_seconds_count", stage="publish") == 1
    assert bench.health.status.ok


async def test_what_is_stored_bears_a_receipt_for_the_worker_in_charge(bench: Bench) -> None:
    """Not what is sent, which anybody hears who knows the Stream's name."""
    bench.service.acl_enabled = True
    bench.snapshot = Snapshot(bench.snapshot.config, replace(bench.secrets, auth_token="of this account"))
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        publisher.finished(finished(1))
        await publisher.finish(5)
    (stored,), (sent,) = call.stored, call.messages("suggestion")
    published, tokens = Suggestion.model_validate(stored), bench.sync.auth_tokens
    assert is_for(call.sid, "WK1", published, tokens) and not is_for(call.sid, "WK2", published, tokens)
    assert "receipt" not in sent


async def test_everything_ends_by_itself_even_if_it_lives_on(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    old = await bench.sync.create_stream(call.stream, 60)
    publisher = call.publisher(renew_seconds=0.05)
    async with running(publisher):
        publisher.status(*LIVE)
        publisher.finished(finished(1))
        await eventually(lambda: call.messages("suggestion") and call.status_item)
        stream = bench.found(Kind.STREAM, call.stream)
        document = bench.found(Kind.DOCUMENT, call_document(call.sid))
        assert stream is not None
        assert document is not None
        assert stream.sid == old.sid
        lives = [stream.life, document.life, call.map.life, *(item.life for item in call.map.items.values())]
        ends = [life.expires for life in lives]
        for life in lives:
            assert life.expires is not None
            assert TTL - 5 < life.expires - life.created <= TTL + 5
        await eventually(lambda: all(now.expires > before for now, before in zip(lives[:3], ends[:3], strict=True)))  # type: ignore[operator]
        await publisher.finish(5)


async def test_a_later_generation_goes_on_counting(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    first = call.publisher()
    async with running(first):
        for number in range(3):
            first.finished(finished(number))
        await first.finish(5, lost=True)
    assert call.saved.state is CallState.LOST
    assert call.saved.seq == 3
    await call.change_document(generation=2, state=CallState.STARTING, seq=0, stream_sid="")
    second = call.publisher(generation=2, stream_sid="MZ2")
    async with running(second):
        second.finished(finished(0))
        await second.finish(5)
    assert [one["id"] for one in call.stored] == ["g1-item0", "g1-item1", "g1-item2", "g2-item0"]


async def test_a_later_generation_begins_behind_what_is_left_in_the_map(bench: Bench) -> None:
    call = bench.call()
    await call.write_document(generation=2)
    found = await bench.sync.ensure_map(suggestions_map(call.sid), TTL)
    await bench.sync.create_item(found.sid, suggestion_key(5), {"id": "g1-item5", "seq": 5}, TTL)  # 1 to 4 have expired
    await bench.sync.create_item(found.sid, "status", {"generation": 1}, TTL)
    publisher = call.publisher(generation=2)
    async with running(publisher):
        publisher.finished(finished(0))
        await publisher.finish(5)
    assert [one["seq"] for one in call.stored] == [5, 6]


async def test_numbers_that_an_expired_map_held_are_not_used_again(bench: Bench) -> None:
    call = bench.call()
    await call.write_document(generation=2, seq=7)
    publisher = call.publisher(generation=2)
    async with running(publisher):
        publisher.finished(finished(0))
        await publisher.finish(5)
    assert [one["seq"] for one in call.stored] == [8]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"generation": 2}, "superseded"),
        ({"generation": 2, "state": CallState.STOPPED}, "superseded"),
        ({"state": CallState.STOPPED}, "stopped"),
        ({"state": CallState.LIVE, "stream_sid": "MZother"}, "superseded"),
    ],
)
async def test_a_stream_that_is_not_wanted_writes_nothing(bench: Bench, changes: dict[str, object], reason: str) -> None:
    call = bench.call()
    await call.write_document(**changes)
    before = call.saved
    publisher = call.publisher()
    async with running(publisher) as run:
        publisher.status(*LIVE)
        publisher.finished(finished(1))
        await eventually(run.done)
    assert run.exception() is None
    assert call.superseded == [reason]
    assert call.opened == []
    await publisher.finish(5)
    assert call.saved == before
    assert bench.found(Kind.MAP, suggestions_map(call.sid)) is None
    assert bench.found(Kind.STREAM, call.stream) is None
    assert bench.value("queue_drops_total", queue="suggestions") == 1


async def test_a_newer_generation_in_the_map_stops_the_older_writer(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher) as run:
        publisher.finished(finished(1))
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)) and call.stored)
        await bench.sync.create_item(call.map.sid, suggestion_key(2), {"id": "g2-item9", "seq": 2}, TTL)
        publisher.finished(finished(2))
        publisher.finished(finished(3))
        await eventually(run.done)
    assert call.superseded == ["superseded"]
    assert [one["id"] for one in call.stored] == ["g1-item1", "g2-item9"]
    await publisher.finish(5)
    assert bench.value("queue_drops_total", queue="suggestions") == 2
    publisher.finished(finished(4))
    assert bench.value("queue_drops_total", queue="suggestions") == 3
    assert call.saved.state is CallState.LIVE


async def test_a_newer_generations_status_is_left_alone(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher) as run:
        publisher.status(*LIVE)
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)) and call.status_item)
        newer = {**call.status_item, "generation": 2, "state": "starting"}  # type: ignore[dict-item]
        await bench.sync.update_item(call.map.sid, "status", newer)
        publisher.status(*ENDED)
        await eventually(run.done)
    assert call.superseded == ["superseded"]
    assert call.status_item == newer


@asynccontextmanager
async def live(bench: Bench) -> AsyncIterator[tuple[Call, CallPublisher, asyncio.Task[None]]]:
    """A call whose objects are open and whose agent has been told so."""
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher) as run:
        publisher.status(*LIVE)
        await eventually(lambda: call.opened and bench.found(Kind.MAP, suggestions_map(call.sid)) and call.status_item)
        yield call, publisher, run


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [({"generation": 2, "state": CallState.LIVE}, ["superseded"]), ({"state": CallState.STOPPED}, []), ({}, [])],
    ids=["another relay has the call", "it is over, which is told elsewhere", "it is this stream's"],
)
async def test_where_the_owner_is_unsure_the_document_decides(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], reasons: list[str]
) -> None:
    monkeypatch.setattr(publisher_module, "CHECK_AGAIN_SECONDS", 0.2)
    async with live(bench) as (call, publisher, run):
        publisher.check_owner()
        await asyncio.sleep(0.3)
        assert not run.done(), "the Document names this stream"
        await call.change_document(**changes)
        before = call.saved
        publisher.check_owner()
        if reasons:
            await eventually(run.done)
        else:
            await asyncio.sleep(0.6)
            await publisher.finish(5)
    assert call.superseded == reasons
    assert call.saved == before or not reasons


async def test_a_call_that_ends_keeps_its_last_suggestions_though_its_owner_is_checked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is handed over: it is written as another's while its last suggestions are being stored."""
    monkeypatch.setattr(publisher_module, "CHECK_AGAIN_SECONDS", 0.2)
    async with live(bench) as (call, publisher, run):
        await call.change_document(generation=2)
        publisher.check_owner()
        publisher.finished(finished(1))
        await asyncio.sleep(0.1)
        stored = publisher._map.idle

        async def slowly() -> None:
            await asyncio.sleep(0.6)
            await stored()

        monkeypatch.setattr(publisher._map, "idle", slowly)
        await publisher.finish(5, lost=None)
        await eventually(run.done)
    assert call.superseded == []
    assert [one["id"] for one in call.stored] == ["g1-item1"]


async def test_an_older_status_is_overwritten(bench: Bench) -> None:
    call = bench.call()
    await call.write_document(generation=2)
    found = await bench.sync.ensure_map(suggestions_map(call.sid), TTL)
    await bench.sync.create_item(found.sid, "status", {"generation": 2, "state": "starting"}, TTL)
    publisher = call.publisher(generation=2)
    async with running(publisher):
        publisher.status(*LIVE)
        await eventually(lambda: (call.status_item or {})["state"] == "live")
        await publisher.finish(5)


async def test_two_publishers_of_one_generation_and_stream_store_everything_once(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    one, two = call.publisher(), call.publisher()
    async with running(one), running(two):
        for number in range(20):
            one.finished(finished(number))
            two.finished(finished(100 + number))
            if number % 4 == 0:
                one.status(*LIVE)
                two.status(*LIVE)
        await asyncio.gather(one.finish(20), two.finish(20))
    ids = [stored["id"] for stored in call.stored]
    assert [stored["seq"] for stored in call.stored] == list(range(1, 41))
    assert [name for name in ids if len(name) < len("g1-item100")] == [f"g1-item{number}" for number in range(20)]
    assert [name for name in ids if len(name) == len("g1-item100")] == [f"g1-item{100 + number}" for number in range(20)]
    assert call.superseded == []


@pytest.mark.parametrize("state", [CallState.STOPPED, CallState.LOST])
async def test_an_end_that_was_written_before_the_start_was_answered_loses_nothing(bench: Bench, state: CallState) -> None:
    """The write of `live` was stored, its answer was not heard; before it was repeated, a callback or the worker ended the stream."""
    call = bench.call()
    await call.write_document(state=state, stream_sid="MZ1", owner="10.0.0.1:9090")
    publisher = call.publisher()
    for number in range(3):
        publisher.finished(finished(number))
    async with running(publisher) as run:
        await publisher.finish(10)
        assert run.exception() is None
    assert [one["id"] for one in call.stored] == ["g1-item0", "g1-item1", "g1-item2"]
    assert (call.saved.state, call.saved.seq, call.superseded) == (state, 3, [])


async def test_the_end_leaves_another_streams_document_alone(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened)
        await call.change_document(stream_sid="MZ2", owner="10.0.0.2:9090")
        publisher.finished(finished(1))
        await publisher.finish(5, lost=True)
    assert (call.saved.state, call.saved.stream_sid) == (CallState.LIVE, "MZ2")


async def test_an_end_that_is_none_leaves_the_document_alone(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened)
        publisher.finished(finished(1))
        await publisher.finish(5, lost=None)
    assert call.saved.state is CallState.LIVE
    assert len(call.stored) == 1


async def test_a_stop_that_was_written_stays_written(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        await eventually(lambda: call.opened)
        await call.change_document(state=CallState.STOPPED)
        publisher.finished(finished(1))
        await publisher.finish(5, lost=True)
    assert (call.saved.state, call.saved.seq) == (CallState.STOPPED, 1)


async def test_a_missing_document_is_made_so_that_the_call_can_be_taken_over(bench: Bench) -> None:
    call = bench.call()
    publisher = call.publisher()
    async with running(publisher):
        publisher.status(*LIVE)
        await eventually(lambda: call.opened and bench.found(Kind.MAP, suggestions_map(call.sid)) and call.status_item)
        call.stream = call.saved.sync_stream
        await eventually(lambda: call.messages("status"))
        assert (call.saved.state, call.saved.worker) == (CallState.LIVE, "")
        assert call.stream.startswith(f"FLEX_ASSIST_{call.sid}_")
        assert len(call.stream) > len(f"FLEX_ASSIST_{call.sid}_") + 16
        assert call.status_item is not None
        assert call.status_item["stream"] == call.stream
        await publisher.finish(5)
    assert call.saved.state is CallState.STOPPED


async def test_no_spoken_word_is_published_where_transcripts_are_off(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    off = bench.snapshot.config.model_dump(mode="json", by_alias=True) | {"privacy": {"transcripts": "Off"}}
    publisher = call.publisher()
    async with running(publisher):
        publisher.transcript(Track.CUSTOMER, "u1", "said before", True)
        await eventually(lambda: call.messages("transcript"))
        bench.snapshot = Snapshot(RelayConfig.parse(json.dumps(off)), bench.secrets)
        publisher.transcript(Track.CUSTOMER, "u2", "a secret", True)
        publisher.transcript(Track.AGENT, "u3", "another secret", False)
        publisher.finished(finished(1))
        await publisher.finish(5)
    assert [one["text"] for one in call.messages("transcript")] == ["said before"]
    assert len(call.stored) == 1


async def test_what_a_restart_goes_on_from_costs_no_write_and_holds_no_spoken_word(bench: Bench) -> None:
    """It is the suggestions, which are in the Map for the agent: a call writes nothing besides, and the next stream's relay reads once."""
    off = bench.snapshot.config.model_dump(mode="json", by_alias=True) | {"privacy": {"transcripts": "Off"}}
    bench.snapshot = Snapshot(RelayConfig.parse(json.dumps(off)), bench.secrets)
    journal, call = bench.twilio.journal, bench.call()
    await call.write_document()
    first = call.publisher()
    async with running(first):
        first.status(*LIVE)
        await eventually(lambda: call.messages("status") and bench.found(Kind.MAP, suggestions_map(call.sid)) and call.status_item)
        begun = journal.mark()
        for number in range(5):
            first.transcript(Track.CUSTOMER, f"u{number}", "spoken aloud", True)
            first.finished(finished(number, f"answer {number}", f"question {number}"))
        await eventually(lambda: len(call.stored) == len(call.messages("suggestion")) == 5)
        assert journal.since(begun).of("sync", "POST") == 2 * 5, "each into the Map, and onto the Stream"
    await call.change_document(generation=2, state=CallState.STARTING, stream_sid="")
    second = call.publisher(generation=2, stream_sid="MZ2")
    async with running(second):
        second.status(*LIVE)
        await eventually(lambda: len(call.messages("status")) == 2 and (call.status_item or {})["generation"] == 2)
        again = journal.mark()
        earlier = await second.earlier(5)
        assert set(journal.since(again).by["sync"]) == {"GET"}
        assert earlier is not None and [one.question for one in earlier] == [f"question {number}" for number in range(5)]
        second.transcript(Track.CUSTOMER, "u9", "spoken aloud", True)
        await second.finish(5)
    held = [(found.data, {key: item.data for key, item in found.items.items()}) for found in bench.service.objects.values()]
    assert "question 4" in repr(held)
    assert "spoken" not in repr((held, [change.data for change in journal.changes()]))


async def test_what_sync_does_not_tell_in_time_is_gone_on_without(bench: Bench) -> None:
    call = bench.call()
    await call.write_document(generation=2)
    publisher = call.publisher(generation=2)
    async with running(publisher):
        await eventually(lambda: bench.found(Kind.MAP, suggestions_map(call.sid)))
        bench.twilio.set_faults(FaultRule(FaultKind.HANG, "/Items", method="GET"))
        async with asyncio.timeout(30):
            assert await publisher.earlier(0.2) is None
        bench.twilio.set_faults()
        await publisher.finish(5)


@pytest.mark.parametrize("text", ["😀" * 9000, '"\\\n' * 9000, "\x00" * 9000, "half \ud83d of a pair", "漢字 ü \u2028 \u202e"])
async def test_any_text_of_any_length_arrives(bench: Bench, text: str) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        publisher.draft("item1", text, REVISION)
        publisher.transcript(Track.CUSTOMER, "u1", text, True)
        await eventually(lambda: call.messages("draft") and call.messages("transcript"))
        publisher.finished(finished(1, answer=text, question=text))
        await publisher.finish(5)
    (stored,) = call.stored
    (sent,) = call.messages("suggestion")
    long = len(text) > 100
    assert stored.get("truncated", False) is sent.get("truncated", False) is long
    assert len(stored["answer"]) > len(sent["answer"]) if long else stored["answer"] == sent["answer"]
    assert json.loads(sent["transcript"])["answer"] == sent["answer"]


async def test_a_flood_of_drafts_keeps_to_the_rate_and_the_last_one_arrives(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        for number in range(250):
            publisher.draft("item1", "word " * number, REVISION)
            publisher.transcript(Track.CUSTOMER, "u1", "said " * number, False)
            if number == 125:
                publisher.finished(finished(7))
            await asyncio.sleep(0.01)
        await eventually(lambda: call.messages("draft")[-1]["part"] == 250)
        await publisher.finish(5)
    times = [change.at for change in bench.twilio.messages(call.stream)]
    # The rate is kept to the letter where messages are sent (see the coalescer's tests); here is where they arrive.
    assert max(sum(1 for other in times if begin <= other < begin + 1.0) for begin in times) <= 12
    assert len(times) <= 8 * (times[-1] - times[0]) + 8
    assert len(call.messages("draft")) >= 2 * len(call.messages("transcript")) - 4 > 0
    assert len(call.messages("suggestion")) == 1


async def test_a_publisher_that_never_ran_ends_at_once(bench: Bench) -> None:
    call = bench.call()
    publisher = call.publisher()
    publisher.finished(finished(1))
    async with asyncio.timeout(1):
        await publisher.finish(30)
    assert bench.value("queue_drops_total", queue="suggestions") == 1
    async with running(publisher) as run:
        await eventually(run.done, seconds=1)


async def test_a_publisher_that_is_cancelled_leaves_no_task(bench: Bench) -> None:
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()

    def tasks() -> list[str]:
        return [name for task in asyncio.all_tasks() if "CallPublisher" in (name := repr(task.get_coro()))]

    async with running(publisher):
        publisher.finished(finished(1))
        await eventually(lambda: call.opened)
        assert len(tasks()) >= 5
    assert tasks() == []


@pytest.mark.parametrize("drafted", [True, False])
async def test_the_first_words_are_the_first_drafts_or_the_suggestions_own(bench: Bench, *, drafted: bool) -> None:
    """From when the customer stopped until Sync accepted them; a withdrawn draft's count nowhere."""
    call = bench.call()
    await call.write_document()
    publisher = call.publisher()
    async with running(publisher):
        publisher.draft("item0", "Never", REVISION, early=True)
        await eventually(lambda: publisher._stream.first_words("g1-item0"))
        publisher.withdrawn("item0", REVISION, WithdrawnReason.SPOKE_ON)
        if drafted:
            publisher.draft("item1", "You", REVISION, early=True)
            await eventually(lambda: publisher._stream.first_words("g1-item1"))
        publisher.finished(finished(1))
        await publisher.finish(30)
    assert bench.value("first_words_seconds_count") == 1
    seconds = bench.value("first_words_seconds_sum")
    assert seconds < 0.5 if drafted else seconds >= 0.5
