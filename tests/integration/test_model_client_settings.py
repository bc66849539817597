"""A model client's settings over real sockets: pause, roll-out, other prompts, models and tracks, providers, TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from integration.model_client_rig import (
    FRAME,
    SILENCE,
    calling,
    digest,
    ledgers,
    patient,
    prompt,
    relay_config,
    self_signed,
    speech,
)
from integration.model_client_words import AGENT, ASKED, CALLS, CHAT, outcomes, quick, turns
from support.eventually import eventually
from voiceassist_crds.messages import AssistState, StatusReason, Track, WithdrawnReason
from voiceassist_relay.realtime.core import audio_time
from voiceassist_sim.openai import RealtimeServer

pytestmark = pytest.mark.loop("uvloop")  # the hook is for whole folders only


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=quick(), calls=CALLS) as server:
        yield server


async def test_pause_keeps_every_byte_from_the_model(server, monkeypatch) -> None:
    monkeypatch.setattr(audio_time, "AFTER", 60.0)  # speech stays open for as long as a slow machine takes to the pause
    server.behaviour.change({"firstTokenMs": 60_000})  # however slow the machine is, the pause comes first
    async with calling(server, limits=replace(patient(), first_output=60)) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        call.ask(CHAT.audio)
        await call.heard.until(lambda: len(call.heard.final_words(Track.CUSTOMER)) == 2, "both turns committed")
        call.say(ASKED[1].audio[:16000])  # speech is open, a response is being written, a turn waits
        (ledger,) = ledgers(server)
        heard = digest(call.said[True])
        await eventually(lambda: ledger.sha256 == heard, "the model has heard it")
        call.client.pause()
        assert outcomes(call) == ["merged", "paused"]
        spoken = call.said[True]
        call.say(speech(1.0))
        call.say(AGENT.audio, inbound=False)
        await asyncio.sleep(0.3)
        assert ledger.sha256 == digest(spoken)
        assert [each.bytes_heard for each in ledgers(server, "transcription")] == [0]
        assert ledger.cleared == 1
        assert ledger.responses[0].status == "cancelled"
        call.said[True] = spoken
        call.client.resume()
        server.behaviour.change({"firstTokenMs": 10})
        call.ask(ASKED[2].audio)
        await turns(call, 3)
        assert outcomes(call)[2] == "suggested"
        assert call.heard.suggestions[-1].answer.endswith(ASKED[2].answer)
        assert ledger.sha256 == digest(call.said[True])
        call.client._conversation.sender.flush()
        assert call.count("customer", "paused") == 50
        assert ledger.errors == []


async def test_a_draft_on_the_screen_is_withdrawn_by_pause(server) -> None:
    server.behaviour.change({"deltaMs": 50})
    async with calling(server) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await call.heard.until(lambda: call.heard.drafts, "a draft")
        call.client.pause()
        assert call.heard.withdrawals == [(call.heard.drafts[-1][0], WithdrawnReason.PAUSED)]
        assert outcomes(call) == ["paused"]
        await asyncio.sleep(0.2)
        assert not call.heard.suggestions


async def test_a_call_that_begins_paused_sends_nothing_before_it_is_resumed(server) -> None:
    async with calling(server, paused=True) as call:
        call.say(speech(0.5))
        await server.wait_for_sessions(2)
        await asyncio.sleep(0.2)
        assert not call.heard.states
        assert [ledger.bytes_heard for ledger in ledgers(server)] == [0]
        call.said[True] = b""
        call.client.resume()
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert ledgers(server)[0].sha256 == digest(call.said[True])


async def test_another_prompt_takes_effect_between_responses(server) -> None:
    server.behaviour.change({"firstTokenMs": 200})
    config = relay_config(server)
    async with calling(server, config=config) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        (ledger,) = ledgers(server)
        await call.heard.until(lambda: call.heard.final_words(Track.CUSTOMER), "the turn")
        new = prompt(config, "Help the agent.\nPrefix: Please note:")
        call.client.use(config, new)
        await turns(call, 1)
        assert ledger.updates == 1 or call.heard.suggestions  # not before the response ended
        call.ask(ASKED[1].audio)
        await turns(call, 2)
        first, second = call.heard.suggestions
        assert (first.revision, first.answer) == (config.prompts[0].revision, ASKED[0].answer)
        assert (second.revision, second.answer) == (new.revision, f"Please note: {ASKED[1].answer}")
        assert ledger.updates == 2
        assert len(server.sessions) == 2


async def test_another_model_needs_another_session(server) -> None:
    config = relay_config(server)
    async with calling(server, config=config) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        other = relay_config(server, model={"name": "gpt-realtime-2.1"})
        call.client.use(other, other.prompts[0])
        await server.wait_for_sessions(3)
        await call.heard.until(lambda: not server.sessions[0].open or call.heard.states, "the switch")
        await asyncio.wait_for(server.sessions[0].done.wait(), 5)
        call.ask(ASKED[1].audio)
        await turns(call, 2)
        assert ASKED[1].answer in call.heard.suggestions[-1].answer
        assert [state for state, _, _ in call.heard.states] == [AssistState.LIVE]
        assert call.sample("realtime_reconnects_total", reason="configuration") == 1


async def test_tracks_can_change_during_a_call(server) -> None:
    both = relay_config(server)
    customer = relay_config(server, audio={"tracks": "Customer"})
    async with calling(server, config=customer) as call:
        await call.live()
        assert len(server.sessions) == 1
        call.client.use(both, both.prompts[0])
        await server.wait_for_sessions(2)
        call.say(AGENT.audio + SILENCE * 40, inbound=False)
        await call.heard.until(lambda: call.heard.final_words(Track.AGENT), "the agent's words")
        call.client.use(customer, customer.prompts[0])
        await asyncio.wait_for(server.sessions[1].done.wait(), 5)


async def test_customer_only_opens_no_second_session(server) -> None:
    config = relay_config(server, audio={"tracks": "Customer"})
    async with calling(server, config=config, grace=2) as call:
        await call.live()
        call.say(AGENT.audio, inbound=False)
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert len(server.sessions) == 1
    assert call.count("agent", "unused") == -(-len(AGENT.audio) // FRAME)
    assert call.count("agent", "forwarded") == 0


async def test_without_transcription_the_tools_question_is_all_there_is(server) -> None:
    config = relay_config(server, model={"transcription": None})
    async with calling(server, config=config) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert len(server.sessions) == 1
        assert call.heard.suggestions[0].question == ASKED[0].question
        assert not call.heard.words


async def test_azure(server) -> None:
    server.behaviour.change({"apiKeys": ["azure-key"], "deployments": {"talk": "gpt-realtime-2.1", "hear": "gpt-transcribe"}})
    model = {"provider": "AzureOpenAI", "url": server.url, "name": "talk", "transcription": {"model": "hear", "agentModel": "hear"}}
    async with calling(server, config=relay_config(server, model=model), key="azure-key") as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        await server.wait_for_sessions(2)
        about = {session.protocol.kind: session.about for session in server.sessions}
        assert {each["path"] for each in about.values()} == {"/openai/v1/realtime"}
        assert about["realtime"]["query"] == {"model": "talk"}
        assert about["transcription"]["query"] == {"intent": "transcription"}
        assert all("api-key" in each["headers"] and "authorization" not in each["headers"] for each in about.values())
        assert outcomes(call) == ["suggested"]


async def test_a_compatible_server_with_a_header_of_its_own() -> None:
    async with RealtimeServer(behaviour=quick(), calls=CALLS, compatible_path="/api/realtime", compatible_header="X-API-Key") as server:
        model = {"provider": "Compatible", "url": f"{server.url}/api/realtime", "authHeader": "X-API-Key"}
        async with calling(server, config=relay_config(server, model=model)) as call:
            await call.live()
            assert server.sessions[0].about["path"] == "/api/realtime"
            assert "x-api-key" in server.sessions[0].about["headers"]
            assert "openai-beta" not in server.sessions[0].about["headers"]


async def test_a_model_of_the_first_generation_gets_no_reasoning(server) -> None:
    async with calling(server, config=relay_config(server, model={"name": "gpt-realtime-1.5"})) as call:
        await call.live()
        assert ledgers(server)[0].errors == []
        assert ledgers(server)[0].updates == 1


async def test_over_tls_only_with_a_certificate_that_can_be_trusted(tmp_path) -> None:
    certificate, key = self_signed(tmp_path)
    async with RealtimeServer(behaviour=quick(), calls=CALLS, tls=(certificate, key)) as server:
        config = relay_config(server, audio={"tracks": "Customer"})
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with calling(server, config=config, tls=lambda: trusting) as call:
            await call.live()
            call.ask(ASKED[0].audio)
            await turns(call, 1)
            assert outcomes(call) == ["suggested"]
            assert ledgers(server)[0].sha256 == digest(call.said[True])
        async with calling(server, config=config) as call:
            await call.heard.until(lambda: call.heard.states, "told")
            state, reason, message = call.heard.states[0]
            assert (state, reason) == (AssistState.RECONNECTING, StatusReason.MODEL_MISCONFIGURED)
            assert "certificate that cannot be trusted" in message
            assert len(server.sessions) == 1
