"""Everything on ::1, as on machines and in clusters that have no IPv4: relay processes, the stand-ins, the demo's run."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import Watch, cut, start
from support.eventually import eventually
from voiceassist_demo.once import run_once
from voiceassist_demo.stage import Stage

BOUND = 60.0


async def test_a_call_from_start_to_end_and_relays_that_ask_each_other_by_ipv6(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", ipv6=True) as stage, Watch(stage) as watch:
        first, second = stage.relay, await stage.start_relay()
        call = await start(stage, cut(tmp_path, "c2"), hangUp=None)
        await eventually(lambda: watch.items(call), "a suggestion", seconds=BOUND)
        owner = first.private.removeprefix("http://")
        assert owner.startswith("[::1]:") and watch.document(call)["owner"] == owner
        for action in ("pause", "resume"):
            status, answer = await stage.act(action, call, second)
            assert (status, answer["confirmed"]) == (200, True)
        for relay, calls in ((first, 1), (second, 0)):
            told = await stage.get(f"{relay.private}/status")
            assert (told["activeCalls"], told["model"]["ok"], told["sync"]["ok"]) == (calls, True, True)
            assert (await stage.metrics(relay))["active_calls"] == calls
            assert await stage.get_bytes(f"{relay.private}/healthz") == b"ok\n"
        assert (await stage.act("stop", call, second))[0] == 200
        await eventually(lambda: watch.document(call)["state"] == "stopped", "the Document's end", seconds=BOUND)
        # a relay that is no more refuses the connection: its call may be started again
        call = await start(stage, cut(tmp_path, "c2"), hangUp=None)
        await eventually(lambda: watch.document(call)["state"] == "live", "a live call", seconds=BOUND)
        os.kill(first.child.pid, signal.SIGKILL)
        await first.child.wait()
        assert [one.private for one in stage.relays] == [first.private, second.private]

        async def asked() -> Any:
            status, answer = await stage.act("pause", call, second)
            return (status, answer) if status != 200 else None

        await eventually(asked, "a refusal, as the call is no more", seconds=BOUND)
        assert (await stage.get(f"{second.private}/status")).get("unreachedRelays", []) == []


async def test_the_demos_run_by_ipv6(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", ipv6=True) as stage:
        assert await run_once(stage, [cut(tmp_path, "c2")], as_json=True) == 0
