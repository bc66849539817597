"""Calls of which Twilio forks no second stream: the old one ends first, and what nobody hears in between is little, and counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import Watch, sessions, start, streams
from integration.faults_rig import all_flushed, all_live, all_over, hang_up, kept, lead_to, set_faults, struck, value
from integration.moves_rig import accounted, asking_on_a_line, drained, outcomes, questions
from support.eventually import eventually
from voiceassist_crds.names import PLACES_HEADER
from voiceassist_demo.stage import HOST, RelayProcess, Stage, free_port

CONFIG = {"limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 300}}
CREATE, STOP = r"/Streams\.json$", r"/Streams/[^/]+\.json$"


async def limited(stage: Stage, tracks: int = 2) -> None:
    """So many tracks of a call can be forked from now on."""
    assert (await stage.send("PUT", f"{stage.twilio_url}/_sim/settings", {"maxForkedTracks": tracks}))[0] == 200


async def goes_on(watch: Watch, call: dict[str, object]) -> None:
    """Waits for one more suggestion."""
    before = len(watch.items(call))
    await eventually(lambda: len(watch.items(call)) > before, seconds=60, what="suggestions go on")


async def test_moves_of_calls_that_are_forked_only_once_have_a_gap_that_is_short_and_counted(tmp_path: Path) -> None:
    recordings = [asking_on_a_line(tmp_path, 120, number) for number in range(2)]
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        relays: list[RelayProcess] = [stage.relay, await stage.start_relay()]
        calls = []
        for recording in recordings:
            calls.append(await start(stage, recording, hangUp=None))
            await asyncio.sleep(1.3)
        await eventually(lambda: all(watch.items(call) for call in calls), seconds=60, what="a suggestion in every call")
        await limited(stage)
        await lead_to(stage, relays[1])
        await drained(relays[0])
        await all_live(stage, calls)
        for call in calls:
            await goes_on(watch, call)
        metrics = await stage.metrics(relays[1])
        assert value(metrics, "move_gap_seconds_count") == len(calls)
        counted = value(metrics, "move_gap_seconds_sum")
        await hang_up(stage, calls)
        await all_over(stage, calls, 60)
        await all_flushed(stage, 60, relays[1])

        assert outcomes(stage) == Counter(moved_with_gap=len(calls))
        for call, held in zip(calls, await kept(stage, calls), strict=True):
            assert {state for state, _ in watch.states(call)} <= {"starting", "live", "stopped"}, "the agent sees nothing of it"
            assert [item["seq"] for item in held.items] == list(range(1, len(held.items) + 1))
            asked = [question for item in held.items for question in item["question"].split(" / ")]
            wanted = iter(questions(len(asked) + 1))  # one may have been spoken into the gap
            assert all(question in wanted for question in asked), "each question once at most, in order"
        missing: Counter[tuple[str, str]] = Counter()
        await accounted(stage, recordings, await sessions(stage), missing=missing)
        unheard = {track: sum(count for (_, one), count in missing.items() if one == track) for track in ("customer", "agent")}
        print(f"\n{len(calls)} calls moved with a gap: {unheard} frames were heard by nobody; counted: {counted:.2f} s")
        assert 0 < unheard["customer"] / 50 <= counted + 0.5 * len(calls), "what nobody heard is counted, by when it arrived"


async def test_moves_with_a_gap_survive_answers_that_leave_open_what_was_done(tmp_path: Path) -> None:
    """The stop was carried out but its answer cut off; the next stream was made but the answer says 500."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        relays: list[RelayProcess] = [stage.relay, await stage.start_relay()]
        call = await start(stage, asking_on_a_line(tmp_path, 120, 1), hangUp=None)
        await eventually(lambda: bool(watch.items(call)), seconds=60, what="a suggestion")
        await limited(stage)
        await set_faults(
            stage,
            {"kind": "stored-then-500", "path": CREATE, "method": "POST", "skip": 1, "times": 1},
            {"kind": "cut", "path": STOP, "method": "POST", "after": True, "times": 1},
        )
        await lead_to(stage, relays[1])
        await drained(relays[0])
        await goes_on(watch, call)
        assert await struck(stage) == 2
        assert outcomes(stage) == Counter(moved_with_gap=1)
        assert len(await streams(stage, call)) == 2, "what was made counts"
        assert {state for state, _ in watch.states(call)} <= {"starting", "live"}


async def test_moves_with_a_long_gap_are_told_and_the_call_goes_on(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        relays: list[RelayProcess] = [stage.relay, await stage.start_relay()]
        call = await start(stage, asking_on_a_line(tmp_path, 120, 1), hangUp=None)
        await eventually(lambda: bool(watch.items(call)), seconds=60, what="a suggestion")
        await limited(stage)
        nowhere = {"connectTo": {HOST: f"127.0.0.1:{free_port()}"}}
        await stage.send("PUT", f"{stage.twilio_url}/_sim/settings", nowhere)
        draining = asyncio.create_task(drained(relays[0]))
        await eventually(lambda: ("reconnecting", "StreamLost") in watch.states(call), seconds=60, what="the agent is told")
        await lead_to(stage, relays[1])
        await draining
        await goes_on(watch, call)
        await eventually(lambda: watch.states(call)[-1][0] == "live", seconds=60, what="the agent is told that it goes on")
        assert "lost" not in {state for state, _ in watch.states(call)}, "the end of the stream that was stopped is expected"


async def test_moves_with_a_gap_wait_until_another_relay_has_a_place(tmp_path: Path) -> None:
    """The operator says what places the others have: without one, no stream that runs is stopped."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        relays: list[RelayProcess] = [stage.relay, await stage.start_relay()]
        call = await start(stage, asking_on_a_line(tmp_path, 240, 1), hangUp=None)
        await eventually(lambda: bool(watch.items(call)), seconds=60, what="a suggestion")
        await limited(stage)
        await lead_to(stage, relays[1])

        async def status(places: int) -> dict[str, Any]:
            async with stage.http.get(f"{relays[0].private}/status", headers={PLACES_HEADER: str(places)}) as answer:
                told: dict[str, Any] = await answer.json()
                return told

        await status(0)
        draining = asyncio.create_task(drained(relays[0]))

        async def refused() -> bool:
            told = await status(0)
            return bool(told.get("nowhereToMove")) and outcomes(stage)["refused"] > 0

        await eventually(refused, seconds=60, what="an attempt that Twilio refuses, and nowhere to move")
        assert len(await streams(stage, call)) == 1, "the call stays where it is heard"
        await status(3)
        await draining
        assert outcomes(stage)["moved_with_gap"] == 1
        await goes_on(watch, call)
