"""Drafts ahead of the turn's end on real sockets. What the rule does with time is shown in virtual time, in unit/realtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from integration.model_client_rig import SILENCE, Call, calling, ledgers, relay_config, speech
from voiceassist_crds.messages import WithdrawnReason
from voiceassist_relay.metrics.labels import EARLY
from voiceassist_sim.openai import Behaviour, RealtimeServer

pytestmark = pytest.mark.loop("uvloop")
LONG = 5.0
"""Seconds of silence that end a turn here: a loaded machine has time to see its sentence's end before."""


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=Behaviour.of({"firstTokenMs": 60, "deltaMs": 20})) as server:
        yield server


def eager(server: RealtimeServer, **more: Any) -> Any:
    model = {"maxResponsesPerMinute": 120, "turnDetection": {"silenceDurationMs": int(LONG * 1000), "eager": {"silenceMs": 150}}} | more
    return relay_config(server, model=model, audio={"tracks": "Customer"})


def ahead(server: RealtimeServer, status: str) -> int:
    """Responses out of band that ended so."""
    return sum(response.out_of_band and response.status == status for response in ledgers(server)[0].responses)


async def pause_until_drafted(call: Call) -> None:
    """Silence at its pace, until the draft ahead of the turn's end is there."""
    for _ in range(int((LONG - 1) * 50)):
        if call.heard.early:
            return
        await call.talk(SILENCE)
    raise AssertionError("no draft ahead of the turn's end")


async def test_the_answer_is_asked_for_before_the_turn_is_over_and_once(server: RealtimeServer) -> None:
    async with calling(server, config=eager(server)) as call:
        await call.live()
        await call.talk(speech(1.0))
        await pause_until_drafted(call)
        assert not call.heard.turns
        call.say(SILENCE * int(LONG * 50))
        await call.heard.until(lambda: call.heard.turns, "the turn is answered")
        assert call.heard.outcomes == ["suggested"]
        (response,) = ledgers(server)[0].responses
        assert response.out_of_band
        assert call.heard.early[-1] == call.heard.suggestions[0].item
        assert {outcome: call.sample("early_responses_total", outcome=outcome) for outcome in EARLY} == {
            "used": 1,
            "wasted": 0,
            "refused": 0,
        }
        assert call.sample("early_wasted_tokens_total") == 0
        assert "error" not in ledgers(server)[0].sent


async def test_who_goes_on_is_not_answered_twice(server: RealtimeServer) -> None:
    async with calling(server, config=eager(server)) as call:
        await call.live()
        await call.talk(speech(0.8))
        await pause_until_drafted(call)
        await call.talk(speech(0.8))
        await call.heard.until(lambda: call.heard.withdrawals, "the draft is withdrawn")
        ((item, reason),) = call.heard.withdrawals
        assert (item, reason) == (call.heard.early[0], WithdrawnReason.SPOKE_ON)
        call.say(SILENCE * int(LONG * 50))
        await call.heard.until(lambda: call.heard.turns, "the turn is answered")
        assert call.heard.outcomes == ["suggested"]
        assert item != call.heard.suggestions[0].item
        assert call.sample("early_responses_total", outcome="wasted") >= 1
        assert call.sample("early_wasted_tokens_total") > 0
        assert "error" not in ledgers(server)[0].sent
