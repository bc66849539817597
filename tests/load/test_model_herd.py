"""1,000 calls whose model goes away in one moment: no herd at the server, nothing lost, and the relay's other calls notice nothing.

One process holds all calls, as one relay would; the servers are processes of their own. Run alone it prints its figures:

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
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.messages import AssistState, StatusReason
from voiceassist_relay.metrics import RelayMetrics
from voiceassist_relay.realtime.line import ModelLine

pytestmark = pytest.mark.filterwarnings('ignore:Overriding the "event_loop_policy" fixture')

CALLS = 1000
OTHERS = 20
IN_FLIGHT = 64
SLOW = {"handshake": 0.1, "answer": 0.05}
"""Some 0.2 s from dialling to a session, as over a real network."""
OPENING = 0.2
AWAY = 4.0
PATIENCE = 60.0


@pytest.fixture
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The loop that the relay runs on."""
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

    async def _line(self) -> bytes:
        assert self.process.stdout is not None
        return await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)


class Listener:
    """Keeps the states, as the agent would see them."""

    def __init__(self) -> None:
        self.states: list[tuple[AssistState, StatusReason]] = []

    def state(self, state: AssistState, reason: StatusReason, message: str) -> None:
        self.states.append((state, reason))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nothing was said, and yet: {name}")


class Pod:
    """One relay's calls."""

    def __init__(self) -> None:
        self.metrics = RelayMetrics()
        self.lines: list[ModelLine] = []
        self.listeners: list[Listener] = []
        self.late: list[float] = []
        self.said: dict[int, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def call(self, url: str) -> None:
        config = RelayConfig.model_validate(
            {
                "host": "assist.example.com",
                "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
                "prompts": [{"instructions": "Help the agent."}],
                "model": {"provider": "Compatible", "url": url},
                "audio": {"tracks": "Customer"},
            }
        ).with_revisions()
        listener = Listener()
        self.listeners.append(listener)
        line = ModelLine(
            config=config,
            prompt=config.prompts[0],
            key=lambda: "sk-test",
            listener=listener,  # type: ignore[arg-type]
            metrics=self.metrics,
            call_hash="load",
        )
        self.lines.append(line)
        self._tasks.append(asyncio.create_task(line.run()))

    async def talk(self) -> None:
        """The first calls at their full pace, the herd a frame a second each."""
        loop, tick = asyncio.get_running_loop(), 0
        begun = loop.time()
        while True:
            tick += 1
            for call in [*range(OTHERS), *range(OTHERS + tick % 50, len(self.lines), 50)]:
                number = self.said.get(call, -1) + 1
                self.said[call] = number
                self.lines[call].frame(True, payload(call, number, loop.time()), loop.time())
            await asyncio.sleep(max(0.0, begun + 0.02 * tick - loop.time()))

    async def watch(self) -> None:
        """How late the loop wakes those who sleep."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            self.late.append(max(0.0, loop.time() - due))

    def live(self) -> int:
        return sum(line._conversation.machine is not None for line in self.lines)

    async def until_live(self, count: int = OTHERS + CALLS) -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(PATIENCE):
            while self.live() < count:
                await asyncio.sleep(0.05)
        return loop.time() - begun

    async def end(self) -> None:
        await asyncio.gather(*(line.finish(0.0) for line in self.lines))
        await asyncio.gather(*self._tasks)


def most_within(moments: list[float], seconds: float) -> int:
    """The most moments that lie within so many seconds."""
    ordered, most, first = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


async def figures(what: str, pod: Pod, server: Program, other: Program, seconds: float) -> dict[str, Any]:
    told, healthy = await server.ask("report"), await other.ask("report")
    late, pod.late = sorted(pod.late), []
    shown = {
        "what": what,
        "seconds": round(seconds, 1),
        "dials": len(told["dials"]),
        "mostAtOnce": told["peak"],
        "mostWithin100Ms": most_within(told["dials"], 0.1),
        "spreadSeconds": round(max(told["dials"]) - min(told["dials"]), 2),
        "loopLateP99Ms": round(late[int(0.99 * len(late))] * 1000, 1),
        "loopLateMaxMs": round(late[-1] * 1000, 1),
        "otherCallsP99Ms": round(healthy["delayP99"] * 1000, 1),
        "otherCallsMaxMs": round(healthy["delayMax"] * 1000, 1),
    }
    print(json.dumps(shown))
    await server.ask("reset")
    await other.ask("reset")
    assert told["errors"] == healthy["errors"] == []
    assert len(told["dials"]) == CALLS  # each call came once, and was taken
    assert told["peak"] <= IN_FLIGHT
    assert most_within(told["dials"], OPENING / 2) <= 2 * IN_FLIGHT
    assert shown["spreadSeconds"] >= CALLS / IN_FLIGHT * OPENING * 0.8
    assert shown["otherCallsP99Ms"] < 250
    return told


async def test_a_thousand_calls_reconnect_without_a_herd() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pod = Pod()
    try:
        async with Program.running(0, {}) as other:
            async with Program.running(0, SLOW) as server:
                port = server.port
                for _ in range(OTHERS):
                    pod.call(other.url)
                await pod.until_live(OTHERS)
                for _ in range(CALLS):
                    pod.call(server.url)
                talking, watching = asyncio.create_task(pod.talk()), asyncio.create_task(pod.watch())
                await figures("all start at once", pod, server, other, await pod.until_live())

                assert await server.ask("drop") == CALLS
                while pod.live() == OTHERS + CALLS:
                    await asyncio.sleep(0.01)
                before = await figures("all sessions break at once", pod, server, other, await pod.until_live())
                told = [len(listener.states) for listener in pod.listeners]
                server.process.send_signal(signal.SIGKILL)
                await server.process.wait()
            await asyncio.sleep(AWAY)
            async with Program.running(port, SLOW) as server:
                after = await figures("the server is away for 4 s", pod, server, other, await pod.until_live())
                talking.cancel()
                watching.cancel()
                await asyncio.sleep(0.5)
                _check_audio(pod, before, (await server.ask("report"))["accounts"])
                healthy = (await other.ask("report"))["accounts"]
                for call in range(OTHERS):
                    account = healthy[str(call)]
                    assert (account["runs"], account["disordered"]) == ([[0, pod.said[call]]], 0)
                    assert pod.listeners[call].states == [(AssistState.LIVE, StatusReason.STARTED)]
                for was, listener in zip(told[OTHERS:], pod.listeners[OTHERS:], strict=True):
                    assert listener.states[-1][0] is AssistState.LIVE
                    assert listener.states[was:], "an outage of 4 s is told"
                assert len(after["opened"]) == CALLS
                await pod.end()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _check_audio(pod: Pod, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every frame of every call was heard, in order, and none twice but for the replay."""
    for call in range(OTHERS, OTHERS + CALLS):
        runs = before["accounts"][str(call)]["runs"] + after[str(call)]["runs"]
        assert before["accounts"][str(call)]["disordered"] == after[str(call)]["disordered"] == 0
        heard = -1
        for first, last in runs:
            assert first <= heard + 1, (call, runs)
            assert first >= heard - 10, (call, runs)  # a frame a second: no more than the last few again
            heard = max(heard, last)
        assert heard == pod.said[call], (call, runs, pod.said[call])
    assert pod.metrics.registry.get_sample_value("voiceassist_relay_frames_total", {"track": "customer", "outcome": "dropped"}) == 0
