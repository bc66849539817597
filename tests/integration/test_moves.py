"""Calls that move from a relay that drains to another: every frame heard once, every question answered once, in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

from integration.end_to_end_rig import Watch, sessions, start
from integration.faults_rig import all_flushed, all_live, all_over, hang_up, kept, lead_to, value
from integration.moves_rig import accounted, asking_on_a_line, drained, questions
from support.eventually import eventually
from voiceassist_demo.stage import Stage

CONFIG = {"limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 300}}


async def test_moves_of_a_draining_relays_calls_lose_and_double_nothing(tmp_path: Path) -> None:
    """Three calls, each somewhere else in its conversation, and two drains back to back."""
    recordings = [asking_on_a_line(tmp_path, 120, number) for number in range(3)]
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        relays = [stage.relay, await stage.start_relay()]
        calls = []
        for recording in recordings:
            calls.append(await start(stage, recording, hangUp=None))
            await asyncio.sleep(1.3)
        await eventually(lambda: all(watch.items(call) for call in calls), seconds=60, what="a suggestion in every call")
        for generation in (2, 3):
            if generation == 3:
                relays.append(await stage.start_relay())
            await lead_to(stage, relays[generation - 1])
            before = [len(watch.items(call)) for call in calls]
            await drained(relays[generation - 2])
            await all_live(stage, calls)
            assert {one.document["generation"] for one in await kept(stage, calls) if one.document} == {generation}

            async def more(before: list[int] = before) -> bool:
                return all(len(watch.items(call)) > count for call, count in zip(calls, before, strict=True))

            await eventually(more, seconds=60, what="suggestions go on")
        metrics = await stage.metrics(relays[2])
        assert value(metrics, "move_gap_seconds_count") == len(calls)
        assert value(metrics, "move_gap_seconds_sum") == 0
        await hang_up(stage, calls)
        await all_over(stage, calls, 60)
        await all_flushed(stage, 60, relays[2])

        for call, held in zip(calls, await kept(stage, calls), strict=True):
            told = {state for state, _ in watch.states(call)}
            assert told <= {"starting", "live", "stopped"}, "the agent sees nothing of it"
            assert [item["seq"] for item in held.items] == list(range(1, len(held.items) + 1))
            asked = [question for item in held.items for question in item["question"].split(" / ")]  # slow answers take two turns together
            assert asked == questions(len(asked)), "each question once, in order"
        replayed = await accounted(stage, recordings, await sessions(stage))
        print(f"\n{len(calls)} calls moved twice; frames heard again: {replayed}")
