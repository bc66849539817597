"""Relay processes that are gone while nobody tells Twilio, or Twilio tells nobody: other relays see it, and their calls go on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from integration.end_to_end_rig import Watch, sessions, start, streams
from integration.faults_rig import all_flushed, all_live, all_over, asking, hang_up, kept, lead_to, set_faults, value
from integration.gone_rig import Ingress, address, known, started_again, told, unreachable
from integration.moves_rig import asking_on_a_line, unanswered
from support.eventually import eventually
from support.load import slowdown
from voiceassist_demo.stage import HOST, Stage

CONFIG = {"audio": {"tracks": "Customer"}, "limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 0}}
WITHIN = 20.0
LOST_CALLBACKS = 12
"""Calls of a relay of whose end no callback tells."""
EVICTED = 8
"""Calls of a relay that is killed and whose network goes with it."""


async def test_gone_relays_calls_go_on_though_nothing_tells_of_its_end(tmp_path: Path) -> None:
    """As when a node vanishes: sockets stay, nothing comes back. When it is there again, it has no say in its calls any more."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        gone, other = stage.relay, await stage.start_relay()
        calls = await asyncio.gather(*(start(stage, asking(tmp_path, 120), hangUp=None) for _ in range(4)))
        await eventually(lambda: all(watch.items(call) for call in calls), what="a suggestion in every call")
        async with told(stage, [gone, other]):
            await known(other, gone, len(calls))
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
    """By the relays that are left, which share them out, each once. The operator is gone in the same moment."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        await stage.send("PUT", f"{stage.twilio_url}/_sim/stream-faults", {"no_callbacks": True})
        gone, other, third = stage.relay, await stage.start_relay(), await stage.start_relay()
        calls = [await start(stage, asking(tmp_path, 180), hangUp=None) for _ in range(LOST_CALLBACKS)]
        await eventually(lambda: all(watch.items(call) for call in calls), what="a suggestion in every call")
        async with told(stage, [gone, other, third]):
            await known(other, gone, len(calls))
            await known(third, gone, len(calls))
            await lead_to(stage, other, third)
            killed = time.monotonic()
            gone.child.signal(signal.SIGKILL)
        await gone.child.wait()
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


async def test_gone_relays_two_of_three_cost_words_and_nothing_else(tmp_path: Path) -> None:
    """The second one dies in the middle of what it does for the first one's calls, with calls of its own."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        first, second, left = stage.relay, await stage.start_relay(), await stage.start_relay()
        calls = []
        for relay in (first, second):
            await lead_to(stage, relay)
            calls += [await start(stage, asking(tmp_path, 180), hangUp=None) for _ in range(4)]
            await all_live(stage, calls)
        await eventually(lambda: all(watch.items(call) for call in calls), what="a suggestion in every call")
        async with told(stage, [first, second, left]):
            for relay in (first, second):
                await known(left, relay, len(calls) // 2)
            before = await kept(stage, calls)
            await set_faults(stage, {"kind": "latency", "seconds": 0.1})  # of each of the answers that a restart waits for
            await lead_to(stage, second)
            killed = time.monotonic()
            first.child.signal(signal.SIGKILL)
            await first.child.wait()
            await asyncio.sleep(0.3)
            await lead_to(stage, left)
            second.child.signal(signal.SIGKILL)
            await second.child.wait()

            async def at_the_one_that_is_left() -> bool:
                documents = [one.document or {} for one in await kept(stage, calls)]
                return all((one.get("state"), one.get("owner")) == ("live", address(left)) for one in documents)

            await eventually(at_the_one_that_is_left, seconds=120, every=0.3, what="every call at the relay that is left")
            took = time.monotonic() - killed
            count = {call["callSid"]: len(watch.items(call)) for call in calls}
            await eventually(lambda: all(len(watch.items(call)) > count[call["callSid"]] for call in calls), what="suggestions go on")
        await hang_up(stage, calls)
        await all_over(stage, calls, 60)
        await all_flushed(stage, 60, left)
        contexts = {
            response["outputItems"][-1]: [item for item in response["inputItems"] if item.startswith("va_")]
            for session in await sessions(stage, "realtime")
            for response in session["responses"]
            if response["outputItems"]
        }
        for old, new in zip(before, await kept(stage, calls), strict=True):
            assert new.document is not None
            assert new.items[: len(old.items)] == old.items, "what was there stays"
            assert [item["seq"] for item in new.items] == list(range(1, len(new.items) + 1)), "and what comes is appended"
            latest = new.of(new.document["generation"])
            assert len(contexts[latest[0].item]) >= 2 * len(old.items) > 0, "the next answer knows what was asked and told before"
        active = [[one["name"] for one in await streams(stage, call) if one["state"] == "streaming"] for call in calls]
        assert active == [[]] * len(calls)
    print(f"\ntwo relays of three: {len(calls)} calls live at the third after {took:.1f} s")
    assert took < WITHIN * slowdown()


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL], ids=["in order", "killed"])
async def test_gone_relays_calls_that_were_cut_before_it_ended_go_on_elsewhere(tmp_path: Path, ends: signal.Signals) -> None:
    """As when a node is drained that bears the ingress controller and a relay: the sockets go first, and the relay has no call any more
    by the time that it ends; but it waits for their next streams, which cannot come."""
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch, Ingress(stage.relay) as ingress:
        gone, other = stage.relay, await stage.start_relay()
        await stage.send("PUT", f"{stage.twilio_url}/_sim/settings", {"connectTo": {HOST: f"127.0.0.1:{ingress.port}"}})
        calls = [await start(stage, asking(tmp_path, 120), hangUp=None) for _ in range(3)]
        await all_live(stage, calls)
        async with told(stage, [gone, other]):
            await known(other, gone, len(calls))
            ingress.dies()
            await eventually(lambda: all(watch.states(call)[-1][0] == "reconnecting" for call in calls), what="every call cut")
            await asyncio.sleep(4.5)  # the other relay has asked it at least once since: it has no call any more
            ended = time.monotonic()
            gone.child.signal(ends)
            await gone.child.wait()
            ingress.leads_to(other)
            await eventually(lambda: all(watch.states(call)[-1][0] == "live" for call in calls), what="every call at the other relay")
            took = time.monotonic() - ended
        documents = [held.document or {} for held in await kept(stage, calls)]
        assert [(one["owner"], one["deaths"]) for one in documents] == [(address(other), 1)] * len(calls), "one death, however long it took"
        await hang_up(stage, calls)
        await all_over(stage, calls, 60)
    print(f"\nsockets cut, then {ends.name}: {len(calls)} calls live at the other relay {took:.1f} s after the signal")
    assert took < WITHIN * slowdown()


@pytest.mark.parametrize("moves_for", [0.0, 0.4], ids=["at once", "in the middle of its moves"])
async def test_gone_relays_one_that_is_evicted_costs_seconds_and_doubles_nothing(tmp_path: Path, moves_for: float) -> None:
    """As by the kubelet where a disk is full: SIGKILL, perhaps soon after SIGTERM; nothing listens there any more, a moment later nothing
    answers; and half of Twilio's callbacks and next streams are led there still."""
    recordings = [asking_on_a_line(tmp_path, 120, number) for number in range(EVICTED)]
    config = {**CONFIG, "limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 300}}
    async with Stage(tmp_path / "stage", config=config) as stage, Watch(stage) as watch:
        gone, other = stage.relay, await stage.start_relay()
        calls = []
        for recording in recordings:
            calls.append(await start(stage, recording, hangUp=None))
            await asyncio.sleep(0.37)  # each is somewhere else in its conversation
        await eventually(lambda: all(watch.items(call) for call in calls), seconds=60, what="a suggestion in every call")
        async with told(stage, [gone, other]):
            await known(other, gone, len(calls))
            await lead_to(stage, *([other] if moves_for else [gone, other]))
            gone.child.signal(signal.SIGTERM if moves_for else signal.SIGKILL)
            await asyncio.sleep(moves_for)
            killed = time.monotonic()
            gone.child.signal(signal.SIGKILL)
            await gone.child.wait()
            await asyncio.sleep(0.2)
            with unreachable(gone):

                async def all_there() -> bool:
                    documents = [one.document or {} for one in await kept(stage, calls)]
                    return all((one.get("state"), one.get("owner")) == ("live", address(other)) for one in documents)

                await asyncio.sleep(2.5)
                await lead_to(stage, other)
                await eventually(all_there, every=0.1, seconds=60, what="every call at the other relay")
                took = time.monotonic() - killed
                count = {call["callSid"]: len(watch.items(call)) for call in calls}
                await eventually(
                    lambda: all(len(watch.items(call)) > count[call["callSid"]] + 1 for call in calls), seconds=60, what="suggestions"
                )
        await hang_up(stage, calls)
        await all_over(stage, calls, 60)
        await all_flushed(stage, 60, other)
        doubled, missed = 0, []
        for held in await kept(stage, calls):
            assert [item["seq"] for item in held.items] == list(range(1, len(held.items) + 1))
            asked = [question for item in held.items for question in item["question"].split(" / ")]
            once = [one for one, before in zip(asked, ["", *asked], strict=False) if one != before]
            doubled += len(asked) - len(once)
            missed.append(unanswered(once))
    print(f"\nevicted: {len(calls)} calls at the other relay after {took:.1f} s, questions unanswered {missed}")
    assert doubled == 0
    assert max(missed) <= took / 3 + 2
    assert took < 8 * slowdown()
