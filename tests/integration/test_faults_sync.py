"""Twilio's answers failing or lying under a whole line of processes: nothing is doubled, nothing is missing, only later."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import Watch, start, streams
from integration.faults_rig import all_flushed, all_over, asking, assert_nothing_lost, finished, kept, set_faults, strays, struck, value
from voiceassist_crds import names
from voiceassist_demo.stage import Stage

CONFIG = {"audio": {"tracks": "Customer"}, "limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 0}}
WRITES = {"method": "POST", "path": "^/(sync|api)/"}
CALLS = 10


async def play(stage: Stage, watch: Watch, recording: Path) -> int:
    """Starts calls, lets them go to their ends, and holds what Twilio has against what the model said. How many suggestions."""
    calls = await asyncio.gather(*(start(stage, recording) for _ in range(CALLS)))
    await all_over(stage, calls, 60)
    await all_flushed(stage, 30)
    held = await kept(stage, calls)
    said = await finished(stage)
    unwanted = strays(said, held)
    total = assert_nothing_lost([one for one in said if one not in unwanted], held)
    made = sum([len(await streams(stage, call)) for call in calls])
    assert len(unwanted) <= made - CALLS, "only a stream that was given up may have been heard for nothing"
    assert all(one.items for one in held)
    for call, one in zip(calls, held, strict=True):
        assert one.readers == {call["identity"]}
        assert one.document is not None and one.status is not None
        assert (one.document["state"], one.document["seq"], one.status["state"]) == ("stopped", len(one.items), "stopped")
        generation, tried = one.document["generation"], [stream["name"] for stream in await streams(stage, call)]
        assert generation == call["answer"]["generation"], "no start was taken over by itself"
        assert len(set(tried)) == len(tried), "no stream was made twice"
        assert tried[-1] == call["answer"]["streamName"] == names.stream_name(call["callSid"], generation)
        assert_shown_once(watch, call, one.items)
    assert value(await stage.metrics(), "queue_drops_total", queue="suggestions") <= sum(len(one) for one in unwanted)
    return total


def assert_shown_once(watch: Watch, call: dict[str, Any], items: list[dict[str, Any]]) -> None:
    """Who listens to the call's Stream and knows messages by their ids, and drafts by their parts, sees each once and in order.

    What was stored although the answer was a failure may come again: word for word, and before anything newer of its item.
    """
    added = [one["id"] for one in watch.items(call)]
    assert added == [one["id"] for one in items], "no item was ever added that is not there"
    seen: dict[str, dict[str, Any]] = {}
    for message in watch.messages(call, "suggestion"):
        assert seen.setdefault(message["id"], message) == message, "a repeated message is the same word for word"
    assert list(seen) == added
    newest: dict[str, dict[str, Any]] = {}
    for draft in watch.messages(call, "draft"):
        before = newest.setdefault(draft["id"], draft)
        assert draft["part"] > before["part"] or draft == before, f"{draft['id']}: a draft goes back or is told otherwise"
        newest[draft["id"]] = draft
    documents = [
        e for e in watch.events if e["type"] == "sync" and e.get("uniqueName") == names.call_document(call["callSid"]) and e.get("data")
    ]
    assert [e["data"]["state"] for e in documents if e["data"]["state"] == "stopped"] != []


async def test_stored_then_500_doubles_nothing(tmp_path: Path) -> None:
    """Every third write is done and answered with 500, and so is the first creation of every call's stream."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        await set_faults(
            stage,
            {"kind": "stored-then-500", "method": "POST", "path": r"^/api/.*/Streams\.json$", "times": CALLS // 2},
            {"kind": "stored-then-500", "method": "POST", "path": "^/sync/", "share": 0.34},
            seed=11,
        )
        total = await play(stage, watch, asking(tmp_path, 7))
        hits = await struck(stage)
        assert hits > total
        await set_faults(stage)
    print(f"\n{hits} writes stored and answered with 500; {total} suggestions of {CALLS} calls, each there once")


async def test_one_write_in_five_failing_changes_nothing_but_latency(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        share = [
            {"kind": "429", **WRITES, "share": 0.05},
            {"kind": "5xx", **WRITES, "share": 0.05},
            {"kind": "cut", **WRITES, "share": 0.05},
            {"kind": "cut", "after": True, **WRITES, "share": 0.05},
        ]
        await set_faults(stage, *share, seed=5)
        total = await play(stage, watch, asking(tmp_path, 7))
        hits = await struck(stage)
        assert hits >= 2 * CALLS
        await set_faults(stage)
    print(f"\n{hits} writes failed; {total} suggestions of {CALLS} calls, each there once")
