"""A relay with 1,000 calls, as many as one takes, whose model goes away in one moment: no herd at the server, nothing lost.

The relay, the stand-in for Twilio and both model servers are processes of their own; the streams come from this one. Twenty calls began
with a model server that stays well; the others, after a change of the configuration, with one that does not. Run alone it prints figures:

    python -m pytest -q -s tests/load/test_model_herd.py
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from integration import light_model
from integration.light_model import payload
from load.bench.extras import loop_block
from load.flood.wire import Account, Stream
from load.soak.run import total
from voiceassist_demo.stage import Model, Stage, write_whole

pytestmark = pytest.mark.filterwarnings('ignore:Overriding the "event_loop_policy" fixture')

CALLS = 980
OTHERS = 20
LANES = 20
"""Streams that begin at a time."""
IN_FLIGHT = 64
SLOW = {"handshake": 0.1, "answer": 0.05}
"""Some 0.2 s from dialling to a session, as over a real network."""
OPENING = 0.2
AWAY = 4.0
OTHERS_P99 = 2.0
"""Seconds: what no agent would notice beside the time that an answer takes. 1,000 sockets that break at once hold the loop up once."""
PATIENCE = 120.0


@pytest.fixture
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """So that 1,000 streams cost this process little."""
    return uvloop.EventLoopPolicy()


class Program:
    """A light model server as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.url = process, ""

    @classmethod
    @asynccontextmanager
    async def running(cls, port: int, manner: dict[str, float]) -> AsyncIterator[Program]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(Path(light_model.__file__)), str(port), json.dumps(manner)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        program = cls(process)
        program.url = json.loads(await program._line())["listening"]
        try:
            yield program
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    async def ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        return json.loads(await self._line())

    async def stand(self, sessions: int) -> float:
        """Waits until so many sessions were opened since the last `reset`; the seconds that it took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(PATIENCE):
            while await self.ask("opened") < sessions:
                await asyncio.sleep(0.05)
        return loop.time() - begun

    async def _line(self) -> bytes:
        assert self.process.stdout is not None
        return await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)


class Caller(asyncio.Protocol):
    """Twilio's side of one call."""

    def __init__(self, number: int, account: Account) -> None:
        self.number, self.said, self._stream, self._head = number, -1, Stream(account), b""
        self.let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._stream.upgrade())

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self.let_in.done() and b"\r\n\r\n" in self._head:
            if self._head.startswith(b"HTTP/1.1 101"):
                self._transport.write(self._stream.opening())
                self.let_in.set_result(None)
            else:
                self.let_in.set_exception(ConnectionError(self._head[:60].decode()))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if not self.let_in.done():
            self.let_in.set_exception(ConnectionError("closed before 101"))

    def speak(self, now: float) -> None:
        self.said += 1
        self._transport.write(self._stream.media(payload(self.number, self.said, now).decode()))

    def hang_up(self) -> None:
        self._transport.write(self._stream.stop())


class Callers:
    """All calls of the relay."""

    def __init__(self, stage: Stage) -> None:
        self.all: list[Caller] = []
        self._account, self._port = Account(stage.account.account_sid, stage.account.auth_token), stage.relay.port

    async def begin(self, count: int) -> None:
        """So many calls more, some at a time."""
        left = iter(range(len(self.all), len(self.all) + count))

        async def lane() -> None:
            for number in left:
                caller = Caller(number, self._account)
                await asyncio.get_running_loop().create_connection(lambda caller=caller: caller, "127.0.0.1", self._port)  # type: ignore[misc]
                async with asyncio.timeout(30):
                    await caller.let_in
                self.all.append(caller)

        await asyncio.gather(*(lane() for _ in range(LANES)))
        self.all.sort(key=lambda caller: caller.number)

    async def talk(self) -> None:
        """The first calls at their full pace, the herd a frame a second each."""
        loop, tick = asyncio.get_running_loop(), 0
        begun = loop.time()
        while True:
            tick += 1
            for caller in [*self.all[:OTHERS], *self.all[OTHERS + tick % 50 :: 50]]:
                caller.speak(loop.time())
            await asyncio.sleep(max(0.0, begun + 0.02 * tick - loop.time()))


def most_within(moments: list[float], seconds: float) -> int:
    """The most moments that lie within so many seconds."""
    ordered, most, first = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class Looks:
    """What servers and relay say of one stretch of time after the other."""

    def __init__(self, stage: Stage, other: Program) -> None:
        self._stage, self._other, self._scrape = stage, other, ""

    async def figures(self, what: str, server: Program, seconds: float) -> dict[str, Any]:
        """Prints and judges what there was since the last time."""
        told, healthy = await server.ask("report"), await self._other.ask("report")
        before, self._scrape = self._scrape, (await self._stage.get_bytes(f"{self._stage.relay.private}/metrics")).decode()
        late = loop_block(self._scrape, before)
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
        }
        print(json.dumps(shown))
        await server.ask("reset")
        await self._other.ask("reset")
        assert told["errors"] == healthy["errors"] == []
        assert len(told["dials"]) == CALLS  # each call came once, and was taken
        assert told["peak"] <= IN_FLIGHT
        assert most_within(told["dials"], OPENING / 2) <= 2 * IN_FLIGHT
        assert shown["spreadSeconds"] >= CALLS / IN_FLIGHT * OPENING * 0.8
        assert healthy["delayP99"] < OTHERS_P99
        return dict(told)


@asynccontextmanager
async def many_files() -> AsyncIterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def use(stage: Stage, url: str) -> None:
    """Calls that begin from now on speak to this model."""
    config = stage.config(model={"url": url})
    write_whole(stage.relay.config, config.to_json())
    async with asyncio.timeout(30):
        while total(await stage.metrics(), "config_info", revision=config.config_revision) != 1:
            await asyncio.sleep(0.1)


async def test_a_thousand_calls_reconnect_without_a_herd(tmp_path: Path) -> None:
    wanted = {"audio": {"tracks": "Customer"}, "limits": {"maxCalls": CALLS + OTHERS}}
    async with (
        many_files(),
        Program.running(0, {}) as other,
        Stage(tmp_path / "stage", config=wanted, model=Model(url=other.url)) as stage,
    ):
        callers, looks = Callers(stage), Looks(stage, other)
        async with Program.running(0, SLOW) as server:
            port = server.port
            await callers.begin(OTHERS)
            await other.stand(OTHERS)
            await use(stage, server.url)
            talking = asyncio.create_task(callers.talk())
            await other.ask("reset")
            await server.ask("reset")
            starting = asyncio.create_task(callers.begin(CALLS))
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
            talking.cancel()
            await asyncio.sleep(0.5)
            assert not any(caller.lost for caller in callers.all)
            _check_audio(callers.all[OTHERS:], before["accounts"], (await server.ask("report"))["accounts"])
            healthy = (await other.ask("report"))["accounts"]
            for caller in callers.all[:OTHERS]:
                assert healthy[str(caller.number)] == {"runs": [[0, caller.said]], "disordered": 0}
            metrics = await stage.metrics()
            assert total(metrics, "frames_total", outcome="dropped") == 0
            assert total(metrics, "realtime_reconnects_total") == 2 * CALLS
            for caller in callers.all:
                caller.hang_up()
            async with asyncio.timeout(PATIENCE):
                while total(await stage.metrics(), "active_calls"):
                    await asyncio.sleep(0.5)


def _check_audio(herd: list[Caller], before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every frame of every call was heard, in order, and none twice but for the replay."""
    for caller in herd:
        first_half, second_half = before[str(caller.number)], after[str(caller.number)]
        runs = first_half["runs"] + second_half["runs"]
        assert first_half["disordered"] == second_half["disordered"] == 0
        heard = -1
        for first, last in runs:
            assert first <= heard + 1, (caller.number, runs)
            assert first >= heard - 10, (caller.number, runs)  # a frame a second: no more than the last few again
            heard = max(heard, last)
        assert heard == caller.said, (caller.number, runs, caller.said)
