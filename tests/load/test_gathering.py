"""A relay's loop gathers frames while it is busy, and only then; the setting is taken up while calls go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from load.flood.rig import FloodRig, flooded
from support.eventually import eventually
from voiceassist_demo.stage import write_whole


async def paused(rig: FloodRig) -> float:
    """Seconds that the relay's loop has paused on purpose."""
    return (await rig.stage.metrics())["event_loop_paused_seconds_total"]


async def test_a_relay_pauses_with_many_calls_as_long_as_it_is_told_to(tmp_path: Path) -> None:
    """Fourteen tracks: 700 frames a second, each of which would wake the loop."""
    async with flooded(tmp_path / "stage", calls=14) as rig:
        before = await paused(rig)

        async def is_gathering() -> bool:
            return await paused(rig) > before + 0.1

        await eventually(is_gathering, seconds=30)
        wanted = rig.stage.config(limits={"gatherMs": 0})
        write_whole(rig.stage.relay.config, wanted.to_json())

        async def is_told() -> bool:
            return bool((await rig.stage.get(f"{rig.stage.relay.private}/status"))["configRevision"] == wanted.config_revision)

        await eventually(is_told, seconds=30)
        await asyncio.sleep(1.2)  # a rendering of /metrics stands for a second
        after = await paused(rig)
        await asyncio.sleep(1.2)
        assert await paused(rig) == after


async def test_one_call_is_never_kept_waiting(tmp_path: Path) -> None:
    async with flooded(tmp_path / "stage", calls=1) as rig:
        await asyncio.sleep(2)
        assert await paused(rig) == 0
