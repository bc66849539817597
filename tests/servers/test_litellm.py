"""A relay through LiteLLM's proxy, as it comes from PyPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from integration.end_to_end_rig import Watch, cut, start
from servers.gateways import LITELLM_KEY, Gateway, litellm
from servers.rig import Through, converse
from support.eventually import eventually
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_crds.status import PeerReason
from voiceassist_demo.stage import Model, Stage
from voiceassist_relay.health.model_check import try_model
from voiceassist_sim.openai import RealtimeServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SETTINGS = {
    "name": "assist",
    "family": "GPTRealtime2",
    "audioFormat": "PCMU",
    "transcription": {"agentModel": "words", "agentQuery": "IntentAndModel"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RealtimeServer, Gateway]]:
    async with RealtimeServer() as model, litellm(model, tmp_path_factory.mktemp("litellm")) as gateway:
        yield model, gateway


@pytest_asyncio.fixture(loop_scope="module")
async def through(started: tuple[RealtimeServer, Gateway]) -> Through:
    model, gateway = started
    return Through(model, gateway, LITELLM_KEY, SETTINGS)


async def test_litellm_every_turn_has_its_suggestion_and_the_agents_words_arrive(through: Through) -> None:
    async with through.call() as call:
        await converse(call)
        assert call.heard.tracks == [None]
        call.client._conversation.sender.flush()
        assert call.sample("frames_total", track="customer", outcome="forwarded") > 0
        assert call.heard.states[-1][:2] == (AssistState.LIVE, StatusReason.STARTED)
    effort = [session.protocol.config.get("reasoning") for session in through.model.sessions if session.protocol.kind == "realtime"][-1]
    assert effort == {"effort": "minimal"}, "family tells what an alias does not"


async def test_litellm_a_call_with_a_relay_as_a_process(through: Through, tmp_path: Path) -> None:
    where = Model(through.gateway.url, "assist", LITELLM_KEY)
    config = {"model": {"provider": "Compatible", **SETTINGS}}
    async with Stage(tmp_path / "stage", model=where, config=config) as stage, Watch(stage) as watch:
        call = await start(stage, cut(tmp_path, "a2", "c2", "a3", after=500))
        await eventually(lambda: watch.ended(call), seconds=90, what="the call's end")
        await eventually(lambda: watch.document(call)["state"] == "stopped", seconds=60, what="the Document's end")
        assert len(watch.items(call)) == 1
        tracks = {words["track"] for words in watch.messages(call, "transcript") if words["final"]}
        assert tracks == {"customer", "agent"}
        status = await stage.get(f"{stage.relay.private}/status")
        assert status["model"]["ok"]


async def test_litellm_where_the_address_names_no_model_the_agents_track_is_lost_and_told(through: Through) -> None:
    """It puts a model of its own in the place, which it then does not know; suggestions go on, and tries are few."""
    async with through.call(transcription={"agentQuery": "Intent"}) as call:
        await call.live()
        await call.heard.until(lambda: call.heard.tracks, "the agent's track is lost", 90)
        (lost,) = call.heard.tracks[-1:]
        assert lost is not None
        call.ask(b"\x30\xb0" * 4000)
        await call.heard.until(lambda: call.heard.suggestions, "a suggestion", 90)
        assert call.heard.states[-1][1] is StatusReason.AGENT_TRACK_LOST
        assert call.heard.final_words(Track.AGENT) == []
        assert call.sample("realtime_errors_total", code="connect") <= 5


@pytest.mark.parametrize(
    ("model", "key", "reason", "state", "about"),
    [
        ({}, "sk-not-a-key-of-theirs", PeerReason.REFUSED, StatusReason.MODEL_REFUSED, "403"),
        ({"name": "nobody"}, None, PeerReason.MISCONFIGURED, StatusReason.MODEL_MISCONFIGURED, "Invalid model name"),
        ({"name": "bad-key"}, None, PeerReason.REFUSED, StatusReason.MODEL_REFUSED, "ours or its own"),
        ({"name": "gone"}, None, PeerReason.MISCONFIGURED, StatusReason.MODEL_MISCONFIGURED, "404"),
    ],
    ids=["wrong key", "wrong model", "its own key is refused", "the model behind it is gone"],
)
async def test_litellm_what_is_refused_is_told_rightly(
    through: Through, model: dict[str, str], key: str | None, reason: PeerReason, state: StatusReason, about: str
) -> None:
    unwell = await through.unwell(key=key, **model)
    assert unwell is not None
    assert unwell.reason is reason, unwell.message
    async with through.call(key=key, **model) as call:
        await call.heard.until(lambda: call.heard.states, "the refusal is told", 90)
        said, why, words = call.heard.states[-1]
        assert (said, why) == (AssistState.FAILED, state), words
    for told in (unwell.message, words):
        assert about in told
        for never in (LITELLM_KEY, "sk-not", "None"):
            assert never not in told


async def test_litellm_whose_model_has_too_many_requests_is_told_and_tried_again(through: Through) -> None:
    through.model.set_faults({"kind": "refuse", "status": 429})
    try:
        unwell = await through.unwell()
        assert unwell is not None
        assert unwell.reason is PeerReason.RATE_LIMITED, unwell.message
        assert "key" not in unwell.message
        async with through.call() as call:
            await call.heard.until(lambda: call.heard.states, "it is told", 90)
            assert call.heard.states[-1][0] is AssistState.RECONNECTING
            assert "requests" in call.heard.states[-1][2]
            through.model.set_faults([])
            await call.heard.until(lambda: call.heard.states[-1][0] is AssistState.LIVE, "it goes on", 90)
    finally:
        through.model.set_faults([])


async def test_litellm_says_in_a_trial_what_the_model_behind_it_does(through: Through) -> None:
    (found,) = await try_model(through.snapshot(), patience=60)
    assert (found.turn, found.tool, found.transcribed, found.misread) == (True, True, True, False), found


async def test_litellm_that_is_killed_is_told_as_not_reachable(through: Through) -> None:
    async with through.call() as call:
        await call.live()
        await through.gateway.kill()
        await call.heard.until(lambda: call.heard.states[-1][0] is AssistState.RECONNECTING, "the loss is told", 90)
        assert call.heard.states[-1][1] is StatusReason.MODEL_UNREACHABLE
    unwell = await through.unwell()
    assert unwell is not None
    assert unwell.reason is PeerReason.UNREACHABLE
