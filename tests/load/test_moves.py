"""Calls of both tracks, every part a process, and three roll-outs back to back: nothing is lost, doubled, or out of order."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import Watch, sessions, start
from integration.faults_rig import all_flushed, all_live, all_over, hang_up, kept, lead_to
from integration.moves_rig import accounted, asking_on_a_line, drained, outcomes, questions, unanswered
from support.eventually import eventually
from support.load import slowdown
from voiceassist_demo.stage import RelayProcess, Stage
from voiceassist_relay.logs import call_hash

CALLS = int(os.environ.get("VOICEASSIST_MOVES_CALLS", "12"))
"""Of both tracks; more where a machine has nothing else to do."""
ROLL_OUTS = 3
SECONDS = 110.0
EMPTY_WITHIN = 30.0
CONFIG: dict[str, Any] = {"limits": {"maxCalls": 80, "drainGraceSeconds": 0, "drainTimeoutSeconds": 300}}


def lines(stage: Stage, event: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for log in stage.folder.glob("relay*.log") for line in log.read_text().splitlines()]
    return [line for line in told if line.get("event") == event]


def share(values: Sequence[float], part: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]


async def test_calls_move_three_times_and_nothing_is_lost(tmp_path: Path) -> None:
    """All through a question and its answer, as they began one after the other; one is paused; at each roll-out one has just begun, and one
    ends."""
    recordings = [asking_on_a_line(tmp_path, SECONDS, number) for number in range(CALLS)]
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        relays: list[RelayProcess] = [stage.relay]
        calls: list[dict[str, Any]] = []

        async def begin(count: int) -> None:
            for _ in range(count):
                calls.append(await start(stage, recordings[len(calls)], relays[-1], hangUp=None))
                await asyncio.sleep(0.08)

        async def more() -> None:
            """One more suggestion in every call that goes on and is not paused."""
            before = {call["callSid"]: len(watch.items(call)) for call in asking}
            await eventually(lambda: all(len(watch.items(call)) > before[call["callSid"]] for call in asking), seconds=120)

        await begin(CALLS - ROLL_OUTS)
        asking = list(calls)
        await more()
        paused = calls[0]
        assert (await stage.act("pause", paused, relays[0]))[0] == 200
        asking.remove(paused)
        over: list[dict[str, Any]] = []
        empty: list[float] = []
        for number in range(ROLL_OUTS):
            relays.append(await stage.start_relay())
            await begin_one(stage, calls, recordings, relays[-2])
            asking.append(calls[-1])
            await lead_to(stage, relays[-1])
            began = time.monotonic()
            draining = asyncio.create_task(drained(relays[-2]))
            ending = calls[number + 1]
            await hang_up(stage, [ending])
            over.append(ending)
            asking.remove(ending)
            await draining
            empty.append(time.monotonic() - began)
            await all_live(stage, [call for call in calls if call not in over])
        await more()
        assert watch.states(paused)[-1][0] == "paused"
        assert (await stage.act("resume", paused, relays[-1]))[0] == 200
        asking.append(paused)
        await more()
        await hang_up(stage, [call for call in calls if call not in over])
        await all_over(stage, calls, 120)
        await all_flushed(stage, 120, relays[-1])

        held, halted = await kept(stage, calls), 0  # questions in whose middle the stand-in for Twilio came to a halt on a busy machine
        for call, one in zip(calls, held, strict=True):
            told = {state for state, _ in watch.states(call)}
            assert told <= {"starting", "live", "stopped", *({"paused"} if call is paused else ())}, "the agent sees nothing of it"
            assert [item["seq"] for item in one.items] == list(range(1, len(one.items) + 1))
            asked = [question for item in one.items for question in item["question"].split(" / ")]
            if call is paused:
                wanted = iter(questions(40))
                assert all(question in wanted for question in asked)
            else:
                broken = [
                    line["turns"].get("not_relevant", 0) for line in lines(stage, "call over") if line["call"] == call_hash(call["callSid"])
                ]
                assert unanswered(asked) <= sum(broken), f"each question once, in order: {asked}"
                halted += sum(broken)
        replayed = await accounted(stage, recordings, await sessions(stage), paused=[recordings[0]])
        moved = outcomes(stage)
        gaps = [line["gap_ms"] for line in lines(stage, "call taken over")]
        speeds = [speed(stage, relay) for relay in relays[:-1]]
        took = ", ".join(f"{seconds:.1f}" for seconds in empty)
        suggestions = sum(len(one.items) for one in held)
        print(f"\n{CALLS} calls, {ROLL_OUTS} roll-outs: {dict(moved)}; 0 calls ended, 0 frames lost, heard again {replayed}")
        print(f"{suggestions} suggestions, each question once and in order; {halted} were broken by halts of the stand-in")
        print(f"relays were empty after {took} s")
        print(f"{', '.join(f'{one:.1f}' for one in speeds)} calls moved a second")
        print(f"gap p50 {share(gaps, 0.5):.0f} ms, p99 {share(gaps, 0.99):.0f} ms, most {max(gaps):.0f} ms")
        assert max(gaps) == 0
        assert max(empty) < EMPTY_WITHIN * slowdown()


async def begin_one(stage: Stage, calls: list[dict[str, Any]], recordings: Sequence[Path], relay: RelayProcess) -> None:
    """A call that has just begun."""
    calls.append(await start(stage, recordings[len(calls)], relay, hangUp=None))
    await all_live(stage, [calls[-1]])


def speed(stage: Stage, relay: RelayProcess) -> float:
    """Calls that a relay gave away a second, from its signal to the last."""
    told = [json.loads(line) for line in relay.child.log.read_text().splitlines()]
    began = next(line["timestamp"] for line in told if line.get("event") == "draining")
    moved = [line["timestamp"] for line in told if line.get("event") == "call moved"]
    return len(moved) / (datetime.fromisoformat(max(moved)) - datetime.fromisoformat(began)).total_seconds()
