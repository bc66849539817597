"""What calls that move cost a relay with others on it: how many a second it takes and gives, and the other calls' frames meanwhile.

    tools/bench.py moves_cost [--calls N] [--moved N] [--quick] [--json]

One core carries the relay, another everything else. Other calls speak all the time, and each of their frames is timed from socket to
socket. Calls of the stand-in for Twilio are at a second relay, which drains: the first one takes them. Then it drains itself, and gives
them to a third. Their lines are quiet for the model, so no hand-over waits for the end of a turn. Of the other calls Twilio knows
nothing: a relay that drains tries to move them too, again and again, and finds that it cannot, which is counted and costs what it costs.
Nothing is asserted but that every call has moved, that nothing was lost between its streams, and that every frame of the others arrived:
times depend on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from integration.end_to_end_rig import start
from integration.faults_rig import all_live, hang_up, lead_to
from integration.moves_rig import asking_on_a_line
from load.bench.measuring import say, scratch
from load.bench.processes import Cores
from load.flood.rig import FloodRig, Watched, flooded
from support.eventually import eventually
from voiceassist_demo.stage import RelayProcess, Stage

QUIET_SECONDS = 5.0
RECORDED_SECONDS = 240.0
LIMITS = {"maxCalls": 400, "drainGraceSeconds": 0, "drainTimeoutSeconds": 300}


@dataclass(frozen=True)
class Seen:
    """One stretch: calls that moved in it, how many a second, attempts to move the others, the relay's CPU, and milliseconds of the
    others' frames."""

    what: str
    moved: int
    a_second: float
    in_vain: int
    core: float
    cpu_ms_a_move: float
    p50_ms: float
    p99_ms: float
    most_ms: float


def to_core(relay: RelayProcess, core: int | None) -> None:
    """All threads of a relay run there from now on."""
    if core is not None:
        for thread in Path(f"/proc/{relay.child.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


def _cpu_seconds(relay: RelayProcess) -> float:
    return time.clock_gettime((~relay.child.pid << 3) | 2)


def told(relay: RelayProcess, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in relay.child.log.read_text().splitlines()]
    return [line for line in lines if line.get("event") == event]


async def watched(
    rig: FloodRig, what: str, giving: RelayProcess | None, taking: RelayProcess | None, moved: int, idle: float
) -> tuple[Seen, float]:
    """A stretch in which `giving` drains until its `moved` calls are at `taking`; without it, one in which nothing is done. `idle`: the
    share of its core that the relay under test takes then. Returns also that share."""
    relay, began, cpu = rig.stage.relay, time.monotonic(), _cpu_seconds(rig.stage.relay)
    before = len(told(taking, "call taken over")) if taking else 0

    async def drain() -> None:
        if giving is None or taking is None:
            await asyncio.sleep(QUIET_SECONDS)
            return
        giving.child.signal(signal.SIGTERM)
        await eventually(lambda: len(told(taking, "call taken over")) - before >= moved, seconds=180, every=0.1, what="every call moved")
        await eventually(_all_given(giving, moved), seconds=60, every=0.1, what="every old stream stopped")

    seen: Watched = await rig.watch(drain)
    took = time.monotonic() - began
    used = _cpu_seconds(relay) - cpu
    rate = _rate(giving) if giving else 0.0
    a_move = (used - idle * took) * 1000 / moved if giving else 0.0
    heard, vain = seen.seen, len(told(relay, "call not moved"))
    found = Seen(
        what, moved, round(rate, 1), vain, round(used / took, 2), round(a_move, 1), heard["p50Ms"], heard["p99Ms"], heard["mostMs"]
    )
    return found, used / took


def _all_given(giving: RelayProcess, moved: int) -> Callable[[], bool]:
    return lambda: sum(line["outcome"] == "moved" for line in told(giving, "call moved")) >= moved


def _rate(giving: RelayProcess) -> float:
    """Calls a second from the signal to the last one's move."""
    began = datetime.fromisoformat(told(giving, "draining")[0]["timestamp"])
    moves = [datetime.fromisoformat(line["timestamp"]) for line in told(giving, "call moved") if line["outcome"] == "moved"]
    return len(moves) / (max(moves) - began).total_seconds()


async def measure(folder: Path, cores: Cores, calls: int, moved: int) -> list[Seen]:
    """The stretches, one after the other."""
    if cores.others is not None:
        os.sched_setaffinity(0, {cores.others})  # what is started inherits it
    async with flooded(folder / "stage", calls, limits=LIMITS) as rig:
        stage, tested = rig.stage, rig.stage.relay
        to_core(tested, cores.relay)
        first, last = await stage.start_relay(), await stage.start_relay()
        found = []
        moving = await _begin(stage, folder, first, moved)
        seen, idle = await watched(rig, "nothing moves", None, None, 0, 0.0)
        found.append(seen)
        for what, giving, taking in (("takes", first, tested), ("gives", tested, last)):
            await lead_to(stage, taking)
            seen, _ = await watched(rig, what, giving, taking, moved, idle)
            found.append(seen)
            say(f"{what}: {seen}")
            gaps = [line["gap_ms"] for line in told(taking, "call taken over")]
            assert gaps == [0.0] * moved, gaps
            if taking is tested:
                await all_live(stage, moving, 60)
                _, idle = await watched(rig, "", None, None, 0, 0.0)  # with the calls that it took
        await hang_up(stage, moving)
    return found


async def _begin(stage: Stage, folder: Path, relay: RelayProcess, count: int) -> list[dict[str, Any]]:
    """So many calls of the stand-in at a relay."""
    await lead_to(stage, relay)
    recording = asking_on_a_line(folder, RECORDED_SECONDS, 1)
    begun = [await start(stage, recording, relay, hangUp=None) for _ in range(count)]
    await all_live(stage, begun, 120)
    return begun


def table(found: list[Seen], calls: int) -> str:
    """For docs/performance.md."""
    lines = [
        f"One relay core with {calls} other calls:",
        "",
        "| the relay | moved | a second | in vain | of its core | CPU ms a move | others' p50 ms | p99 | most |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        moves = (
            f"{one.moved} | {one.a_second} | {one.in_vain} | {one.core:.0%} | {one.cpu_ms_a_move}"
            if one.moved
            else f" | | | {one.core:.0%} | "
        )
        lines.append(f"| {one.what} | {moves} | {one.p50_ms} | {one.p99_ms} | {one.most_ms} |")
    return "\n".join(lines)


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(prog="tools/bench.py moves_cost", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, help="other calls at the relay (default: 100; 30 with --quick)")
    parser.add_argument("--moved", type=int, help="calls that move (default: 20; 6 with --quick)")
    parser.add_argument("--quick", action="store_true", help="fewer calls: a hint, no more")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    calls, moved = options.calls or (30 if options.quick else 100), options.moved or (6 if options.quick else 20)
    cores = Cores.found()
    with scratch() as folder:
        found = asyncio.run(measure(folder, cores, calls, moved))
    print(json.dumps([asdict(one) for one in found], indent=1) if options.json else table(found, calls))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
