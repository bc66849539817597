"""SIGTERM under fifty calls, every part a process of its own: readiness fails first, nothing is lost.

The public name leads to the relay that ends, so no call can move: they go on to their ends.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import start, streams
from integration.faults_rig import (
    Polls,
    all_live,
    all_over,
    asking,
    assert_nothing_lost,
    finished,
    hang_up,
    kept,
    set_faults,
    states,
    value,
)
from voiceassist_demo.stage import Stage

CALLS = 50
CONFIG: dict[str, Any] = {"audio": {"tracks": "Customer"}, "limits": {"maxCalls": 60, "drainGraceSeconds": 6, "drainTimeoutSeconds": 60}}
LATE = 2.0
"""After SIGTERM: a balancer may still send calls here that late, and later."""


async def test_a_relay_that_is_told_to_end_ends_no_call(tmp_path: Path) -> None:
    talk = asking(tmp_path, 90)
    async with Stage(tmp_path / "stage", config=CONFIG) as stage:
        relay = stage.relay
        other = await stage.start_relay()
        calls = await asyncio.gather(*(start(stage, talk, hangUp=None) for _ in range(CALLS)))
        await all_live(stage, calls)
        before = value(await stage.metrics(), "upgrades_total", outcome="accepted")

        polls = Polls(relay)
        polling = asyncio.create_task(polls.run())
        relay.child.signal(signal.SIGTERM)
        told = time.monotonic()
        await asyncio.sleep(LATE)
        late = await start(stage, talk, relay=other, hangUp=None)  # the public name still leads to the relay that ends
        await all_live(stage, [late], 10)
        metrics = await stage.metrics()
        assert value(metrics, "upgrades_total", outcome="accepted") == before + 1, "the upgrade is served by the relay that ends"
        assert value(metrics, "active_calls") == CALLS + 1, "no call has ended"

        await set_faults(stage, {"kind": "latency", "path": "/Items", "seconds": 2.0})  # so that something is under way at the end
        await asyncio.sleep(CONFIG["limits"]["drainGraceSeconds"] - 1)
        assert set(await states(stage, [*calls, late])) == {"live"}, "the grace is over, and they go on"
        hung_up = time.monotonic()
        await hang_up(stage, [*calls, late])
        code = await asyncio.wait_for(relay.child.wait(), 60)
        gone = time.monotonic()
        await polling
        assert code == 0
        assert polls.unready_at is not None
        assert polls.calls_at_unready == CALLS, "readiness fails while every call goes on"
        assert polls.unready_at - told < LATE, "a balancer that asks every second or two knows before the grace is over"
        assert all(at > polls.metrics_at[-1] for at, _ in polls.failed), "metrics answer without a gap"
        assert hung_up < polls.metrics_at[-1] > gone - 5.0, "and until the end"

        await all_over(stage, [*calls, late], 5)
        held = await kept(stage, [*calls, late])
        total = assert_nothing_lost(await finished(stage), held)
        assert total > CALLS
        assert {one.document["state"] for one in held if one.document} == {"stopped"}
        assert {one.status["reason"] for one in held if one.status} == {"CallEnded"}
        for call in [*calls, late]:
            (stream,) = [one for one in await streams(stage, call) if one["name"] == f"assist_{call['callSid']}"]
            assert stream["error"] is None, "Twilio saw every stream end in good order"
        log = [json.loads(line) for line in relay.child.log.read_text().splitlines()]
        assert log[-1]["event"] == "relay down"
        assert [entry["reason"] for entry in log if entry["event"] == "call over"] == ["stop"] * (CALLS + 1)
    print(f"\nSIGTERM under {CALLS} calls: unready after {polls.unready_at - told:.1f} s; a call that came {LATE:g} s later was served;")
    print(f"{total} suggestions, all stored; ended with exit code 0 after {gone - told:.1f} s;")
    print(f"metrics answered {len(polls.metrics_at)} times, the last {gone - polls.metrics_at[-1]:.1f} s before the end")
