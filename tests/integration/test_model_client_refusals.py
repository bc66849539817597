"""The model's side of a call when the model refuses or errs within a session: what is final, what is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from integration.model_client_rig import QUICK, SILENCE, calling, ledgers, relay_config, speech
from integration.model_client_words import AGENT, ASKED, CALLS, failed, quick, states, turns
from voiceassist_crds.messages import AssistState, StatusReason
from voiceassist_sim.openai import RealtimeServer

pytestmark = pytest.mark.loop("uvloop")  # the hook is for whole folders only


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=quick(), calls=CALLS) as server:
        yield server


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
        assert [state for state in states(call) if state is not AssistState.RECONNECTING] == [AssistState.FAILED]
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


async def test_an_agents_track_that_is_refused_is_told_and_suggestions_go_on(server) -> None:
    """The vendor takes no model in the address of a transcription session; a gateway may say what it likes in its place."""
    config = relay_config(server, model={"transcription": {"agentQuery": "IntentAndModel"}})
    async with calling(server, config=config) as call:
        await call.heard.until(lambda: call.heard.tracks, "told of the agent's track")
        assert call.heard.tracks[-1] is not None and "model parameter" in call.heard.tracks[-1]
        await call.heard.until(lambda: any(reason is StatusReason.AGENT_TRACK_LOST for _, reason, _ in call.heard.states), "told the agent")
        call.ask(speech(1.0))
        await call.heard.until(lambda: call.heard.suggestions, "a suggestion")
        assert len(server.rejected) == 1  # and not once more before a minute is over
        assert call.sample("realtime_errors_total", code="agent_track") == 1
