"""What all relays of an object may take together: two relays as processes, between which the operator's own rules carry the word."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from integration.end_to_end_rig import Watch, sessions, start
from integration.faults_rig import asking, hang_up, lead_to
from integration.functions_rig import rigged
from support.eventually import eventually
from unit.operator.making import well
from voiceassist_crds.names import LIMITS_HEADER
from voiceassist_crds.status import RelayStatus
from voiceassist_demo.stage import RelayProcess, Stage, write_whole
from voiceassist_operator.policy.observed import PodFact, Spending
from voiceassist_operator.policy.spending import Others, others, spending, spending_status, total
from voiceassist_relay.call.dependencies import NoLimit
from voiceassist_relay.call_quota import Place

BUDGET = 400
SPENT = ("paused", "BudgetSpent")
TALKS_SECONDS = 240.0


class Operator:
    """Asks the relays as the operator does, and tells each of the others."""

    def __init__(self, stage: Stage, limits: Mapping[str, Any]) -> None:
        self._stage = stage
        self._seen = replace(well(limits=limits), pods=())
        self._record: Spending | None = None

    async def ask(self) -> None:
        """One pass over all relays."""
        told = others(replace(self._seen, spending=self._record))
        assert told is not None
        pods = [await self._pod(relay, f"relay{number}", told) for number, relay in enumerate(self._stage.relays) if relay.child.running]
        self._seen = replace(self._seen, pods=tuple(pods), spending=self._record)
        self._record = spending(self._seen, time.time())

    async def _pod(self, relay: RelayProcess, name: str, told: Others) -> PodFact:
        before = next((pod.status for pod in self._seen.pods if pod.name == name), None)
        with suppress(aiohttp.ClientError):
            headers = {LIMITS_HEADER: told.word(name, before).as_header()}
            async with self._stage.http.get(f"{relay.private}/status", headers=headers) as answer:
                return PodFact(name, ready=True, status=RelayStatus.read(await answer.read()))
        return PodFact(name)

    @property
    def tokens(self) -> int:
        """What all relays spent in the month."""
        return 0 if self._record is None else total(self._record.month).tokens

    def restarted(self) -> None:
        """Another operator goes on from the status that this one wrote."""
        written = spending_status(replace(self._seen, spending=self._record))
        self._record, self._seen = None, replace(self._seen, spending=None, status={"spending": written})

    async def run(self) -> None:
        """Once a second, as the operator does where little is left."""
        while True:
            await self.ask()
            await asyncio.sleep(1)


@asynccontextmanager
async def sharing(folder: Path, limits: Mapping[str, Any]) -> AsyncIterator[tuple[Stage, Watch, Operator]]:
    """Two relays that share these limits."""
    async with Stage(folder, config={"totalLimits": limits}) as stage, Watch(stage) as watch:
        await stage.start_relay()
        operator = Operator(stage, limits)
        task = asyncio.create_task(operator.run())
        try:
            yield stage, watch, operator
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def responses(stage: Stage) -> list[int]:
    """What each response took, by the model's own account."""
    told = [response for session in await sessions(stage, "realtime") for response in session["responses"]]
    return [response["usage"]["total_tokens"] if response["usage"] else 0 for response in told]


async def test_the_budget_stops_all_relays_within_a_response_and_they_go_on_when_it_is_raised(tmp_path: Path) -> None:
    limits = {"budget": {"perDay": 10 * BUDGET, "perMonth": BUDGET, "action": "Stop"}}
    recording = asking(tmp_path, TALKS_SECONDS)
    async with sharing(tmp_path / "stage", limits) as (stage, watch, operator):
        one = await start(stage, recording)
        await eventually(lambda: watch.states(one)[-1:] == [SPENT], seconds=90, what="the call without the model")
        took = await responses(stage)
        await operator.ask()
        assert sum(took) < operator.tokens, "writing down is counted too"
        assert sum(took[:-1]) < BUDGET <= operator.tokens, (took, operator.tokens)
        heard = [session["bytesHeard"] for session in await sessions(stage)]
        await lead_to(stage, stage.relays[1])
        two = await start(stage, recording, stage.relays[1])
        await eventually(lambda: watch.states(two)[-1:] == [SPENT], seconds=30, what="the other relay's call without the model")
        assert await responses(stage) == took, "the other relay asks for nothing"
        assert [session["bytesHeard"] for session in await sessions(stage)][: len(heard)] == heard

        # The agent's word does not overrule it, and what relays and an operator that are no more spent is not forgotten.
        status, _ = await stage.act("resume", one, stage.relays[1])
        assert status == 200
        spent = operator.tokens
        stage.relays[1].child.signal(signal.SIGKILL)
        await stage.relays[1].child.wait()
        operator.restarted()
        third = await stage.start_relay()
        await operator.ask()
        assert operator.tokens >= spent
        await lead_to(stage, third)
        late = await start(stage, recording, third)
        await eventually(lambda: watch.states(late)[-1:] == [SPENT], seconds=30)

        raised = stage.config(totalLimits={"budget": {"perDay": 1_000_000, "action": "Stop"}})
        for relay in (stage.relay, third):
            write_whole(relay.config, raised.to_json())
        await eventually(lambda: watch.states(one)[-1:] == watch.states(late)[-1:] == [("live", "Started")], seconds=30)
        more = len(watch.items(one))
        await eventually(lambda: len(watch.items(one)) > more and watch.items(late), seconds=60, what="suggestions again")
        await hang_up(stage, [one, late])


async def test_calls_beyond_the_limit_are_refused_whichever_relay_is_asked(tmp_path: Path) -> None:
    async with sharing(tmp_path / "stage", {"maxCalls": 1}) as (stage, watch, operator):
        recording = asking(tmp_path, TALKS_SECONDS)
        one = await start(stage, recording)
        await eventually(lambda: watch.states(one)[-1:] == [("live", "Started")], seconds=30)
        await operator.ask()
        await operator.ask()
        two = await stage.new_call(recording)
        for relay in stage.relays:
            status, answer = await stage.act("start", two, relay)
            assert (status, answer["error"]["code"]) == (429, "call_limit")
            assert "1 calls are assisted already" in answer["error"]["message"]
        status, answer = await stage.act("start", one, stage.relays[1])
        assert (status, answer["outcome"]) == (200, "running"), "who comes back to a call that runs is let in"
        await hang_up(stage, [one])

        async def starts() -> bool:
            await asyncio.sleep(0.5)
            return (await stage.act("start", two, stage.relays[1]))[0] == 200

        await eventually(starts, seconds=30, what="a start when the other call is over")
        await hang_up(stage, [two])


class Full(NoLimit):
    """There is no place."""

    def reserve(self, call_sid: str) -> Place:
        return Place.FULL


@pytest.mark.parametrize(("state", "status"), [("lost", 200), ("live", 200), ("stopped", 429)])
async def test_a_call_that_is_started_again_is_no_new_one_unless_it_was_stopped(state: str, status: int) -> None:
    async with rigged() as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        await rig.idle()
        stored = rig.raw_document(call.call_sid)
        stored.data = {**stored.data, "state": state}
        stored.touch(rig.clock())
        object.__setattr__(relay.functions._starts._deps, "limit", Full())
        found, answer = await relay.stream("start", call)
        assert found == status, answer
        other, answer = await relay.stream("start", rig.call())
        assert (other, answer["error"]["code"]) == (429, "call_limit")
