"""The model's side of a call over real sockets: turns, suggestions, words."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from integration.model_client_rig import (
    FRAME,
    SILENCE,
    calling,
    digest,
    ledgers,
    relay_config,
)
from integration.model_client_words import AGENT, ASKED, CALLS, CHAT, outcomes, quick, turns
from support.load import slowdown
from voiceassist_crds.messages import Track, WithdrawnReason
from voiceassist_relay.realtime.core.audio_time import FRAME as FILL
from voiceassist_relay.realtime.providers import Capabilities, Provider
from voiceassist_sim.openai import RealtimeServer

pytestmark = pytest.mark.loop("uvloop")  # the hook is for whole folders only


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=quick(), calls=CALLS) as server:
        yield server


async def test_a_turn_becomes_a_suggestion_and_every_byte_arrives_once(server) -> None:
    async with calling(server, grace=2) as call:
        call.say(SILENCE * 20)  # before the session stands: buffered, not read in the default format
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        (finished,) = call.heard.suggestions
        assert (finished.question, finished.answer) == (ASKED[0].question, ASKED[0].answer)
        drafts = [answer for item, answer, _ in call.heard.drafts if item == finished.item]
        assert drafts[-1] == finished.answer
        assert all(finished.answer.startswith(draft) for draft in drafts)
        assert len(drafts) > 3
        assert call.heard.final_words(Track.CUSTOMER) == [ASKED[0].text]
        assert outcomes(call) == ["suggested"]
        timing = finished.timing
        moments = [timing.stopped_speaking, timing.committed, timing.requested, timing.created, timing.first_delta, timing.finished]
        assert None not in moments
        assert moments[1:] == sorted(moments[1:])
        (ledger,) = ledgers(server)
        assert ledger.sha256 == digest(call.said[True])
        assert ledger.before_update == 0
        assert ledger.turns[0].heard.exact
        assert ledger.errors == []
        call.client._conversation.sender.flush()
        assert call.count("customer", "forwarded") == len(call.said[True]) // FRAME
    assert call.sample("tokens_total", model="gpt-realtime-2.1-mini", modality="text", direction="output", cached="false") > 0
    assert [session.close_code for session in server.sessions] == [1000, 1000]


async def test_turns_that_overlap_are_answered_one_response_at_a_time(server) -> None:
    server.behaviour.change({"firstTokenMs": 300})
    async with calling(server) as call:
        await call.live()
        (ledger,) = ledgers(server)
        call.ask(ASKED[0].audio)
        await call.heard.until(lambda: ledger.responses, "the first response")
        for utterance in ASKED[1:3]:
            call.ask(utterance.audio)
        await turns(call, 3)
        assert outcomes(call) == ["suggested", "merged", "suggested"]
        answers = " ".join(each.answer for each in call.heard.suggestions)
        assert all(utterance.answer in answers for utterance in ASKED[:3])
        assert ledger.errors == []
        assert len(ledger.responses) == 2


async def test_turns_that_end_before_a_response_begins_are_answered_by_it(server) -> None:
    async with calling(server) as call:
        await call.live()
        for utterance in ASKED[:3]:
            call.ask(utterance.audio)
        await turns(call, 3)
        assert outcomes(call) == ["merged", "merged", "suggested"]
        assert all(utterance.answer in call.heard.suggestions[0].answer for utterance in ASKED[:3])


async def test_small_talk_publishes_nothing(server) -> None:
    async with calling(server) as call:
        await call.live()
        call.ask(CHAT.audio)
        await turns(call, 1)
        assert outcomes(call) == ["not_relevant"]
        assert not call.heard.drafts
        assert not call.heard.suggestions
        assert not call.heard.withdrawals


@pytest.mark.parametrize("style", ["whole", "preamble", "text"])
@pytest.mark.parametrize("phase", [True, False])
async def test_other_shapes_of_answers(server, style, phase) -> None:
    server.behaviour.change({"answerStyle": style, "preamblePhase": phase})
    async with calling(server) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        (finished,) = call.heard.suggestions
        assert finished.answer == ASKED[0].answer
        assert outcomes(call) == ["suggested"]
        assert {item for item, _, _ in call.heard.drafts} <= {finished.item}


async def test_a_call_that_is_cut_by_the_token_limit_is_withdrawn(server) -> None:
    config = relay_config(server, model={"maxOutputTokens": 12})
    async with calling(server, config=config) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert outcomes(call) == ["incomplete"]
        assert not call.heard.suggestions
        assert [reason for _, reason in call.heard.withdrawals] == ([WithdrawnReason.INCOMPLETE] if call.heard.drafts else [])


async def test_the_agents_words_are_placed_by_the_time_at_which_they_were_spoken(server) -> None:
    server.behaviour.change({"transcriptionDelayMs": round(800 * slowdown())})
    async with calling(server) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        call.say(AGENT.audio + SILENCE * 40, inbound=False)
        await asyncio.sleep(0.1)
        call.say(SILENCE * 20)
        call.ask(ASKED[1].audio)
        await turns(call, 2)
        assert not call.heard.final_words(Track.AGENT)  # known only after the customer's next words
        await call.heard.until(lambda: call.heard.final_words(Track.AGENT), "the agent's words")
        assert call.heard.final_words(Track.AGENT) == [AGENT.text]
        conversation = server.sessions[0].protocol.conversation
        while not any(item.text.startswith("Agent: ") for item in conversation):
            await asyncio.sleep(0.01)
        items = list(conversation)
        texts = [item.text for item in items if item.role == "user"]
        assert any(text == f"Agent: {AGENT.text}" for text in texts)
        place = next(index for index, item in enumerate(items) if item.role == "user" and item.text.startswith("Agent: "))
        audio = [index for index, item in enumerate(items) if item.turn is not None]
        assert audio[0] < place < audio[1]
        assert not any(item.role == "system" for item in items)
        (ledger,) = ledgers(server, "transcription")
        assert ledger.sha256 == digest(call.said[False])
        assert call.heard.suggestions[-1].answer == ASKED[1].answer


async def test_a_response_never_waits_for_the_agents_words(server) -> None:
    server.behaviour.change({"transcriptionDelayMs": 2000})
    async with calling(server) as call:
        await call.live()
        call.say(AGENT.audio + SILENCE * 40, inbound=False)
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert outcomes(call) == ["suggested"]
        assert not call.heard.final_words(Track.AGENT)


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-realtime-whisper"])
@pytest.mark.parametrize("known", [True, False])
async def test_an_agent_model_without_turn_detection_is_committed_by_voice_activity(server, model, known, monkeypatch) -> None:
    if not known:  # the relay does not know yet that the model refuses turn detection
        monkeypatch.setattr(Provider, "capabilities", lambda *_: Capabilities(reasoning=True, turn_detection_of_agent=True))
    config = relay_config(server, model={"transcription": {"agentModel": model}})
    async with calling(server, config=config) as call:
        await call.live()
        await call.talk(AGENT.audio + SILENCE * 40, inbound=False, speed=4)
        await call.heard.until(lambda: call.heard.final_words(Track.AGENT), "the agent's words")
        assert " ".join(call.heard.final_words(Track.AGENT)) == AGENT.text
        ledger = ledgers(server, "transcription")[-1]
        assert {turn.committed_by for turn in ledger.turns} == {"client"}
        assert ledger.sha256 == digest(call.said[False])


async def test_a_track_that_falls_silent_on_the_wire_is_filled_with_silence(server) -> None:
    async with calling(server) as call:
        await call.live()
        await call.talk(ASKED[0].audio[-8000:], speed=2)
        await turns(call, 1)
        assert outcomes(call)[0] in {"suggested", "not_relevant"}
        call.client._conversation.sender.flush()
        filled = call.count("customer", "filled")
        assert 20 <= filled <= 40
        (ledger,) = ledgers(server)
        assert ledger.bytes_heard == len(call.said[True]) + filled * FRAME
        assert ledger.sha256 == digest(call.said[True] + base64.b64decode(FILL) * filled)
        await asyncio.sleep(0.3)  # the turn is over: nothing more is filled in
        call.client._conversation.sender.flush()
        assert call.count("customer", "filled") - filled <= 3


async def test_the_rate_cap_lets_turns_merge(server) -> None:
    config = relay_config(server, model={"maxResponsesPerMinute": 1})
    async with calling(server, config=config) as call:
        await call.live()
        for utterance in ASKED[:3]:
            call.ask(utterance.audio)
            await call.heard.until(lambda: call.heard.turns, "the first turn")
        await asyncio.sleep(0.3)
        assert outcomes(call) == ["suggested"]
        assert len(ledgers(server)[0].responses) == 1
    assert outcomes(call) == ["suggested", "dropped", "dropped"]


async def test_the_turn_that_is_open_when_the_stream_ends_is_still_answered(server) -> None:
    async with calling(server, grace=5) as call:
        await call.live()
        call.say(ASKED[0].audio)
    assert outcomes(call) == ["suggested"]
    assert call.heard.suggestions[0].answer == ASKED[0].answer
