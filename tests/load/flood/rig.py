"""A relay as a process with ordinary calls on it, watched while a flood goes on: every frame, every delay, memory, counters."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load.flood.wire import Account
from load.soak.process import held, peak_rss
from load.soak.run import total
from voiceassist_demo.stage import Model, Stage

TESTS = Path(__file__).parents[2]
CALLS = 10
MB = 1_048_576


@dataclass(frozen=True, slots=True)
class Watched:
    """A stretch of time: what the ordinary calls saw, and the relay's memory in bytes before, at its peak, and after."""

    seen: dict[str, Any]
    before: int
    peak: int
    after: int

    def __str__(self) -> str:
        memory = " -> ".join(f"{value / MB:.1f}" for value in (self.before, self.peak, self.after))
        return f"p50 {self.seen['p50Ms']} ms, p99 {self.seen['p99Ms']} ms, most {self.seen['mostMs']} ms; {memory} MB; {self.seen}"


class FloodRig:
    """The relay and its ordinary calls."""

    def __init__(self, stage: Stage, callers: asyncio.subprocess.Process) -> None:
        self.stage, self._callers = stage, callers
        self.account = Account(stage.account.account_sid, stage.account.auth_token)
        self.port, self.pid = stage.relay.port, stage.relay.child.pid

    async def _ask(self, **command: Any) -> dict[str, Any]:
        assert self._callers.stdin is not None
        assert self._callers.stdout is not None
        self._callers.stdin.write(json.dumps(command).encode() + b"\n")
        answer = await asyncio.wait_for(self._callers.stdout.readline(), 30)
        assert answer, "the callers' process is gone"
        return dict(json.loads(answer))

    async def call(self, calls: int) -> None:
        """The ordinary calls begin."""
        await self._ask(do="call", port=self.port, account=self.account.sid, token=self.account.auth_token, calls=calls)

    async def watch(self, flood: Callable[[], Awaitable[Any]]) -> Watched:
        """What happens to the ordinary calls and to the relay's memory while `flood` runs."""
        await self._ask(do="mark")
        before = held(self.pid).rss
        peak_rss(self.pid, reset=True)
        await flood()
        seen = await self._ask(do="mark")
        return Watched(seen, before, peak_rss(self.pid), held(self.pid).rss)

    async def quiet(self, seconds: float = 2.0) -> Watched:
        """The same without a flood: to compare with."""
        return await self.watch(lambda: asyncio.sleep(seconds))

    async def count(self, name: str, **labels: str) -> int:
        """One of the relay's metrics, summed over the labels not given."""
        return total(await self.stage.metrics(), name, **labels)

    async def all_arrived(self) -> dict[str, Any]:
        """Ends the ordinary calls. Every frame that they ever sent was heard, once and in order."""
        told = await self._ask(do="end")
        assert told["lost"] == 0, "an ordinary call was lost"
        assert told["arrived"] == told["sent"] > 0, told
        assert told["disorder"] == 0, told
        return told


@asynccontextmanager
async def flooded(folder: Path, calls: int = CALLS, **config: Any) -> AsyncIterator[FloodRig]:
    """A relay with so many ordinary calls; at the end all their frames must have arrived."""
    callers = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "load.flood.callers", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=TESTS
    )
    try:
        assert callers.stdout is not None
        where = json.loads(await asyncio.wait_for(callers.stdout.readline(), 30))["listening"]
        wanted = {"audio": {"tracks": "Customer"}, "limits": {"maxCalls": 200}, **config}
        async with Stage(folder, config=wanted, model=Model(url=where)) as stage:
            rig = FloodRig(stage, callers)
            await rig.call(calls)
            yield rig
            await rig.all_arrived()
    finally:
        if callers.returncode is None:
            callers.kill()
        await callers.wait()


def unharmed(quiet: Watched, loud: Watched) -> None:
    """The other calls' p99 under the flood: within ten times that of the quiet run and half a second; the machine may do other work."""
    assert loud.seen["disorder"] == quiet.seen["disorder"] == 0
    assert loud.seen["p99Ms"] <= 10 * quiet.seen["p99Ms"] + 500, f"quiet: {quiet}; loud: {loud}"
