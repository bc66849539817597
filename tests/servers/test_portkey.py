"""A relay through Portkey's gateway, as it comes from npm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.model_client_rig import speech
from servers.gateways import UPSTREAM_KEY, portkey
from servers.rig import Through, converse
from voiceassist_crds.messages import AssistState, StatusReason
from voiceassist_crds.status import PeerReason
from voiceassist_relay.health.model_check import try_model
from voiceassist_sim.openai import RealtimeServer


def headers(model: RealtimeServer) -> list[dict[str, str]]:
    """Azure's models by an address of one's own: for realtime sessions it heeds no custom host of OpenAI's."""
    base = model.ws_url.replace("ws://", "http://").removesuffix("/realtime")
    return [{"name": "x-portkey-provider", "value": "azure-ai"}, {"name": "x-portkey-azure-foundry-url", "value": base}]


@pytest.fixture
async def through(tmp_path: Path) -> AsyncIterator[Through]:
    async with RealtimeServer() as model, portkey(tmp_path) as gateway:
        yield Through(model, gateway, UPSTREAM_KEY, {"name": "gpt-realtime-2.1-mini", "audioFormat": "PCMU", "headers": headers(model)})


async def test_portkey_every_turn_has_its_suggestion_and_the_agents_words_arrive(through: Through) -> None:
    async with through.call() as call:
        await converse(call)
    assert await through.unwell() is None, "the check sends its settings at once: the first event of the session may have been lost"
    (found,) = await try_model(through.snapshot(), patience=60)
    assert (found.turn, found.tool, found.transcribed, found.misread) == (True, True, True, False), found


@pytest.mark.parametrize("wrong", [{"key": "sk-not-known"}, {"name": "gpt-realtime-0"}], ids=["wrong key", "wrong model"])
async def test_portkey_says_nothing_of_a_refusal_and_neither_do_we_guess(through: Through, wrong: dict[str, str]) -> None:
    """It leaves the handshake without an answer where the model refuses."""
    unwell = await through.unwell(**wrong)
    assert unwell is not None
    assert unwell.reason is PeerReason.UNREACHABLE, unwell.message
    assert "key" not in unwell.message


async def test_portkey_without_its_own_header_is_misconfigured(through: Through) -> None:
    unwell = await through.unwell(headers=[])
    assert unwell is not None
    assert unwell.reason is PeerReason.MISCONFIGURED, unwell.message


async def test_portkey_that_is_killed_is_told_of_and_what_was_said_meanwhile_is_answered(through: Through) -> None:
    async with through.call() as call:
        await call.live()
        await through.gateway.kill()
        await call.heard.until(lambda: call.heard.states[-1][0] is AssistState.RECONNECTING, "the loss is told", 90)
        assert call.heard.states[-1][1] is StatusReason.MODEL_UNREACHABLE
        call.ask(speech(1.0))
        await through.gateway.start()
        await call.heard.until(lambda: call.heard.suggestions, "a suggestion", 90)
        assert call.heard.outcomes == ["suggested"]
