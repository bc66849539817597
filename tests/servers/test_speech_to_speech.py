"""A relay before Hugging Face's speech-to-speech server, as it comes from PyPI; speech_to_speech/run.py says which models are stubbed."""

from __future__ import annotations

import math
import struct
import wave
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from integration.end_to_end_rig import Watch, cut, start
from integration.model_client_rig import speech
from servers.gateways import Gateway, speech_to_speech
from servers.rig import Through, converse
from servers.stubbed_models import ANSWER, HEARD, StubbedModels, stubbed_models
from support.eventually import eventually
from voiceassist_crds.config import AudioFormat
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_crds.status import PeerReason
from voiceassist_demo.stage import Model, Stage
from voiceassist_relay.health.model_check import try_model
from voiceassist_relay.realtime.providers.base import Capabilities, Provider

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SETTINGS = {"name": "local", "audioFormat": "PCM24k"}


def tone(seconds: float) -> bytes:
    """What the customer says; the agent, on the other channel, is silent."""
    return b"".join(struct.pack("<hh", round(15_000 * math.sin(2 * math.pi * 440 * n / 8000)), 0) for n in range(round(seconds * 8000)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[StubbedModels, Gateway]]:
    folder = tmp_path_factory.mktemp("speech_to_speech")
    async with stubbed_models() as models, speech_to_speech(models.url, folder) as gateway:
        yield models, gateway


@pytest_asyncio.fixture(loop_scope="module")
async def models(started: tuple[StubbedModels, Gateway]) -> AsyncIterator[StubbedModels]:
    models, gateway = started

    async def idle() -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{gateway.port}/v1/pool") as answer:
            return (await answer.json())["in_use"] == 0

    await eventually(idle, "its sessions of the test before are over", seconds=60, every=0.1)
    models.tool, models.status, models.voiced = True, 200, 0
    yield models


@pytest_asyncio.fixture(loop_scope="module")
async def through(started: tuple[StubbedModels, Gateway], models: StubbedModels) -> Through:
    return Through(None, started[1], "", SETTINGS)


async def test_speech_to_speech_every_turn_has_its_suggestion_and_the_agents_words_arrive(through: Through, models: StubbedModels) -> None:
    """It refuses transcription sessions: the agent's words come from one that never answers."""
    async with through.call() as call:
        await converse(call, turns=3)
        assert {suggestion.answer for suggestion in call.heard.suggestions} == {ANSWER}
        assert set(call.heard.final_words(Track.AGENT)) == {HEARD}
        assert call.heard.tracks == [None]
    assert models.voiced == 0, "text was asked for, and nothing is spoken"


async def test_speech_to_speech_what_it_speaks_is_read_as_text(
    through: Through, models: StubbedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does where `output_modalities` is in the session alone."""
    known = Provider.capabilities

    def silent(self: Provider, model: object) -> Capabilities:
        return replace(known(self, model), output_modalities_per_response=False)  # type: ignore[arg-type]

    monkeypatch.setattr(Provider, "capabilities", silent)
    models.tool = False
    async with through.call() as call:
        await call.live()
        call.ask(speech(1.0))
        await call.heard.until(lambda: call.heard.suggestions, "a suggestion", 90)
        assert call.heard.suggestions[0].answer == ANSWER
    assert models.voiced == 1


async def test_speech_to_speech_a_call_with_a_relay_as_a_process(through: Through, tmp_path: Path) -> None:
    where = Model(through.gateway.url, "local", "none")
    config = {"model": {"provider": "Compatible", **SETTINGS}}
    async with Stage(tmp_path / "stage", model=where, config=config) as stage, Watch(stage) as watch:
        call = await start(stage, cut(tmp_path, "a2", "c2", "a3", after=1500))
        await eventually(lambda: watch.ended(call), seconds=90, what="the call's end")
        await eventually(lambda: watch.document(call)["state"] == "stopped", seconds=60, what="the Document's end")
        assert len(watch.items(call)) >= 1
        tracks = {words["track"] for words in watch.messages(call, "transcript") if words["final"]}
        assert tracks == {"customer", "agent"}


async def test_speech_to_speech_says_in_a_trial_which_format_it_hears(through: Through) -> None:
    """It takes mu-law and reads it as PCM of 16 kHz; that it is PCM of 16 kHz it lets nobody say."""
    found = await try_model(through.snapshot(audioFormat=None), patience=6)
    assert [one.audio_format for one in found] == [AudioFormat.PCMU, AudioFormat.PCM24K]
    assert (found[0].answered, found[0].turn) == (False, False), found
    assert (found[1].turn, found[1].tool, found[1].transcribed, found[1].misread) == (True, True, True, False), found
    assert "hears no speech in it" in found[0].told()


async def test_speech_to_speech_that_is_sent_mu_law_is_told_of_while_the_call_goes_on(through: Through, tmp_path: Path) -> None:
    """It reads it as PCM of 16 kHz, and so counts a quarter; turns of four seconds, at their pace, as a customer speaks them."""
    recording = tmp_path / "turns.wav"
    with wave.open(str(recording), "wb") as target:
        target.setparams((2, 2, 8000, 0, "NONE", "not compressed"))
        for _ in range(6):
            target.writeframes(bytes(4 * 8000 * 4) + tone(4.0))
    where = Model(through.gateway.url, "local", "none")
    config = {"model": {"provider": "Compatible", **SETTINGS, "audioFormat": "PCMU", "check": "Session"}}
    async with Stage(tmp_path / "stage", model=where, config=config) as stage, Watch(stage) as watch:

        async def model() -> dict[str, Any]:
            return (await stage.get(f"{stage.relay.private}/status"))["model"]  # type: ignore[no-any-return]

        async def well() -> bool:
            return bool((await model())["ok"])

        async def told() -> bool:
            return (await model()).get("reason") == "AudioFormat"

        await eventually(well, "a session stands all the same", seconds=60)
        call = await start(stage, recording)
        await eventually(told, "the relay's status says so", seconds=120)
        assert "model.audioFormat" in (await model())["message"]
        await eventually(lambda: ("live", "AudioFormat") in watch.states(call), "and the agent is told", seconds=60)


async def test_speech_to_speech_takes_any_key_and_any_name(through: Through) -> None:
    assert await through.unwell(key="sk-anything", name="anybody") is None


async def test_speech_to_speech_at_another_path_says_403_and_nobody_blames_the_key(through: Through) -> None:
    unwell = await through.unwell(url=f"ws://127.0.0.1:{through.gateway.port}/v2/realtime", key="sk-0123456789")
    assert unwell is not None
    assert "the key, model.name and model.url" in unwell.message
    assert "does not accept" not in unwell.message


async def test_speech_to_speech_without_a_place_is_told_as_too_many_and_dialled_again(through: Through) -> None:
    async with through.call() as first:
        await first.live()
        await first.heard.until(lambda: first.heard.tracks, "the agent's session", 90)
        async with through.call(transcription={"agentSession": "Realtime"}) as second:
            await eventually(lambda: second.heard.states or second.heard.tracks, "one of two finds a place", seconds=90)
            unwell = await through.unwell()
            assert unwell is not None
            assert unwell.reason is PeerReason.RATE_LIMITED, unwell.message
            assert "slots are in use" in unwell.message
            await second.live()
    assert first.heard.states[-1][0] is AssistState.LIVE


async def test_speech_to_speech_whose_model_has_too_many_requests_loses_the_turn_and_no_other(
    through: Through, models: StubbedModels
) -> None:
    async with through.call() as call:
        await call.live()
        models.status = 429
        call.ask(speech(1.0))
        await call.heard.until(lambda: call.heard.turns, "the turn's outcome", 90)
        models.status = 200
        call.ask(speech(1.0), pause=2.0)
        await call.heard.until(lambda: any(one.answer == ANSWER for one in call.heard.suggestions), "a suggestion", 90)


async def test_speech_to_speech_that_is_killed_is_told_of_and_what_was_said_meanwhile_is_answered(through: Through) -> None:
    async with through.call() as call:
        await call.live()
        await through.gateway.kill()
        await call.heard.until(lambda: call.heard.states[-1][0] is AssistState.RECONNECTING, "the loss is told", 90)
        assert call.heard.states[-1][1] is StatusReason.MODEL_UNREACHABLE
        call.ask(speech(1.0))
        await through.gateway.start()
        await call.heard.until(lambda: call.heard.suggestions, "a suggestion", 90)
        assert call.heard.outcomes[0] == "suggested"
