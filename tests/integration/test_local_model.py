"""A relay's model client before the local model, whose ear says what the test wants: every turn, the agent's words, a wrong format."""

from __future__ import annotations

import asyncio

import pytest

from integration.model_client_rig import SILENCE, calling, relay_config, speech
from support.eventually import eventually
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_demo.local.server import MODEL, serving
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.health.model_check import try_model

PARCEL = "Where is my parcel?"


async def ear(pcm: bytes, prompt: str) -> str:
    await asyncio.sleep(0.05)
    assert "my parcel" in prompt
    return PARCEL if len(pcm) > 16_000 else ""


async def test_local_model_every_turn_has_its_suggestion_and_the_agents_words_arrive() -> None:
    async with serving(ear) as url, calling(None, config=relay_config(None, model={"url": url, "name": "local", **MODEL}), key="") as call:
        await call.live()
        for count in range(3):
            call.ask(speech(1.0))
            call.say(speech(1.0) + SILENCE * 40, inbound=False)
            await call.heard.until(lambda count=count: len(call.heard.turns) > count, "a turn's outcome")  # type: ignore[misc]
        await eventually(lambda: len(call.heard.final_words(Track.AGENT)) == 3, "the agent's words")
        assert call.heard.outcomes == ["suggested"] * 3
        assert {one.answer for one in call.heard.suggestions} == {"I look for it. May I have the tracking number?"}
        assert call.heard.final_words(Track.CUSTOMER) == [PARCEL] * 3
        assert call.count("customer", "replayed") == 0


async def test_local_model_is_well_in_a_trial_and_refuses_any_other_format() -> None:
    async with serving(ear) as url:
        config = relay_config(None, model={"url": url, "name": "local", **MODEL})
        (found,) = await try_model(Snapshot(config, Secrets(model_key=""), ""))
        assert (found.turn, found.tool, found.transcribed, found.misread) == (True, True, True, False), found
        other = relay_config(None, model={"url": url, "name": "local", **MODEL, "audioFormat": "PCMU"})
        async with calling(None, config=other, key="") as call:
            await call.heard.until(lambda: call.heard.states, "it is refused")
            assert call.heard.states[-1][:2] == (AssistState.FAILED, StatusReason.MODEL_MISCONFIGURED)
            assert "session.audio.input.format" in call.heard.states[-1][2]


@pytest.mark.parametrize("late", [0.0, 1.0])
async def test_local_model_a_turn_is_answered_when_its_words_are_there(late: float) -> None:
    async def slow(pcm: bytes, prompt: str) -> str:
        await asyncio.sleep(late)
        return PARCEL

    async with serving(slow) as url, calling(None, config=relay_config(None, model={"url": url, "name": "local", **MODEL}), key="") as call:
        await call.live()
        call.ask(speech(1.0))
        await call.heard.until(lambda: call.heard.suggestions, "a suggestion")
        assert call.heard.outcomes == ["suggested"]
