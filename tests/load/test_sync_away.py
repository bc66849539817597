"""Sync away under fifty calls, every part a process of its own: nothing that the model finished is lost, and the order is kept.

VOICEASSIST_SYNC_AWAY_SECONDS says for how long it is away: 25 by default, beyond which no bound of the relay is left that a longer
time would reach but those of its queues and of the flush; 120 is what is promised.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from integration.end_to_end_rig import start
from integration.faults_rig import (
    all_flushed,
    all_live,
    asking,
    assert_nothing_lost,
    finished,
    hang_up,
    kept,
    set_faults,
    struck,
    value,
)
from support.eventually import eventually
from voiceassist_demo.stage import Stage

AWAY = float(os.environ.get("VOICEASSIST_SYNC_AWAY_SECONDS", "25"))
SYNC = "^/sync/"
STAY, LEAVE, JUST_BEFORE = 35, 10, 5
"""Calls that outlive the outage, that end soon after its beginning, and that begin as it begins."""
CONFIG = {"audio": {"tracks": "Customer"}, "limits": {"maxCalls": 60, "drainTimeoutSeconds": 5}}


@pytest.mark.timeout(90 + 2 * AWAY)
async def test_nothing_is_lost_while_sync_is_away(tmp_path: Path) -> None:
    talk = asking(tmp_path, AWAY + 60)
    async with Stage(tmp_path / "stage", config=CONFIG) as stage:
        calls = await asyncio.gather(*(start(stage, talk, hangUp=None) for _ in range(STAY + LEAVE)))
        await all_live(stage, calls)
        await set_faults(stage, {"kind": "5xx", "path": "/Permissions/"})
        calls += await asyncio.gather(*(start(stage, talk, hangUp=None) for _ in range(JUST_BEFORE)))
        await all_live(stage, calls)
        began = time.monotonic()

        struck_at_all = 0
        for rule, share in (({"kind": "cut"}, 0.4), ({"kind": "hang"}, 0.4), ({"kind": "5xx", "status": 503}, 0.2)):
            struck_at_all += await struck(stage)
            await set_faults(stage, {**rule, "path": SYNC})
            stored = sum(len(one.items) for one in await kept(stage, calls))
            if rule["kind"] == "cut":
                await hang_up(stage, calls[:LEAVE])
            await asyncio.sleep(AWAY * share)
            assert sum(len(one.items) for one in await kept(stage, calls)) == stored, "it is away"
            assert (await stage.send("GET", f"{stage.relay.private}/readyz"))[0] == 200, "no reason to send calls elsewhere"
            assert not (await stage.get(f"{stage.relay.private}/status"))["sync"]["ok"]
        waiting = sum(len(one) for one in await finished(stage)) - stored
        struck_at_all += await struck(stage)
        await set_faults(stage)
        away = time.monotonic() - began

        await asyncio.sleep(3)
        await hang_up(stage, calls[LEAVE:])
        await all_flushed(stage, 90)
        back = time.monotonic()
        held = await kept(stage, calls)
        assert {one.document["state"] for one in held if one.document} == {"stopped"}
        total = assert_nothing_lost(await finished(stage), held)
        assert waiting >= len(calls), "there was something to lose"
        assert all(call["identity"] in one.readers for call, one in zip(calls, held, strict=True)), "every agent may read"
        await eventually(lambda: _well(stage), seconds=10, what="Sync well")
        metrics = await stage.metrics()
        assert value(metrics, "queue_drops_total", queue="suggestions") == 0
        assert value(metrics, "sync_publish_seconds_count", outcome="given_up") == 0
        assert value(metrics, "sync_publish_seconds_count", outcome="retried") >= len(calls)
        dropped = round(value(metrics, "queue_drops_total"))
    print(f"\nSync away for {away:.0f} s under {len(calls)} calls: {struck_at_all} requests failed; {total} suggestions finished,")
    print(f"{waiting} of them waiting when it came back: all stored, each once and in order; {dropped} messages dropped;")
    print(f"every call over {back - began - away:.1f} s after the outage")


async def _well(stage: Stage) -> bool:
    return bool((await stage.get(f"{stage.relay.private}/status"))["sync"]["ok"])
