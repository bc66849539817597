"""A model that flaps, and one that hangs for one call only, behind a relay that is a process: what is dialled, and what is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from load.model_rig import PATIENCE, Caller, Callers, Program
from load.soak.run import total
from voiceassist_demo.stage import Model, Stage

CALLS = 10
FLAPPING = 12.0
"""Seconds: with what is waited after it, less than the 30 s of audio that a call may have waiting."""


class Scene:
    """A relay with calls at full pace, and its model server."""

    def __init__(self, stage: Stage, server: Program, callers: Callers) -> None:
        self.stage, self.server, self.callers = stage, server, callers

    async def heard_to_the_end(self) -> dict[str, Any]:
        """Nobody speaks any more: waits until all was heard, and gives what was heard of each call."""
        wanted = {str(caller.number): caller.said for caller in self.callers.all}
        async with asyncio.timeout(PATIENCE):
            while True:
                told = await self.server.ask("report")
                accounts = dict(told["accounts"])
                if all(call in accounts and accounts[call]["runs"][-1][1] == said for call, said in wanted.items()):
                    break
                await asyncio.sleep(0.2)
        assert told["errors"] == []
        assert total(await self.stage.metrics(), "frames_total", outcome="dropped") == 0
        assert not any(caller.lost for caller in self.callers.all)
        return accounts


@asynccontextmanager
async def scene(folder: Path, manner: dict[str, float]) -> AsyncIterator[Scene]:
    async with (
        Program.running(0, manner) as server,
        Stage(folder / "stage", config={"audio": {"tracks": "Customer"}}, model=Model(url=server.url)) as stage,
    ):
        callers = Callers(stage)
        await callers.begin(CALLS)
        yield Scene(stage, server, callers)


@asynccontextmanager
async def talking(callers: Callers) -> AsyncIterator[None]:
    task = asyncio.create_task(callers.talk(CALLS))
    try:
        yield
    finally:
        task.cancel()


def whole(caller: Caller, account: dict[str, Any]) -> bool:
    """Whether every frame was heard, each session's in order; some may have been heard by several."""
    heard = -1
    for first, last in account["runs"]:
        if first > heard + 1:
            return False
        heard = max(heard, last)
    return heard == caller.said and account["disordered"] == 0


async def test_a_model_that_flaps_is_dialled_with_patience_and_nothing_is_lost(tmp_path: Path) -> None:
    """Sessions that end as soon as they stand, for 12 s under 10 calls."""
    async with scene(tmp_path, {"lives": 0.0}) as on:
        async with talking(on.callers):
            await asyncio.sleep(FLAPPING)
            dials = (await on.server.ask("report"))["dials"]
            await on.server.ask("manner {}")
            await on.server.ask("reset")
            await on.server.stand(CALLS)
            await asyncio.sleep(1)
        accounts = await on.heard_to_the_end()
        assert all(whole(caller, accounts[str(caller.number)]) for caller in on.callers.all), accounts
        print(f"{len(dials)} dials of {CALLS} calls within {FLAPPING:.0f} s")
        assert CALLS * 4 <= len(dials) <= CALLS * 12  # waits of 0.25 s on the average at first, then ever twice as long


async def test_a_model_that_hangs_for_one_call_costs_the_others_nothing(tmp_path: Path) -> None:
    """One session is no longer read; it answers no ping, and is replaced. The others keep theirs, and every frame of all calls is heard."""
    async with scene(tmp_path, {}) as on:
        async with talking(on.callers):
            await on.server.stand(CALLS)
            await asyncio.sleep(2)
            slow = await on.server.ask("deaf")
            await on.server.ask("reset")
            await on.server.stand(1)
            await asyncio.sleep(1)
        accounts = await on.heard_to_the_end()
        for caller in on.callers.all:
            account = accounts[str(caller.number)]
            assert whole(caller, account), account
            assert len(account["runs"]) == (2 if caller.number == slow else 1), account
        assert total(await on.stage.metrics(), "realtime_reconnects_total", reason="stalled") == 1
