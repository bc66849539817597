"""A stream that was created, and of which nothing more is heard: no relay sees it, and no callback comes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from integration.functions_rig import QUICK, rigged
from support.eventually import eventually
from voiceassist_crds.messages import CallState
from voiceassist_crds.reasons import Refusal

SOON = replace(QUICK, starting_seconds=0.4)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [(None, "EndpointReachable"), (Refusal.NO_SIGNATURE, "drops Twilio's signature"), (Refusal.QUERY, "adds a query")],
)
async def test_the_relay_that_made_it_tells_the_agent_and_why(refusal: Refusal | None, words: str) -> None:
    async with rigged(timing=SOON) as rig:
        relay, call = rig.relays[0], rig.call()
        if refusal is not None:
            relay.held.refusals[call.call_sid] = refusal
        gate = relay.hold_streams()
        status, answer = await relay.stream("start", call)
        assert (status, answer["state"]) == (200, "starting")
        item = await eventually(lambda: (found := rig.status_item(call.call_sid)) and found["state"] == "lost" and found)
        assert words in item["message"] and "Tell your administrator" in item["message"]
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LOST
        await eventually(lambda: rig.streams(call.call_sid) == [])
        assert relay.counted("streams_lost_total", reason="never_came") == 1
        gate.set()


async def test_one_that_came_is_left_alone() -> None:
    async with rigged(timing=SOON) as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        await eventually(lambda: relay.held.find(call.call_sid))
        await asyncio.sleep(0.8)
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LIVE
        assert relay.counted("streams_lost_total", reason="never_came") == 0


async def test_a_later_start_is_not_ended_for_the_earlier_one() -> None:
    async with rigged(timing=SOON) as rig:
        relay, call = rig.relays[0], rig.call()
        gate = relay.hold_streams()
        await relay.stream("start", call)
        await relay.stream("stop", call)
        await asyncio.sleep(0.2)
        _, answer = await relay.stream("start", call)
        assert answer["generation"] == 2
        await asyncio.sleep(0.3)
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.STARTING, "the first start's time is not the second's"
        gate.set()
