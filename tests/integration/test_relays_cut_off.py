"""Relay processes of which one answers the other no more, as behind a NetworkPolicy that forgets port 9090."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import Watch, cut, start
from support.eventually import eventually
from voiceassist_demo.stage import RelayProcess, Stage

BOUND = 60.0


async def test_a_relay_that_does_not_answer_is_told_of_until_it_does(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        silent, asking = stage.relay, await stage.start_relay()
        address = silent.private.removeprefix("http://")

        async def unreached(relay: RelayProcess) -> Any:
            return (await stage.get(f"{relay.private}/status")).get("unreachedRelays", [])

        call = await start(stage, cut(tmp_path, "c1", "c2"), hangUp=None)
        await eventually(lambda: watch.document(call)["state"] == "live", "a live call", seconds=BOUND)
        assert await unreached(asking) == []
        os.kill(silent.child.pid, signal.SIGSTOP)  # its port takes connections, and nothing comes back
        try:
            status, answer = await stage.act("pause", call, asking)
            assert (status, answer["error"]["code"]) == (503, "pause_failed")

            async def told() -> bool:
                return bool(await unreached(asking) == [address])

            await eventually(told, "the other relay as not reached", seconds=BOUND)
            assert (await stage.metrics(asking))["unreached_relays"] == 1
        finally:
            os.kill(silent.child.pid, signal.SIGCONT)

        async def cleared() -> bool:
            return bool(await unreached(asking) == [])

        await eventually(cleared, "nothing unreached", seconds=BOUND)
        assert (await stage.metrics(asking))["unreached_relays"] == 0
        status, answer = await stage.act("pause", call, asking)
        assert (status, answer["confirmed"]) == (200, True)
