"""A relay with 1,000 calls, as many as one takes, whose model goes away in one moment: no herd at the server, nothing lost.

The relay, the stand-in for Twilio and both model servers are processes of their own; the streams come from this one. Twenty calls began
with a model server that stays well; the others, after a change of the configuration, with one that does not. Run alone it prints figures:

    python -m pytest -q -s tests/load/test_model_herd.py
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from load.bench.extras import loop_block
from load.model_rig import Caller, Callers, Program, many_files, use
from load.soak.run import total
from support.eventually import eventually
from support.load import slowdown
from voiceassist_demo.stage import Model, Stage

pytestmark = pytest.mark.loop("uvloop")

CALLS = 980
OTHERS = 20
IN_FLIGHT = 64
SLOW = {"handshake": 0.1, "answer": 0.05}
"""Some 0.2 s from dialling to a session, as over a real network."""
OPENING = 0.2
AWAY = 4.0
OTHERS_P99 = 2.0
"""Seconds: what no agent would notice beside the time that an answer takes. 1,000 sockets that break at once hold the loop up once.
On a machine that has other work, the time in which it lets nobody of ours on a core is not the relay's: `Waits` says how much longer
everything takes there."""


async def model_is_well(stage: Stage) -> bool:
    """Whether the relay has tried its model, and says that it answers."""
    return bool((await stage.get(f"{stage.relay.private}/status"))["model"]["ok"])


def most_within(moments: list[float], seconds: float) -> int:
    """The most moments that lie within so many seconds."""
    ordered, most, first = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class Waits:
    """By how much a process is slowed down by others: what it ran and what it was ready to run, without a core, as the kernel counts."""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/schedstat")
        self._before = self._now()

    def _now(self) -> tuple[int, int]:
        ran, waited, _ = map(int, self._path.read_text().split())
        return ran, waited

    def slowdown(self) -> float:
        """Since the last time: 1 on a machine of its own, 3 where it waits twice as long as it runs."""
        (ran, waited), before = self._now(), self._before
        self._before = ran, waited
        return 1 + (waited - before[1]) / max(ran - before[0], 1)


class Looks:
    """What servers and relay say of one stretch of time after the other."""

    def __init__(self, stage: Stage, other: Program) -> None:
        self._stage, self._other, self._scrape = stage, other, ""
        self._waits = [Waits(pid) for pid in (stage.relay.child.pid, other.process.pid, os.getpid())]

    async def figures(self, what: str, server: Program, seconds: float) -> dict[str, Any]:
        """Prints and judges what there was since the last time."""
        told, healthy = await server.ask("report"), await self._other.ask("report")
        before, self._scrape = self._scrape, (await self._stage.get_bytes(f"{self._stage.relay.private}/metrics")).decode()
        late, slowdown = loop_block(self._scrape, before), max(waits.slowdown() for waits in self._waits)
        shown = {
            "what": what,
            "seconds": round(seconds, 1),
            "dials": len(told["dials"]),
            "mostAtOnce": told["peak"],
            "mostWithin100Ms": most_within(told["dials"], 0.1),
            "spreadSeconds": round(max(told["dials"]) - min(told["dials"]), 2),
            "loopLateUnderMs": late,
            "otherCallsP99Ms": round(healthy["delayP99"] * 1000, 1),
            "otherCallsMaxMs": round(healthy["delayMax"] * 1000, 1),
            "slowdown": round(slowdown, 2),
        }
        print(json.dumps(shown))
        await server.ask("reset")
        await self._other.ask("reset")
        assert told["errors"] == healthy["errors"] == []
        assert len(told["dials"]) == CALLS  # each call came once, and was taken
        assert told["peak"] <= IN_FLIGHT
        assert most_within(told["dials"], OPENING / 2) <= 2 * IN_FLIGHT
        assert shown["spreadSeconds"] >= CALLS / IN_FLIGHT * OPENING * 0.8
        assert healthy["delayP99"] < OTHERS_P99 * slowdown
        return dict(told)


@pytest.mark.timeout(3000)  # where the machine has much else to do; nothing here asserts it
async def test_a_thousand_calls_reconnect_without_a_herd(tmp_path: Path) -> None:
    wanted = {"audio": {"tracks": "Customer"}, "limits": {"maxCalls": CALLS + OTHERS}}
    async with (
        many_files(),
        Program.running(0, {}) as other,
        Stage(tmp_path / "stage", config=wanted, model=Model(url=other.url)) as stage,
        asyncio.TaskGroup() as beside,  # what fails in one of them fails the test at once
    ):
        callers, looks = Callers(stage), Looks(stage, other)
        async with Program.running(0, SLOW) as server:
            port = server.port
            await callers.begin(OTHERS)
            await other.stand(OTHERS)
            await use(stage, server.url)
            await eventually(lambda: model_is_well(stage), "the relay's own check of the model, whose session is none of a call")
            await other.ask("reset")
            await server.ask("reset")
            talking = beside.create_task(callers.talk(OTHERS, other))
            starting = beside.create_task(callers.begin(CALLS))
            seconds = await server.stand(CALLS)
            await starting
            await looks.figures("all start", server, seconds)

            assert await server.ask("drop") == CALLS
            before = await looks.figures("all sessions break at once", server, await server.stand(CALLS))
            server.process.send_signal(signal.SIGKILL)
            await server.process.wait()
        await asyncio.sleep(AWAY)
        async with Program.running(port, SLOW) as server:
            await looks.figures("the server is away for 4 s", server, await server.stand(CALLS))
            callers.quiet = True
            await talking
            assert not any(caller.lost for caller in callers.all)
            herd, others = callers.all[OTHERS:], callers.all[:OTHERS]
            await all_heard(server, herd)
            await all_heard(other, others)
            _check_audio(herd, before["accounts"], (await server.ask("report"))["accounts"])
            healthy = (await other.ask("report"))["accounts"]
            for caller in others:
                assert healthy[str(caller.number)] == {"runs": [[0, caller.said]], "disordered": 0}
            metrics = await stage.metrics()
            assert total(metrics, "frames_total", outcome="dropped") == 0
            assert total(metrics, "realtime_reconnects_total") == 2 * CALLS
            stage.relay.child.signal(signal.SIGKILL)  # 1,000 calls that end in order take a minute, and are not the matter here
            await stage.relay.child.wait()


async def all_heard(program: Program, callers: list[Caller]) -> None:
    """Waits until each call's last frame has come to its server; what is missing after that is shown by the accounts."""
    wanted = {str(caller.number): caller.said for caller in callers}

    async def look() -> bool:
        accounts = (await program.ask("report"))["accounts"]
        return all(call in accounts and accounts[call]["runs"][-1][1] >= said for call, said in wanted.items())

    await eventually(look, "the last frames", every=0.5)


def _check_audio(herd: list[Caller], before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every frame of every call was heard, in order, and none twice but for the replay.

    That is the last 25 s, a frame a second: what is in doubt, with what had waited. Where the server was slow to read just then, all that
    its session got is in doubt: a few calls on a machine of its own, more where it has other work.
    """
    longer = set[int]()
    for caller in herd:
        first_half, second_half = before[str(caller.number)], after[str(caller.number)]
        runs = first_half["runs"] + second_half["runs"]
        assert first_half["disordered"] == second_half["disordered"] == 0
        heard = -1
        for first, last in runs:
            assert first <= heard + 1, (caller.number, runs)
            if first < heard - 25:
                longer.add(caller.number)
            heard = max(heard, last)
        assert heard == caller.said, (caller.number, runs, caller.said)
    print(f"{len(longer)} of {len(herd)} calls were replayed from further back")
    assert len(longer) <= 0.1 * len(herd) * slowdown()
