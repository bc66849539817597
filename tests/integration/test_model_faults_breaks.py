"""However a session dies, of whichever kind: another takes over, every frame is heard once but for the counted replay, in order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from integration.light_model import LightModel, Peer, payload
from integration.model_client_rig import FRAME, PATIENCE, QUICK, SILENCE, calling
from integration.model_client_words import AGENT, ASKED, CALLS, quick
from support.eventually import eventually
from voiceassist_crds.messages import AssistState, Track
from voiceassist_relay.realtime.core import audio_time
from voiceassist_sim.openai import RealtimeServer

pytestmark = pytest.mark.loop("uvloop")

KINDS = ["realtime", "transcription"]
WAYS: dict[str, Callable[[Peer], None]] = {
    "reset": Peer.cut,
    "end": Peer.end,
    "babble": Peer.babble,
    **{str(code): lambda peer, code=code: peer.close(code, "gone") for code in (1000, 1001, 1011, 1012, 4000)},  # type: ignore[misc]
}
LIMITS = replace(QUICK, replay_idle=0.5, tell_after=5.0)  # breaks that mend before agents would be told, on slow machines too
LAST = b"\xf0" * FRAME
"""A frame that no recording has."""


@pytest.fixture
async def light() -> AsyncIterator[LightModel]:
    async with LightModel() as server:
        yield server


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer(behaviour=quick(), calls=CALLS) as server:
        yield server


def standing(server: LightModel, kind: str) -> list[Peer]:
    return [peer for peer in server.live if peer.kind == kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
async def test_every_frame_is_heard_once_but_for_the_counted_replay(light, way, kind) -> None:
    breaks = 2
    async with calling(light, limits=LIMITS) as call:
        await call.live()
        await eventually(lambda: len(light.live) == 2, "both sessions", seconds=PATIENCE)
        loop, number = asyncio.get_running_loop(), 0

        async def talk(count: int) -> None:
            nonlocal number
            for _ in range(count):
                for inbound in (True, False):
                    call.client.frame(inbound, payload(int(inbound), number, loop.time()), loop.time())
                number += 1
                await asyncio.sleep(0.004)

        for _ in range(breaks):
            await talk(40)
            (old,) = standing(light, kind)
            WAYS[way](old)
            await talk(40)  # goes on while there is no session
            await eventually(lambda old=old: standing(light, kind) not in ([], [old]), "another session", seconds=PATIENCE)
        await talk(20)
        await eventually(
            lambda: all(light.accounts[track].runs[-1][1] == number - 1 for track in (0, 1)), "the last frame", seconds=PATIENCE
        )
        hit, other = (1, 0) if kind == "realtime" else (0, 1)
        assert light.accounts[other].runs == [[0, number - 1]]
        runs = light.accounts[hit].runs
        assert len(runs) == breaks + 1
        assert [light.accounts[track].disordered for track in (0, 1)] == [0, 0]
        assert runs[0][0] == 0
        overlaps = [before[1] + 1 - after[0] for before, after in itertools.pairwise(runs)]
        assert min(overlaps) >= 0, runs  # nothing is missing
        for supervisor in (call.client._conversation, call.client._agent):
            supervisor.sender.flush()
        tracks = {1: "customer", 0: "agent"}
        replayed = call.count(tracks[hit], "replayed")
        assert sum(overlaps) <= replayed <= 2 * breaks * 50  # what was written into a dead socket was heard by nobody, and counts as well
        assert replayed > 0
        assert call.count(tracks[other], "replayed") == 0
        assert [call.count(track, "forwarded") for track in tracks.values()] == [number, number]
        assert [call.count(track, "dropped") for track in tracks.values()] == [0, 0]
        assert call.sample("realtime_reconnects_total", reason="closed") == breaks
        assert [state for state, _, _ in call.heard.states] == [AssistState.LIVE]
    assert [error for error in light.errors if "protocol" not in error] == []


def ledger_audio(server: RealtimeServer, kind: str) -> list[bytes]:
    return [bytes(session.protocol.audio) for session in server.sessions if session.protocol.kind == kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [None, 1001, 1011])
async def test_the_open_turn_is_heard_again_from_its_start_and_nothing_before_it(server, kind, code, monkeypatch) -> None:
    monkeypatch.setattr(audio_time, "AFTER", 10.0)  # a pause of this machine's is no silence of the caller's
    inbound = kind == "realtime"
    first, second = (ASKED[0], ASKED[1]) if inbound else (AGENT, AGENT)
    async with calling(server) as call:
        await call.live()
        await server.wait_for_sessions(2)

        def done() -> int:
            return len(call.heard.turns) if inbound else len(call.heard.final_words(Track.AGENT))

        await call.talk(first.audio + SILENCE * 40, inbound=inbound, speed=10)
        await call.heard.until(lambda: done() == 1, "the first turn")
        committed = len(call.said[inbound])
        await call.talk(SILENCE * 60, inbound=inbound, speed=4)
        begun = len(call.said[inbound])
        half = len(second.audio) // 2 // FRAME * FRAME
        await call.talk(second.audio[:half], inbound=inbound, speed=4)
        server.drop(kind=kind, code=code)
        await call.talk(second.audio[half:] + SILENCE * 60, inbound=inbound, speed=4)
        await call.heard.until(lambda: done() == 2, "the turn that was cut in half")
        call.say(LAST, inbound=inbound)
        await eventually(lambda: ledger_audio(server, kind)[-1].endswith(LAST), "the last frame", seconds=PATIENCE)
        said = call.said[inbound]
        supervisor = call.client._conversation if inbound else call.client._agent
        supervisor.sender.flush()
        track = "customer" if inbound else "agent"
        assert call.count(track, "filled") == 0
        old, new = ledger_audio(server, kind)
        assert old == said[: len(old)]
        assert said.endswith(new), "in order, to the end"
        start = len(said) - len(new)
        assert start <= len(old), "nothing is missing"
        assert committed <= start <= begun + FRAME, "from the turn's start; nothing of what was committed before"
        assert begun - start <= 60 * FRAME
        assert call.count(track, "replayed") * FRAME >= len(old) - start
        assert call.count(track, "forwarded") * FRAME == len(said)
        if inbound:
            assert call.heard.outcomes == ["suggested", "suggested"]
            assert call.heard.suggestions[0].answer == first.answer
            assert call.heard.suggestions[1].answer.endswith(second.answer)  # the stand-in mentions what it was told of the call before
        else:
            assert call.heard.final_words(Track.AGENT) == [first.text, second.text]


async def test_a_break_of_both_sessions_in_one_moment_costs_neither_track_a_word(server) -> None:
    async with calling(server) as call:
        await call.live()
        await server.wait_for_sessions(2)
        call.say(SILENCE * 25)
        call.say(SILENCE * 25, inbound=False)
        half = min(len(ASKED[0].audio), len(AGENT.audio)) // 2 // FRAME * FRAME
        await asyncio.gather(call.talk(ASKED[0].audio[:half], speed=5), call.talk(AGENT.audio[:half], inbound=False, speed=5))
        server.drop()
        await asyncio.gather(
            call.talk(ASKED[0].audio[half:] + SILENCE * 50, speed=5), call.talk(AGENT.audio[half:] + SILENCE * 50, inbound=False, speed=5)
        )
        await call.heard.until(lambda: call.heard.turns and call.heard.final_words(Track.AGENT), "both")
        assert call.heard.suggestions[0].answer == ASKED[0].answer
        assert call.heard.final_words(Track.AGENT) == [AGENT.text]
        assert call.sample("realtime_reconnects_total", reason="closed") == 2
