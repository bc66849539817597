"""Relays that are killed, every part a process of its own: calls go on at others, and a later start always works."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from integration.end_to_end_rig import Watch, sessions, start, streams
from integration.faults_rig import (
    all_flushed,
    all_live,
    all_over,
    asking,
    callback,
    finished,
    hang_up,
    kept,
    lead_to,
    set_faults,
    states,
    struck,
)
from support.eventually import eventually
from support.load import slowdown
from voiceassist_crds import names
from voiceassist_demo.stage import Stage

AGAIN_WITHIN = 5.0
"""Seconds from a relay's death until another has its calls, on a machine with nothing else to do."""
STARTING = 15.0
"""Seconds until an unfinished start may be taken over."""
CONFIG = {"audio": {"tracks": "Customer"}, "limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 0}}


def live_again_at(watch: Watch, call: Mapping[str, Any]) -> float | None:
    """When (epoch seconds) the call's Map said that the second generation is live."""
    name = names.suggestions_map(call["callSid"])
    of_status = [e for e in watch.events if e["type"] == "sync" and e["uniqueName"] == name and e.get("key") == names.STATUS_KEY]
    return next((float(e["at"]) for e in of_status if (e["data"]["state"], e["data"]["generation"]) == ("live", 2)), None)


async def names_of(stage: Stage, call: dict[str, Any], *, active: bool) -> list[str]:
    """The call's streams at Twilio by name, ended ones too if not `active`."""
    told = (await stage.get(f"{stage.twilio_url}/_sim/calls"))["calls"]
    (found,) = [one for one in told if one["callSid"] == call["callSid"]]
    return [one["name"] for one in found["streams"] if one["active"] or not active]


async def test_a_killed_relays_calls_go_on_at_another(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        other = await stage.start_relay()
        calls = await asyncio.gather(*(start(stage, asking(tmp_path, 90), hangUp=None) for _ in range(8)))
        await eventually(lambda: all(watch.items(call) for call in calls), seconds=20, what="a suggestion in every call")
        before = await kept(stage, calls)
        await lead_to(stage, other)

        killed = time.time()
        stage.relay.child.signal(signal.SIGKILL)
        assert await stage.relay.child.wait() == -signal.SIGKILL
        await eventually(lambda: all(live_again_at(watch, call) for call in calls), what="every call at the other relay")
        times = [(live_again_at(watch, call) or killed) - killed for call in calls]
        assert max(times) < AGAIN_WITHIN * slowdown(), times
        await all_live(stage, calls)
        for call in calls:
            told = [state for state, _ in watch.states(call)]
            assert "lost" not in told, "the agent has nothing to do"
            assert "reconnecting" in told
            status, answer = await stage.act("start", call, other)
            assert (status, answer["outcome"], answer["generation"]) == (200, "running", 2)
            assert await names_of(stage, call, active=True) == [f"assist_{call['callSid']}_2"]
        await eventually(
            lambda: all(any(item["id"].startswith("g2-") for item in watch.items(call)) for call in calls),
            seconds=20,
            what="new suggestions",
        )
        await hang_up(stage, calls)
        await all_over(stage, calls, 30)
        await all_flushed(stage, 30, other)

        contexts = {
            response["outputItems"][-1]: [item for item in response["inputItems"] if item.startswith("va_")]
            for session in await sessions(stage, "realtime")
            for response in session["responses"]
            if response["outputItems"]
        }
        said = await finished(stage)
        for old, new in zip(before, await kept(stage, calls), strict=True):
            assert new.items[: len(old.items)] == old.items, "what was there stays"
            assert [item["seq"] for item in new.items] == list(range(1, len(new.items) + 1)), "and what comes is appended"
            assert any(told[: len(new.of(1))] == new.of(1) for told in said)
            assert new.of(2) in said, "nothing that the model finished after the kill is lost"
            assert len(contexts[new.of(2)[0].item]) >= 2 * len(old.items) > 0, "the next answer knows what was asked and told before"
            assert new.status is not None and (new.status["state"], new.status["generation"]) == ("stopped", 2)
    print(f"\nSIGKILL under {len(calls)} calls: live at another relay after {min(times):.2f} to {max(times):.2f} s")


async def test_a_relay_that_dies_while_it_starts_calls_blocks_no_later_start(tmp_path: Path) -> None:
    """Killed between Document and stream, and between the stream and the answer to the agent."""
    recording = asking(tmp_path, 90)
    async with Stage(tmp_path / "stage", config=CONFIG) as stage:
        doomed = await stage.start_relay()
        without, with_stream = [await stage.new_call(recording) for _ in range(2)]
        rule = {"kind": "hang", "method": "POST", "path": f"/Calls/{without['callSid']}/Streams"}
        after = {"kind": "hang", "method": "POST", "path": f"/Calls/{with_stream['callSid']}/Streams", "after": True}
        await set_faults(stage, rule, after)
        asked = [asyncio.create_task(stage.act("start", call, doomed)) for call in (without, with_stream)]

        async def hang() -> bool:
            return await struck(stage) == 2

        await eventually(hang, seconds=10, what="both creations under way")
        doomed.child.signal(signal.SIGKILL)
        died = time.monotonic()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, aiohttp.ClientError) for one in results), "no start was answered"
        await set_faults(stage)

        # The stream that was made went to the relay that lives: there is nothing to start.
        await all_live(stage, [with_stream])
        status, answer = await stage.act("start", with_stream)
        assert (status, answer["outcome"], answer["generation"]) == (200, "running", 1)

        # The other start is taken for one under way until its deadline; nobody makes a stream for it.
        status, answer = await stage.act("start", without)
        assert (status, answer["outcome"], answer["state"]) == (200, "running", "starting")
        assert time.monotonic() - died < STARTING
        assert await names_of(stage, without, active=False) == []

        async def restarted() -> Any:
            status, answer = await stage.act("start", without)
            assert status == 200
            return answer if answer["outcome"] != "running" else await asyncio.sleep(0.5)

        answer = await eventually(restarted, seconds=STARTING + 10, what="the take-over")
        assert (answer["outcome"], answer["generation"]) == ("restarted", 2)
        assert time.monotonic() - died > STARTING - 5, "not before the first start had its time"
        await all_live(stage, [without, with_stream])
        assert await names_of(stage, without, active=False) == [f"assist_{without['callSid']}_2"]
        assert await names_of(stage, with_stream, active=False) == [f"assist_{with_stream['callSid']}"]

        async def readable() -> bool:
            held = await kept(stage, [without, with_stream])
            return without["identity"] in held[0].readers and with_stream["identity"] in held[1].readers

        await eventually(readable, seconds=10, what="the agents may read, though the relay that should have let them is gone")


async def test_unclear_answers_from_twilio_double_no_stream_and_block_no_start(tmp_path: Path) -> None:
    """The creation of a call's stream is done, or not, and the answer never comes, or is an error."""
    recording = asking(tmp_path, 90)
    kinds: list[dict[str, Any]] = [
        {"kind": "hang"},
        {"kind": "hang", "after": True},
        {"kind": "cut"},
        {"kind": "cut", "after": True},
        {"kind": "5xx"},
        {"kind": "stored-then-500"},
    ]
    async with Stage(tmp_path / "stage", config=CONFIG) as stage:
        calls = [await stage.new_call(recording) for _ in kinds]
        path = "/Calls/{}/Streams.json$"
        await set_faults(
            stage, *({**kind, "times": 1, "path": path.format(call["callSid"])} for kind, call in zip(kinds, calls, strict=True))
        )
        answers = await asyncio.gather(*(stage.act("start", call) for call in calls))
        assert await struck(stage) == len(kinds)
        assert [(status, answer.get("outcome")) for status, answer in answers] == [(200, "started")] * len(kinds), answers
        await all_live(stage, calls)
        for call, (_, answer) in zip(calls, answers, strict=True):
            assert await names_of(stage, call, active=True) == [answer["streamName"]], "one stream, the one that was answered"
        generations = [answer["generation"] for _, answer in answers]
        assert [generations[n] for n in (0, 2, 4)] == [2, 2, 2], "what may have been done is never done again under the same name"
        assert generations[1] == 1, "a stream that is live by the time the answer is given up was made"
        again = await asyncio.gather(*(stage.act("start", call) for call in calls))
        assert [(status, answer["outcome"], answer["generation"]) for status, answer in again] == [
            (200, "running", generation) for generation in generations
        ]


async def test_callbacks_that_come_twice_late_or_to_a_stranger_change_nothing_wrongly(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config=CONFIG) as stage, Watch(stage) as watch:
        strangers = [await stage.start_relay(), await stage.start_relay()]
        call = await start(stage, asking(tmp_path, 90), hangUp=None)
        await all_live(stage, [call])
        (first,) = await streams(stage, call)
        await lead_to(stage, strangers[0])
        stage.relay.child.signal(signal.SIGKILL)
        await stage.relay.child.wait()

        # Twilio's own callback comes to one stranger; the same comes to both, several times over.
        answers = await asyncio.gather(
            *(callback(stage, strangers[n % 2], call, first, "stream-error", StreamError="31921") for n in range(6))
        )
        assert set(answers) == {204}
        await eventually(lambda: watch.states(call)[-1][0] == "live" and "reconnecting" in str(watch.states(call)), what="started again")
        await all_live(stage, [call])
        live_at = len(watch.events)

        # Late ones, of the stream that died and of one that never was.
        for stream in (first, {"streamSid": "MZ" + "0" * 32, "name": f"assist_{call['callSid']}_7"}):
            for event in ("stream-error", "stream-stopped"):
                assert await callback(stage, strangers[1], call, stream, event) == 204
        unknown = {**call, "callSid": "CA" + "0" * 32}
        assert await callback(stage, strangers[1], unknown, first, "stream-error") == 204
        await eventually(lambda: sum(item["id"].startswith("g2-") for item in watch.items(call)) >= 1, seconds=20, what="suggestions go on")
        assert await states(stage, [call]) == ["live"]
        assert await names_of(stage, call, active=True) == [f"assist_{call['callSid']}_2"]
        later = [e for e in watch.events[live_at:] if e["type"] == "sync" and e.get("key") == names.STATUS_KEY]
        assert "lost" not in {event["data"]["state"] for event in later}
        assert (await kept(stage, [unknown]))[0].document is None, "nothing is made of a call that nobody knows"
