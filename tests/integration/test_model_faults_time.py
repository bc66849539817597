"""What takes minutes, with the product's own bounds and in virtual time: silence, stalls, a session's life, the patience of dialling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from integration.model_client_rig import SILENCE, Call, calling, digest, prompt, relay_config
from integration.model_client_words import AGENT, ASKED, CALLS, quick
from support.eventually import eventually
from voiceassist_crds.messages import AssistState, StatusReason, Track
from voiceassist_relay.realtime.audio_sender import AudioSender
from voiceassist_relay.realtime.core.limits import DEFAULT_LIMITS
from voiceassist_sim.openai import RealtimeServer

pytestmark = pytest.mark.loop("virtual")

KINDS = ["realtime", "transcription"]
LIMITS = DEFAULT_LIMITS
LATEST = 60.0
"""Virtual seconds within which anything happens; twice the longest patience that we have."""


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=quick(), calls=CALLS) as server:
        yield server


def now() -> float:
    return asyncio.get_running_loop().time()


def of(server: RealtimeServer, kind: str) -> list[Any]:
    return [session for session in server.sessions if session.protocol.kind == kind]


def states(call: Call) -> list[AssistState]:
    return [state for state, _, _ in call.heard.states]


async def both(server: RealtimeServer, call: Call) -> None:
    await call.live()
    await eventually(
        lambda: len(server.sessions) == 2 and all(each.protocol.ledger.updates for each in server.sessions), "both sessions", seconds=LATEST
    )


async def answered(call: Call, server: RealtimeServer) -> None:
    """The call works: a question is answered and the agent's words are heard."""
    turns, words = len(call.heard.turns), len(call.heard.final_words(Track.AGENT))
    call.say(SILENCE * 25)
    call.ask(ASKED[0].audio)
    call.say(AGENT.audio + SILENCE * 40, inbound=False)
    await call.heard.until(lambda: len(call.heard.turns) > turns, "answered", LATEST)
    assert call.heard.outcomes[-1] == "suggested"
    await call.heard.until(lambda: len(call.heard.final_words(Track.AGENT)) > words, "the agent's words", LATEST)


async def test_three_minutes_of_silence_cause_no_reconnect(server) -> None:
    async with calling(server, limits=LIMITS) as call:
        await both(server, call)
        begun = now()
        await asyncio.sleep(180)
        assert now() - begun >= 180
        assert [session.open for session in server.sessions] == [True, True]
        assert states(call) == [AssistState.LIVE]
        assert all(session.protocol.ledger.pings >= 30 for session in server.sessions)  # and yet a dead one would have been noticed
        await answered(call, server)


async def test_audio_is_forgotten_as_soon_as_the_server_answers_a_ping(server, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but three seconds before the pong, and what came since; not only at the next look."""
    monkeypatch.setattr(AudioSender, "trim", lambda _sender, _before: None)
    async with calling(server, limits=LIMITS) as call:
        await both(server, call)
        most = 0
        for _ in range(20 * 50):
            call.say(SILENCE)
            await asyncio.sleep(0.02)
            most = max(most, len(call.client._conversation.sender._buffer))
        assert most <= 50 * (LIMITS.replay_idle + LIMITS.ping_every + 2 * LIMITS.housekeeping) + 25


async def test_audio_that_was_sent_behind_an_unanswered_ping_is_kept(server) -> None:
    """Bytes come, but none that followed the latest ping: as with a pong that is seconds late on its way."""
    async with calling(server, limits=replace(LIMITS, pong=1e6)) as call:
        await both(server, call)
        conversation = call.client._conversation
        connection = conversation._connection
        connection.live.heard = lambda _at: None
        for _ in range(8 * 50):
            call.say(SILENCE)
            await asyncio.sleep(0.02)
            connection._connection.heard_at = now()
        assert len(conversation.sender._buffer) >= 8 * 50
        assert conversation._needed_from(conversation.core, connection, now()) <= connection.live.read_until


@pytest.mark.parametrize("kind", KINDS)
async def test_a_session_that_answers_no_ping_is_replaced_though_nothing_is_expected(server, kind) -> None:
    async with calling(server, limits=LIMITS) as call:
        await both(server, call)
        first = of(server, kind)[0]
        server.set_faults({"kind": "stall", "sessionId": first.id})
        begun = now()
        await eventually(lambda: len(of(server, kind)) == 2, "another session", seconds=LATEST)
        assert now() - begun <= 2 * (LIMITS.ping_every + LIMITS.pong)
        assert call.sample("realtime_reconnects_total", reason="stalled") == 1
        assert len(server.sessions) == 3
        await answered(call, server)


@pytest.mark.parametrize("owed", ["response.created", "delta", "session.updated"])
async def test_an_event_that_is_overdue_is_a_stall_by_itself(server, owed) -> None:
    server.behaviour.change({"deltaMs": 20 if owed == "delta" else 1})
    config = relay_config(server)
    async with calling(server, config=config, limits=replace(LIMITS, ping_every=1e6)) as call:  # no ping tells
        await both(server, call)
        (first,) = of(server, "realtime")
        mute = {"kind": "slow", "ms": 600_000, "sessionId": first.id}  # events wait; pongs do not
        if owed == "delta":
            call.ask(ASKED[0].audio)
            await call.heard.until(lambda: call.heard.drafts, "a draft")
            server.set_faults(mute)
        elif owed == "response.created":
            call.ask(ASKED[0].audio)
            await eventually(lambda: first.protocol.ledger.turns, "the turn", seconds=LATEST)
            server.set_faults(mute)
        else:
            server.set_faults(mute)
            call.client.use(config, prompt(config, "Help the agent in other words."))
        begun = now()
        await eventually(lambda: len(of(server, "realtime")) == 2, "another session", seconds=LATEST)
        assert call.sample("realtime_reconnects_total", reason="stalled") == 1
        assert now() - begun <= LIMITS.first_output + 15
        assert len(of(server, "transcription")) == 1
        if owed != "session.updated":
            await call.heard.until(lambda: call.heard.turns, "the turn is answered", LATEST)
            assert call.heard.outcomes == ["suggested"]
        await answered(call, server)


async def test_a_session_is_replaced_long_before_its_end_and_the_next_one_is_ready_first(server) -> None:
    """Taken from a life of ten minutes: replaced after 500 to 550 s, while the server would have kept it. Both kinds."""
    server.behaviour.change({"sessionSeconds": 600.0})
    async with calling(server, limits=LIMITS) as call:
        await both(server, call)
        begun = now()
        await asyncio.sleep(LIMITS.recycle_from * 600 - 5)
        assert [session.open for session in server.sessions] == [True, True]
        await eventually(lambda: not any(session.open for session in server.sessions[:2]), "the switch", seconds=LATEST)
        assert now() - begun <= LIMITS.recycle_to * 600 + 25
        for kind in KINDS:
            old, new = of(server, kind)
            assert (old.closed_by, old.close_code, new.open) == ("client", 1000, True)
            assert new.protocol.opened_at_ms < old.closed_at_ms
            assert new.protocol.ledger.updates == 1
        assert call.sample("realtime_reconnects_total", reason="expiring") == 2
        assert states(call) == [AssistState.LIVE]
        await answered(call, server)
        assert len(server.sessions) == 4


async def test_the_switch_waits_for_the_turns_end_with_the_next_session_standing_by(server) -> None:
    server.behaviour.change({"sessionSeconds": 600.0, "firstTokenMs": 1500})
    config = relay_config(server, audio={"tracks": "Customer"})
    limits = replace(LIMITS, recycle_from=0.1, recycle_to=0.1)
    spoken = max(ASKED, key=lambda each: len(each.audio))
    async with calling(server, config=config, limits=limits) as call:
        await call.live()
        await asyncio.sleep(59)
        call.said[True] = b""
        await call.talk(SILENCE * 10 + spoken.audio)  # somebody speaks when the time has come
        (old, new) = server.sessions
        assert new.protocol.ledger.updates == 1  # stands by
        assert (new.protocol.ledger.appends, old.open) == (0, True)
        await call.talk(SILENCE * 40)
        await call.heard.until(lambda: call.heard.turns, "the answer", LATEST)
        assert old.protocol.ledger.responses[0].status == "completed"  # the old session's, to its end
        assert [each.answer for each in call.heard.suggestions] == [spoken.answer]
        await eventually(lambda: not old.open, "the switch", seconds=LATEST)
        assert len(server.sessions) == 2
        assert call.heard.withdrawals == []
        call.ask(ASKED[0].audio)
        await call.heard.until(lambda: len(call.heard.turns) == 2, "the next turn", LATEST)
        assert not any(match.utterance.id == spoken.id for turn in new.protocol.ledger.turns for match in turn.heard.matches)
        assert states(call) == [AssistState.LIVE]
        begin = len(call.said[True]) - new.protocol.ledger.bytes_heard
        assert new.protocol.ledger.sha256 == digest(call.said[True][begin:])


async def test_the_agent_is_told_after_two_seconds_what_is_going_on_and_when_it_is_over(server) -> None:
    async with calling(server, limits=LIMITS) as call:
        await both(server, call)
        server.drop()
        await eventually(lambda: len(server.sessions) == 4, "new sessions", seconds=LATEST)
        assert states(call) == [AssistState.LIVE]  # a moment: nobody needs to know
        await asyncio.sleep(LIMITS.stable_after)
        server.set_faults({"kind": "refuse", "status": 503})
        server.drop()
        begun = now()
        await call.heard.until(lambda: len(call.heard.states) > 1, "told", LATEST)
        assert LIMITS.tell_after - 0.1 <= now() - begun <= LIMITS.tell_after + 5
        state, reason, message = call.heard.states[-1]
        assert (state, reason) == (AssistState.RECONNECTING, StatusReason.MODEL_UNREACHABLE)
        assert "answers 503" in message
        assert "30 seconds" in message
        await asyncio.sleep(60)
        server.set_faults([])
        await call.heard.until(lambda: len(call.heard.states) > 2, "over", LATEST)
        assert states(call) == [AssistState.LIVE, AssistState.RECONNECTING, AssistState.LIVE]
        await eventually(lambda: sum(session.open for session in server.sessions) == 2, "both sessions", seconds=LATEST)
        await answered(call, server)
