"""The model's side of a call when its session breaks, stalls or ends: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from integration.model_client_rig import FRAME, QUICK, SILENCE, calling, digest, ledgers, relay_config, speech
from integration.model_client_words import AGENT, ASKED, CALLS, all_heard, quick, states, turns, whole
from support.load import slowdown
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_relay.realtime.dialer import Dials
from voiceassist_sim.openai import RealtimeServer

pytestmark = pytest.mark.loop("uvloop")  # the hook is for whole folders only


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=quick(), calls=CALLS) as server:
        yield server


# breaks


async def test_a_question_that_a_break_cuts_in_half_is_answered(server) -> None:
    async with calling(server) as call:
        await call.live()
        call.say(SILENCE * 25)
        half = len(ASKED[0].audio) // 2 // FRAME * FRAME
        await call.talk(ASKED[0].audio[:half], speed=2)
        server.drop(kind="realtime")
        await call.talk(ASKED[0].audio[half:] + SILENCE * 40, speed=8)
        await turns(call, 1)
        assert call.heard.outcomes == ["suggested"]
        assert call.heard.suggestions[0].answer == ASKED[0].answer
        last = ledgers(server)[-1]
        assert whole(last.turns[0])
        assert states(call) == [AssistState.LIVE]  # too short to be told
        call.client._conversation.sender.flush()
        assert call.count("customer", "forwarded") == len(call.said[True]) // FRAME
        assert call.count("customer", "replayed") > 0
        assert call.sample("realtime_reconnects_total", reason="closed") == 1


@pytest.mark.parametrize("transcription", [True, False])
async def test_a_turn_whose_response_was_cut_off_is_answered_once(server, transcription) -> None:
    server.behaviour.change({"deltaMs": 30})
    model = {} if transcription else {"transcription": None}
    async with calling(server, config=relay_config(server, model=model)) as call:
        await call.live()
        call.say(SILENCE * 25)
        call.ask(ASKED[0].audio)
        await call.heard.until(lambda: call.heard.drafts, "a draft")
        await call.heard.until(lambda: not transcription or call.heard.final_words(Track.CUSTOMER), "words")
        server.behaviour.change({"deltaMs": 1})
        server.drop(kind="realtime")
        await turns(call, 1)
        assert call.heard.outcomes == ["suggested"]
        assert [item for item, _ in call.heard.withdrawals] == [call.heard.drafts[0][0]]
        (finished,) = call.heard.suggestions
        assert ASKED[0].text in finished.question if transcription else finished.answer == ASKED[0].answer
        call.ask(ASKED[1].audio)
        await turns(call, 2)
        second = ledgers(server)[1]
        assert [each for each in all_heard(server) if each == ASKED[0].id] == [ASKED[0].id] * (1 if transcription else 2)
        assert second.errors == []


async def test_a_replacement_knows_the_conversation_so_far(server) -> None:
    async with calling(server) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        await call.heard.until(lambda: call.heard.final_words(Track.CUSTOMER), "words")
        call.say(AGENT.audio + SILENCE * 40, inbound=False)
        await call.heard.until(lambda: call.heard.final_words(Track.AGENT), "the agent's words")
        await asyncio.sleep(0.1)
        server.drop(kind="realtime")
        sessions = [session for session in await server.wait_for_sessions(3) if session.protocol.kind == "realtime"]
        call.ask(ASKED[1].audio)
        await turns(call, 2)
        items = [(item.role, item.text) for item in sessions[-1].protocol.conversation if item.type == "message"]
        assert items[:3] == [
            ("user", ASKED[0].text),
            ("assistant", ASKED[0].answer),
            ("user", f"Agent: {AGENT.text}"),
        ]
        assert all_heard(server).count(ASKED[0].id) == 1  # committed and answered: not heard again


async def test_without_transcription_the_questions_stand_in_for_the_customer(server) -> None:
    config = relay_config(server, model={"transcription": None})
    async with calling(server, config=config) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        await asyncio.sleep(0.1)
        server.drop()
        await server.wait_for_sessions(2)
        call.ask(ASKED[1].audio)
        await turns(call, 2)
        items = [(item.role, item.text) for item in server.sessions[-1].protocol.conversation if item.type == "message"]
        assert items[:2] == [("user", ASKED[0].question), ("assistant", ASKED[0].answer)]


async def test_the_agents_words_survive_a_break_of_their_own_session(server) -> None:
    async with calling(server) as call:
        await call.live()
        await server.wait_for_sessions(2)
        half = len(AGENT.audio) // 2 // FRAME * FRAME
        call.say(SILENCE * 25, inbound=False)
        await call.talk(AGENT.audio[:half], inbound=False, speed=8)
        server.drop(kind="transcription")
        await call.talk(AGENT.audio[half:] + SILENCE * 40, inbound=False, speed=8)
        await call.heard.until(lambda: call.heard.final_words(Track.AGENT), "the agent's words")
        assert call.heard.final_words(Track.AGENT) == [AGENT.text]


@pytest.mark.parametrize("when", ["connect", "response"])
async def test_an_overdue_session_is_replaced(server, when) -> None:
    async with calling(server) as call:
        await call.live()
        await server.wait_for_sessions(2)
        first = next(session for session in server.sessions if session.protocol.kind == "realtime")
        server.set_faults({"kind": "stall", "when": when, "sessionId": first.id, "deltas": 2})
        call.say(SILENCE * 25)
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert call.heard.outcomes == ["suggested"]
        assert call.sample("realtime_reconnects_total", reason="stalled") == 1
        assert ASKED[0].answer in call.heard.suggestions[0].answer or ASKED[0].text in call.heard.suggestions[0].question


async def test_in_silence_nothing_is_expected(server) -> None:
    async with calling(server) as call:
        await call.live()
        await asyncio.sleep(2.5)  # several times what an owed event may take, and not a frame on the wire
        assert len(server.sessions) == 2
        assert states(call) == [AssistState.LIVE]
        assert ledgers(server)[0].pings >= 3


async def test_a_session_near_its_end_is_replaced_between_turns_by_one_that_is_ready(server) -> None:
    slow = slowdown()
    server.behaviour.change({"sessionSeconds": 3.0 * slow})
    config = relay_config(server, audio={"tracks": "Customer"})
    async with calling(server, config=config) as call:
        await call.live()
        utterances = [each.audio for each in ASKED[:6]]
        for utterance in utterances:
            call.ask(utterance)
            await asyncio.sleep(0.8 * slow)
        await turns(call, 6)
        assert set(call.heard.outcomes) == {"suggested"}
        assert states(call) == [AssistState.LIVE]
        assert len(server.sessions) >= 2
        assert server.sessions[0].closed_by == "client"
        assert server.sessions[1].protocol.ledger.appends > 0
        # The newest session may be open already and not have taken over yet.
        assert call.sample("realtime_reconnects_total", reason="expiring") in {len(server.sessions) - 2, len(server.sessions) - 1} - {0}
        heard = all_heard(server)
        assert [heard.count(each.id) for each in ASKED[:6]] == [1] * 6


async def test_the_agent_is_told_of_a_longer_break(server) -> None:
    async with calling(server) as call:
        await call.live()
        server.set_faults({"kind": "refuse", "status": 503})
        server.drop()
        await call.heard.until(lambda: len(call.heard.states) > 1, "told")
        assert call.heard.states[-1][:2] == (AssistState.RECONNECTING, StatusReason.MODEL_UNREACHABLE)
        call.say(SILENCE * 25)
        call.ask(ASKED[0].audio)
        server.set_faults([])
        await turns(call, 1)
        assert states(call) == [AssistState.LIVE, AssistState.RECONNECTING, AssistState.LIVE]
        assert call.heard.suggestions[0].answer == ASKED[0].answer


async def test_audio_that_waits_is_bounded_and_the_oldest_is_dropped(server) -> None:
    limits = replace(QUICK, replay_seconds=5.0)
    server.set_faults({"kind": "refuse", "status": 503})
    async with calling(server, limits=limits) as call:
        call.say(speech(1.0) + SILENCE * 500)
        tail = b"".join(call.said[True][at : at + FRAME] for at in range(0, len(call.said[True]), FRAME))[-250 * FRAME :]
        server.set_faults([])
        await call.live()
        while ledgers(server)[0].bytes_heard < len(tail):
            await asyncio.sleep(0.01)
        assert ledgers(server)[0].sha256 == digest(tail)
        call.client._conversation.sender.flush()
        assert call.count("customer", "dropped") == 300
        assert call.sample("queue_drops_total", queue="model_audio") == 300


async def test_a_session_is_left_in_the_middle_of_a_sentence_rather_than_lost(server) -> None:
    server.behaviour.change({"sessionSeconds": 3.0})
    limits = replace(QUICK, recycle_from=0.5, recycle_to=0.5, recycle_margin=0.8)
    config = relay_config(server, audio={"tracks": "Customer"})
    spoken = max(ASKED, key=lambda each: each.end_ms - each.start_ms)
    async with calling(server, config=config, limits=limits) as call:
        await call.live()
        server.behaviour.change({"sessionSeconds": 60.0})
        await call.talk(SILENCE * 10 + spoken.audio + SILENCE * 40)
        await turns(call, 1)
        assert [each.answer for each in call.heard.suggestions] == [spoken.answer]
        assert len(server.sessions) == 2
        assert server.sessions[0].closed_by == "client"
        assert not ledgers(server)[0].turns
        assert whole(ledgers(server)[-1].turns[0])
        assert states(call) == [AssistState.LIVE]


async def test_pause_while_there_is_no_session_drops_what_waited_for_one(server) -> None:
    server.behaviour.change({"deltaMs": 50})
    async with calling(server, config=relay_config(server, audio={"tracks": "Customer"})) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await call.heard.until(lambda: call.heard.drafts and call.heard.final_words(Track.CUSTOMER), "a draft")
        server.behaviour.change({"deltaMs": 1})
        server.set_faults({"kind": "refuse", "status": 503})
        server.drop()
        await call.heard.until(lambda: call.heard.withdrawals, "the break")
        call.say(ASKED[1].audio)
        call.client.pause()
        assert call.heard.outcomes == ["paused"]
        server.set_faults([])
        await server.wait_for_sessions(2)
        await asyncio.sleep(0.2)
        assert ledgers(server)[1].bytes_heard == 0
        assert not list(server.sessions[1].protocol.conversation)  # not a word either, before the agent resumes
        call.client.resume()
        call.said[True] = b""
        call.ask(ASKED[2].audio)
        await turns(call, 2)
        assert ledgers(server)[1].sha256 == digest(call.said[True])
        assert ASKED[2].answer in call.heard.suggestions[0].answer


async def test_the_last_words_of_a_call_are_answered_even_if_they_fall_into_a_break(server) -> None:
    async with calling(server, config=relay_config(server, audio={"tracks": "Customer"}), grace=5) as call:
        await call.live()
        server.drop()
        await asyncio.sleep(0)
        call.say(SILENCE * 25 + ASKED[0].audio)
    assert call.heard.outcomes == ["suggested"]
    assert call.heard.suggestions[0].answer == ASKED[0].answer


async def test_only_so_many_sessions_are_dialled_at_once(server) -> None:
    server.set_faults({"kind": "slow", "ms": 50})
    open_now = most = 0

    class Counting(Dials):
        async def __aenter__(self) -> None:
            nonlocal open_now, most
            await super().__aenter__()
            open_now += 1
            most = max(most, open_now)

        async def __aexit__(self, *error: object) -> None:
            nonlocal open_now
            open_now -= 1
            await super().__aexit__(None, None, None)

    dials = Counting(3)
    config = relay_config(server, audio={"tracks": "Customer"})
    async with AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(calling(server, config=config, dials=dials)) for _ in range(12)]
        for call in calls:
            await call.live()
        assert most == 3
        server.drop()
        await server.wait_for_sessions(24)
        assert most == 3
