"""Relay processes that are gone while nobody tells Twilio, or Twilio tells nobody: other relays see it, and their calls go on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from integration.end_to_end_rig import Watch, start, streams
from integration.faults_rig import all_flushed, all_live, all_over, asking, hang_up, kept, lead_to, value
from support.eventually import eventually
from support.load import slowdown
from voiceassist_crds.names import RELAYS_HEADER
from voiceassist_demo.stage import HOST, RelayProcess, Stage, free_port

CONFIG = {"audio": {"tracks": "Customer"}, "limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 0}}
WITHIN = 20.0
STORM = int(os.environ.get("VOICEASSIST_STORM_CALLS", "12"))
"""Calls of the relay that is killed; more where a machine has nothing else to do."""


def address(relay: RelayProcess) -> str:
    return relay.private.removeprefix("http://")


@asynccontextmanager
async def told(stage: Stage, relays: Sequence[RelayProcess]) -> AsyncIterator[None]:
    """As the operator does, every relay that answers is told who does."""

    async def ask(relay: RelayProcess, answering: str) -> bool:
        try:
            async with asyncio.timeout(1.5), stage.http.get(f"{relay.private}/status", headers={RELAYS_HEADER: answering}) as answer:
                return answer.status == 200
        except (OSError, TimeoutError):
            return False

    async def run() -> None:
        answering = list(relays)
        while True:
            said = ",".join(address(one) for one in answering)
            answers = await asyncio.gather(*(ask(one, said) for one in relays))
            answering = [one for one, well in zip(relays, answers, strict=True) if well]
            await asyncio.sleep(5 if len(answering) == len(relays) else 1)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def started_again(watch: Watch, calls: Sequence[dict[str, object]]) -> bool:
    """Whether each agent was told that the stream was lost, and then that it is live."""
    return all(("reconnecting", "StreamLost") in watch.states(call) and watch.states(call)[-1][0] == "live" for call in calls)


async def known(relay: RelayProcess, calls: int) -> None:
    """Waits until another relay has told this one that it has so many calls."""

    def told_calls() -> bool:
        lines = [json.loads(line) for line in relay.child.log.read_text().splitlines()]
        return any(line.get("event") == "another relay tells its calls" and line["calls"] == calls for line in lines)

    await eventually(told_calls, what="the other relay's calls are known")


async def test_gone_relays_calls_go_on_though_nothing_tells_of_its_end(tmp_path: Path) -> None:
    """As when a node vanishes: sockets stay, nothing comes back. When it is there again, it has no say in its calls any more."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        gone, other = stage.relay, await stage.start_relay()
        calls = await asyncio.gather(*(start(stage, asking(tmp_path, 120), hangUp=None) for _ in range(4)))
        await eventually(lambda: all(watch.items(call) for call in calls), what="a suggestion in every call")
        async with told(stage, [gone, other]):
            await known(other, len(calls))
            ended = calls.pop()
            await lead_to(stage, other)
            stopped = time.monotonic()
            os.kill(gone.child.pid, signal.SIGSTOP)
            await hang_up(stage, [ended])
            try:
                await eventually(
                    lambda: all(
                        ("reconnecting", "StreamLost") in watch.states(call) and watch.states(call)[-1][0] == "live" for call in calls
                    ),
                    what="every call at the other relay",
                )
                took = time.monotonic() - stopped
                before = {call["callSid"]: len(watch.items(call)) for call in calls}
                await eventually(lambda: all(len(watch.items(call)) > before[call["callSid"]] for call in calls), what="suggestions")
                assert address(gone) in (await stage.get(f"{other.private}/status"))["silentRelays"]
            finally:
                os.kill(gone.child.pid, signal.SIGCONT)
            await all_live(stage, calls)
            await asyncio.sleep(3)
        assert [len(await streams(stage, call)) for call in calls] == [2] * len(calls), "once each"
        assert len(await streams(stage, ended)) == 1, "a call that is over is not started again"
        assert value(await stage.metrics(other), "stream_restarts_total", outcome="started") == len(calls)
        for held in await kept(stage, calls):
            assert held.document is not None and (held.document["generation"], held.document["owner"]) == (2, address(other))
            assert [item["seq"] for item in held.items] == list(range(1, len(held.items) + 1))
        await hang_up(stage, calls)
        await all_over(stage, calls, 60)
        await all_flushed(stage, 60, other)
    print(f"\na relay that does not answer: {len(calls)} calls live at another relay after {took:.1f} s")
    assert took < WITHIN * slowdown()


async def test_gone_relays_calls_go_on_though_the_callbacks_are_lost(tmp_path: Path) -> None:
    """By the relays that are left, which share them out; each once."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        gone, other, third = stage.relay, await stage.start_relay(), await stage.start_relay()
        calls = [await start(stage, asking(tmp_path, 180), hangUp=None) for _ in range(STORM)]
        await eventually(lambda: all(watch.items(call) for call in calls), what="a suggestion in every call")
        async with told(stage, [gone, other, third]):
            await known(other, len(calls))
            await known(third, len(calls))
            await stage.send("PUT", f"{stage.twilio_url}/_sim/settings", {"connectTo": {HOST: f"127.0.0.1:{free_port()}"}})
            killed = time.monotonic()
            gone.child.signal(signal.SIGKILL)
            await gone.child.wait()
            await asyncio.sleep(0.5)  # in which the callbacks find nobody
            await lead_to(stage, other)
            await eventually(lambda: started_again(watch, calls), seconds=120, what="every call at another relay")
            took = time.monotonic() - killed
            await all_live(stage, calls)
        shares = [value(await stage.metrics(relay), "stream_restarts_total", outcome="started") for relay in (other, third)]
        dialled = sorted([stream["dialledAt"] for call in calls for stream in (await streams(stage, call))[1:]])
        await hang_up(stage, calls)
        await all_over(stage, calls, 60)
    print(f"\ncallbacks that are lost: {len(calls)} calls live at another relay after {took:.1f} s")
    print(f"started again by the two that are left: {shares}, within {dialled[-1] - dialled[0]:.1f} s")
    assert len(dialled) == sum(shares) == len(calls), "each once"
    assert took < WITHIN * slowdown()
