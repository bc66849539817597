"""A stream that was created, and of which nothing more is heard: no relay sees it, and no callback comes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from integration.functions_rig import QUICK, rigged
from support.eventually import eventually
from voiceassist_crds.endpoint_report import EndpointReport
from voiceassist_crds.messages import CallState
from voiceassist_crds.reasons import Refusal

SOON = replace(QUICK, starting_seconds=0.4)


@pytest.mark.parametrize(
    ("refusal", "dialled", "words"),
    [
        (None, None, "EndpointReachable"),
        (Refusal.NO_SIGNATURE, None, "drops Twilio's signature"),
        (Refusal.QUERY, "DNSFailed", "adds a query"),
        (None, "RequestAltered/no_signature", "drops Twilio's signature"),
        (None, "RequestAltered/doubled", "alters what Twilio sends"),
        (None, "UpgradeNotPassed/no_upgrade", "passes no websockets on"),
        (None, "DNSFailed", "no entry in DNS"),
        (None, "EndpointOK", "closed to the internet"),
    ],
)
async def test_the_relay_that_made_it_tells_the_agent_and_why(refusal: Refusal | None, dialled: str | None, words: str) -> None:
    async with rigged(timing=SOON) as rig:
        relay, call = rig.relays[0], rig.call()
        if refusal is not None:
            relay.held.refusals[call.call_sid] = refusal
        if dialled is not None:
            relay.deps.public_address.told(EndpointReport.read(dialled), relay.deps.monotonic())
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
    timing = replace(SOON, starting_seconds=3.0)
    async with rigged(timing=timing) as rig:
        relay, call = rig.relays[0], rig.call()
        await relay.stream("start", call)
        await eventually(lambda: relay.held.find(call.call_sid))
        await asyncio.sleep(timing.starting_seconds + 0.5)
        await rig.idle()
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LIVE
        assert relay.counted("streams_lost_total", reason="never_came") == 0


async def test_of_a_call_that_is_over_the_agent_hears_that_and_nothing_is_counted_as_lost() -> None:
    async with rigged(timing=SOON) as rig:
        relay, call = rig.relays[0], rig.call()
        rig.route_to(None)  # no stream gets in, and no callback
        await relay.stream("start", call)
        rig.twilio.complete_call(call.call_sid)
        item = await eventually(lambda: (found := rig.status_item(call.call_sid)) and found["state"] in {"lost", "stopped"} and found)
        await rig.idle()
        assert (item["state"], item["reason"]) == ("stopped", "CallEnded")
        document = rig.document(call.call_sid)
        assert document is not None and document.state is CallState.LOST
        assert relay.counted("streams_lost_total", reason="never_came") == 0


async def test_a_later_start_is_not_ended_for_the_earlier_one() -> None:
    async with rigged(timing=SOON) as rig:
        relay, call = rig.relays[0], rig.call()
        gate = relay.hold_streams()
        await relay.stream("start", call)
        await relay.stream("stop", call)
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        _, answer = await relay.stream("start", call)
        assert answer["generation"] == 2
        await eventually(lambda: (found := rig.document(call.call_sid)) and found.state is CallState.LOST)
        assert time.monotonic() - begun >= SOON.starting_seconds, "the first start's time is not the second's"
        await eventually(lambda: relay.counted("streams_lost_total", reason="never_came") == 1)
        gate.set()
