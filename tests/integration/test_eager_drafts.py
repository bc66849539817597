"""Drafts ahead of the turn's end on real sockets. What the rule does with time is shown in virtual time, in unit/realtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from integration.model_client_rig import SILENCE, calling, ledgers, relay_config, speech
from voiceassist_crds.messages import WithdrawnReason
from voiceassist_sim.openai import Behaviour, RealtimeServer

pytestmark = pytest.mark.loop("uvloop")
MOST = 12
"""Turns that may pass until a loaded machine looks in time: a look that is late asks nothing ahead, and harms nothing."""


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=Behaviour.of({"firstTokenMs": 60, "deltaMs": 20})) as server:
        yield server


def eager(server: RealtimeServer, **more: Any) -> Any:
    model = {"maxResponsesPerMinute": 120, "turnDetection": {"eager": {"silenceMs": 150}}} | more
    return relay_config(server, model=model, audio={"tracks": "Customer"})


def ahead(server: RealtimeServer, status: str) -> int:
    """Responses out of band that ended so."""
    return sum(response.out_of_band and response.status == status for response in ledgers(server)[0].responses)


async def test_the_answer_is_asked_for_before_the_turn_is_over_and_once(server: RealtimeServer) -> None:
    async with calling(server, config=eager(server)) as call:
        await call.live()
        for turn in range(MOST):
            await call.talk(speech(1.0) + SILENCE * 45)
            await call.heard.until(lambda: len(call.heard.turns) > turn, "the turn is answered")  # noqa: B023 - awaited here
            if ahead(server, "completed"):
                break
        assert ahead(server, "completed") == 1
        assert call.heard.outcomes[-1] == "suggested"
        response = ledgers(server)[0].responses[-1]
        assert response.out_of_band
        assert response.status == "completed"
        assert len(ledgers(server)[0].responses) == turn + 1 + ahead(server, "cancelled")
        assert call.heard.early[-1] == call.heard.suggestions[-1].item
        assert "error" not in ledgers(server)[0].sent


async def test_who_goes_on_is_not_answered_twice(server: RealtimeServer) -> None:
    async with calling(server, config=eager(server)) as call:
        await call.live()
        for turn in range(MOST):
            await call.talk(speech(0.8) + SILENCE * 20 + speech(0.8) + SILENCE * 45)
            await call.heard.until(lambda: len(call.heard.turns) > turn, "the turn is answered")  # noqa: B023 - awaited here
            if call.heard.withdrawals:
                break
        item, reason = call.heard.withdrawals[0]
        assert reason is WithdrawnReason.SPOKE_ON
        assert ahead(server, "cancelled") + ahead(server, "completed") >= 1
        assert item not in {one.item for one in call.heard.suggestions}
        assert call.heard.outcomes == ["suggested"] * (turn + 1)
        assert "error" not in ledgers(server)[0].sent
