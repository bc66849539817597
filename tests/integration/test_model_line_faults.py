"""The model's side of a call when the model's side fails: refusals, breaks, stalls, limits. Nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from integration.model_line_rig import FRAME, QUICK, SILENCE, Call, calling, digest, ledgers, relay_config, speech
from integration.test_model_line import AGENT, ASKED, CALLS, quick
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_relay.realtime.dials import Dials
from voiceassist_sim.openai import RealtimeServer

pytestmark = pytest.mark.filterwarnings('ignore:Overriding the "event_loop_policy" fixture')  # the hook is for whole folders only


@pytest.fixture
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The loop that the relay runs on."""
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=quick(), calls=CALLS) as server:
        yield server


async def turns(call: Call, count: int) -> None:
    await call.heard.until(lambda: len(call.heard.turns) >= count, f"{count} turns")


async def failed(call: Call) -> tuple[AssistState, StatusReason, str]:
    await call.heard.until(lambda: call.heard.states and call.heard.states[-1][0] is AssistState.FAILED, "failed")
    async with asyncio.timeout(5):
        await call.task
    return call.heard.states[-1]


def states(call: Call) -> list[AssistState]:
    return [state for state, _, _ in call.heard.states]


def all_heard(server: RealtimeServer) -> list[str]:
    """Utterances that the conversation sessions recognised, in order."""
    return [match.utterance.id for ledger in ledgers(server) for turn in ledger.turns for match in turn.heard.matches]


def whole(turn: Any) -> bool:
    """Whether one utterance was heard from its first to its last byte, each once and in order."""
    (match,) = turn.heard.matches
    return bool(match.exact and match.cut_head == 0 and match.cut_tail == 0)


# refusals are final


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "unauthorized"}, StatusReason.MODEL_REFUSED),
        ({"kind": "forbidden"}, StatusReason.MODEL_REFUSED),
        ({"kind": "refuse", "status": 404}, StatusReason.MODEL_MISCONFIGURED),
        ({"kind": "refuse", "status": 429, "code": "insufficient_quota"}, StatusReason.MODEL_QUOTA),
        ({"kind": "error", "when": "update", "code": "insufficient_quota", "type": "insufficient_quota"}, StatusReason.MODEL_QUOTA),
        ({"kind": "close", "when": "update", "code": 3000, "reason": "invalid_request_error.invalid_api_key"}, StatusReason.MODEL_REFUSED),
    ],
)
async def test_a_refusal_is_final_and_the_agent_is_told_why(server, fault, reason) -> None:
    server.set_faults(fault)
    async with calling(server) as call:
        _, told, message = await failed(call)
        assert told is reason
        assert "administrator" in message
        assert "sk-test" not in message
        attempts = len(server.rejected) + len(server.sessions)
        call.say(SILENCE * 5)  # frames after the end do no harm
        await asyncio.sleep(0.3)
        assert len(server.rejected) + len(server.sessions) == attempts
        assert states(call) == [AssistState.FAILED]
        assert call.sample("realtime_errors_total", code=reason.value) == 1


@pytest.mark.parametrize("as_error", [True, False])
async def test_no_quota_in_the_middle_of_a_call_is_final(server, as_error) -> None:
    async with calling(server) as call:
        await call.live()
        server.set_faults({"kind": "quota", "asError": as_error})
        call.ask(ASKED[0].audio)
        _, reason, _ = await failed(call)
        assert reason is StatusReason.MODEL_QUOTA
        assert call.heard.outcomes == ["failed"]


async def test_a_setting_that_the_server_refuses_is_named(server) -> None:
    server.behaviour.change({"maxInstructionTokens": 0})
    async with calling(server) as call:
        _, reason, message = await failed(call)
        assert reason is StatusReason.MODEL_MISCONFIGURED
        assert "instructions" in message


async def test_a_key_that_was_just_replaced_gets_another_try(server) -> None:
    keys = iter(["old"])
    async with calling(server, config=relay_config(server, audio={"tracks": "Customer"}), key=lambda: next(keys, "sk-test")) as call:
        await call.live()
        assert [each["status"] for each in server.rejected] == [401]
        assert states(call) == [AssistState.LIVE]


async def test_the_agents_session_may_fail_without_harm(server) -> None:
    server.set_faults({"kind": "unauthorized", "session": "transcription"})
    async with calling(server) as call:
        await call.live()
        call.say(AGENT.audio, inbound=False)
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert call.heard.suggestions[0].answer == ASKED[0].answer
        assert states(call) == [AssistState.LIVE]
        assert call.sample("realtime_errors_total", code="agent_track") == 1


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
        call.line._conversation.feed.flush()
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
async def test_a_stalled_session_is_replaced(server, when) -> None:
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


async def test_silence_owes_nothing(server) -> None:
    async with calling(server) as call:
        await call.live()
        await asyncio.sleep(2.5)  # several times what an owed event may take, and not a frame on the wire
        assert len(server.sessions) == 2
        assert states(call) == [AssistState.LIVE]
        assert ledgers(server)[0].pings >= 3


async def test_a_session_near_its_end_is_replaced_between_turns_by_one_that_is_ready(server) -> None:
    server.behaviour.change({"sessionSeconds": 3.0})
    config = relay_config(server, audio={"tracks": "Customer"})
    async with calling(server, config=config) as call:
        await call.live()
        utterances = [each.audio for each in ASKED[:6]]
        for utterance in utterances:
            call.ask(utterance)
            await asyncio.sleep(0.8)
        await turns(call, 6)
        assert set(call.heard.outcomes) == {"suggested"}
        assert states(call) == [AssistState.LIVE]
        assert len(server.sessions) >= 2
        assert server.sessions[0].closed_by == "client"
        assert server.sessions[1].protocol.ledger.appends > 0
        assert call.sample("realtime_reconnects_total", reason="expiring") == len(server.sessions) - 1
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
        call.line._conversation.feed.flush()
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
        call.line.pause()
        assert call.heard.outcomes == ["paused"]
        server.set_faults([])
        await server.wait_for_sessions(2)
        await asyncio.sleep(0.2)
        assert ledgers(server)[1].bytes_heard == 0
        assert not list(server.sessions[1].protocol.conversation)  # not a word either, before the agent resumes
        call.line.resume()
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


# errors within a session


@pytest.mark.parametrize("as_error", [True, False])
async def test_too_many_requests_wait_and_are_asked_again(server, as_error) -> None:
    limits = replace(QUICK, rate_limit_wait=0.3)
    async with calling(server, limits=limits) as call:
        await call.live()
        server.set_faults({"kind": "rate-limit", "next": 1, "asError": as_error})
        begun = asyncio.get_running_loop().time()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert call.heard.outcomes == ["suggested"]
        assert asyncio.get_running_loop().time() - begun >= 0.3
        assert call.sample("realtime_errors_total", code="rate_limit_exceeded") == 1
        assert len(ledgers(server)) == 1


@pytest.mark.parametrize("as_error", [True, False])
async def test_a_server_error_is_retried_once_then_the_session_is_replaced(server, as_error) -> None:
    async with calling(server) as call:
        await call.live()
        server.set_faults({"kind": "server-error", "next": 2, "asError": as_error})
        call.say(SILENCE * 25)
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert call.heard.outcomes == ["suggested"]
        assert call.sample("realtime_reconnects_total", reason="error") == 1
        assert len(ledgers(server)) == 2


@pytest.mark.parametrize("fault", [{"kind": "malformed", "when": "response"}, {"kind": "unknown-events"}, {"kind": "duplicate-ids"}])
async def test_what_cannot_be_read_is_passed_over(server, fault) -> None:
    async with calling(server) as call:
        await call.live()
        server.set_faults(fault)
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        call.ask(ASKED[1].audio)
        await turns(call, 2)
        assert call.heard.outcomes == ["suggested", "suggested"]
        assert [each.answer for each in call.heard.suggestions] == [ASKED[0].answer, ASKED[1].answer]
        if fault["kind"] != "duplicate-ids":
            assert call.sample("unknown_messages_total", peer="model") > 0


async def test_a_failed_transcription_takes_nothing_from_the_suggestions(server) -> None:
    server.set_faults({"kind": "transcription-failed"})
    async with calling(server) as call:
        await call.live()
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert call.heard.suggestions[0].answer == ASKED[0].answer
        await call.heard.until(
            lambda: call.sample("realtime_errors_total", code="transcription_failed") == 1 or call.heard.words, "counted"
        )


async def test_a_flapping_model_is_dialled_with_patience(server) -> None:
    async with calling(server, config=relay_config(server, audio={"tracks": "Customer"})) as call:
        await call.live()
        server.set_faults({"kind": "drop", "ms": 1})
        await asyncio.sleep(1.5)
        server.set_faults([])
        assert 5 <= len(server.sessions) <= 40  # 0.05 s and a little between two tries, as the limits of this test have it
        call.say(SILENCE * 25)
        call.ask(ASKED[0].audio)
        await turns(call, 1)
        assert ASKED[0].answer in call.heard.suggestions[0].answer
