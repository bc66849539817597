"""A relay with many calls is killed: those that are left bring all of them back, within what Twilio takes, and nothing is doubled.

Every part is a process. Two relays are left, and Twilio's callbacks and the next streams come to either by chance; the operator's word
of who answers comes too, so that both ways to a restart are open. Each REST request takes its time, and too many at once are refused with
429. VOICEASSIST_STORM_CALLS says how many calls there are, of the customer's track alone: 40, or 150 where a machine has nothing else to
do. Run alone it prints figures:

    VOICEASSIST_STORM_CALLS=150 python -m pytest -q -s tests/load/test_restart_storm.py
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from integration.end_to_end_rig import Watch, sessions, start, streams
from integration.faults_rig import all_flushed, all_over, hang_up, kept, lead_to, set_faults, value
from integration.gone_rig import known, live_again_at, told
from integration.moves_rig import accounted, asking_on_a_line, unanswered
from support.eventually import eventually
from support.load import slowdown
from voiceassist_demo.stage import RelayProcess, Stage

CALLS = int(os.environ.get("VOICEASSIST_STORM_CALLS", "40"))
SECONDS = 60.0 + CALLS
"""Of each call's recording; calls begin some seconds one after the other."""
LATENCY = 0.08
"""Seconds that each of Twilio's answers takes."""
MOST_AT_ONCE = max(100, 3 * CALLS)
"""Requests of the account under way at once, above which Twilio refuses more; how many it really takes it does not say. What so many calls
write by themselves, before any relay has died, has to fit."""
AGAIN_WITHIN = 5.0
"""Seconds until the calls are live again, at the 95th percentile; from the relay's death, which is later than its last frame."""
FRAME = 0.02
PACE = 1.0
"""Seconds that each of eight who start calls waits for the next one: Sync makes only so many objects a second."""
UNCOUNTED = 0.2
"""Seconds of a call that the dead relay had got and not passed on, and from the new stream's first frame to its `start`."""
CONFIG: dict[str, Any] = {
    "audio": {"tracks": "Customer"},
    "privacy": {"transcripts": "Off"},
    "limits": {"maxCalls": 2 * CALLS, "drainGraceSeconds": 0, "drainTimeoutSeconds": 0},
}


def share(values: Sequence[float], part: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]


def most_within(moments: Sequence[float], seconds: float) -> int:
    return max((sum(first <= one < first + seconds for one in moments) for first in moments), default=0)


async def begun(stage: Stage, folder: Path) -> tuple[list[dict[str, Any]], list[Path]]:
    """All calls, eight of them starting at a time, and what is said in each."""
    recordings = [asking_on_a_line(folder, SECONDS, number) for number in range(CALLS)]
    places = asyncio.Semaphore(8)

    async def begin(recording: Path) -> dict[str, Any]:
        async with places:
            call = await start(stage, recording, hangUp=None)
            await asyncio.sleep(PACE)
            return call

    return list(await asyncio.gather(*map(begin, recordings))), recordings


async def of_all(stage: Stage, relays: Sequence[RelayProcess], name: str, **labels: str) -> list[float]:
    return [value(await stage.metrics(relay), name, **labels) for relay in relays]


def nothing_but_suggestions(watch: Watch, calls: Sequence[Mapping[str, Any]]) -> None:
    """No spoken words in Sync, where none may be: neither before the restart nor for it."""
    of_calls = [e for e in watch.events if e["type"] == "sync" and any(call["callSid"] in (e.get("uniqueName") or "") for call in calls)]
    kinds = Counter(e["data"]["type"] for e in of_calls if e.get("data") and "type" in e["data"])
    assert kinds["suggestion"] and not kinds["transcript"], kinds


@pytest.mark.timeout(1800)  # where the machine has much else to do; nothing here asserts it
async def test_the_calls_of_a_killed_relay_come_back_without_a_herd(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        dead = stage.relay
        left = [await stage.start_relay(), await stage.start_relay()]
        calls, recordings = await begun(stage, tmp_path)
        await eventually(lambda: all(watch.items(call) for call in calls), seconds=120, every=0.5, what="a suggestion in every call")
        async with told(stage, [dead, *left]):
            for relay in left:
                await known(relay, dead, CALLS)
            await set_faults(stage, {"kind": "latency", "seconds": LATENCY})
            await stage.send("PUT", f"{stage.twilio_url}/_sim/settings", {"maxConcurrentRequests": MOST_AT_ONCE})
            await lead_to(stage, *left)
            _, mark = await stage.send("POST", f"{stage.twilio_url}/_sim/requests/mark")
            ended, stopped, paused, *going_on = calls

            killed = time.time()
            dead.child.signal(signal.SIGKILL)
            await dead.child.wait()
            asked = [stage.act("stop", stopped, left[0]), stage.act("pause", paused, left[1]), stage.act("start", going_on[-1], left[0])]
            _, *answers = await asyncio.gather(hang_up(stage, [ended]), *asked)
            await eventually(
                lambda: all(live_again_at(watch, call) for call in going_on), seconds=180, every=0.5, what="every call is live again"
            )
            again = [(live_again_at(watch, call) or killed) - killed for call in going_on]
            counted = await stage.get(f"{stage.twilio_url}/_sim/requests/count?since={mark['mark']}")
            shares = await of_all(stage, left, "active_calls")
            before = {call["callSid"]: len(watch.items(call)) for call in going_on}
            await eventually(lambda: all(len(watch.items(call)) > before[call["callSid"]] for call in going_on), seconds=120, every=0.5)
        assert [answers[0][0], answers[2][0]] == [200] * 2, answers
        assert answers[1][0] in {200, 503}, "where the call's turn comes late, its agent is told that it may be heard still"
        assert watch.states(paused)[-1][0] == "paused", "the pause came through all the same"
        running = {call["callSid"]: [one for one in await streams(stage, call) if one["state"] == "streaming"] for call in calls}
        assert [len(running[call["callSid"]]) for call in (ended, stopped)] == [0, 0], "what is over or was stopped is not started again"
        assert {len(running[call["callSid"]]) for call in (paused, *going_on)} == {1}
        await set_faults(stage)
        await hang_up(stage, calls)
        await all_over(stage, calls, 120)
        for relay in left:
            await all_flushed(stage, 120, relay)

        held = await kept(stage, calls)
        for one in held:
            assert [item["seq"] for item in one.items] == list(range(1, len(one.items) + 1))
        missed = [unanswered([question for item in one.items for question in item["question"].split(" / ")]) for one in held]
        nothing_but_suggestions(watch, calls)
        unheard = sum(await of_all(stage, left, "restart_gap_seconds_sum"))
        busy = sum(await of_all(stage, left, "twilio_requests_total", outcome="busy"))
        restarts = await of_all(stage, left, "stream_restarts_total", outcome="started")
        dialled = [s["dialledAt"] for call in calls for s in (await streams(stage, call))[1:]]
        soon = [share(again, part) for part in (0.5, 0.95, 1.0)]
        print(f"\n{CALLS} calls of one killed relay: live again after p50 {soon[0]:.2f}, p95 {soon[1]:.2f}, most {soon[2]:.2f} s")
        print(f"started again by the two that are left: {restarts}, and now theirs: {shares}")
        print(f"{len(dialled)} streams for {len(going_on) + 1} calls, {most_within(dialled, 1.0)} of them within one second")
        print(f"{counted['total']} requests, {counted['mostAtOnce']} at once at most; refused with 429: {busy:.0f}")
        lost: Counter[tuple[str, str]] = Counter()
        await accounted(stage, recordings, await sessions(stage), missing=lost, tracks=("customer",))
        gaps = [frames * FRAME for frames in lost.values()]
        print(f"heard by nobody: {share(gaps, 0.5):.2f} s of a call (p50), {max(gaps):.2f} s (most); of all {sum(gaps):.1f} s,")
        print(f"counted by the relays: {unheard:.1f} s")
        print(f"{sum(len(one.items) for one in held)} suggestions, none twice, all in order; {sum(missed)} questions without an answer")
        assert sum(gaps) <= unheard + CALLS * UNCOUNTED * slowdown(), "what nobody heard is counted"
        assert soon[1] < AGAIN_WITHIN * slowdown()
