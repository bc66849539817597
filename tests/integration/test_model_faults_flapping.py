"""A model that comes and goes: how often it is dialled, and that the call goes on. Virtual time, the product's bounds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from integration.light_model import LightModel, Manner, payload
from integration.model_client_rig import Call, calling, relay_config
from support.eventually import eventually
from voiceassist_crds.messages import AssistState
from voiceassist_relay.realtime.core.conversation import ConversationSession
from voiceassist_relay.realtime.core.limits import DEFAULT_LIMITS

pytestmark = pytest.mark.loop("virtual")

LIMITS = DEFAULT_LIMITS
WAITS = [min(LIMITS.backoff_cap, LIMITS.backoff_base * 2**attempt) for attempt in range(40)]
"""The most that is waited before each try, jitter apart."""


@pytest.fixture
async def server() -> AsyncIterator[LightModel]:
    async with LightModel(clock=asyncio.get_running_loop().time) as server:
        yield server


def gaps(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


def one_track(server: LightModel) -> dict[str, object]:
    return {"config": relay_config(server, audio={"tracks": "Customer"}), "limits": LIMITS}


async def still_works(server: LightModel, call: Call) -> None:
    """A second of audio arrives, whole."""
    await eventually(lambda: len(server.live) == 1, "a session", seconds=120)
    loop = asyncio.get_running_loop()
    for number in range(50):
        call.client.frame(True, payload(7, number, loop.time()), loop.time())
    await eventually(lambda: 7 in server.accounts and server.accounts[7].runs[-1][1] == 49, "audio", seconds=120)
    assert server.accounts[7].disordered == 0
    assert server.errors == []


@pytest.mark.parametrize(
    "manner",
    [Manner(lives=0.0), Manner(lives=3.0), Manner(refuse=503), Manner(answer=1e6)],
    ids=["dies-at-once", "dies-soon", "refuses", "never-ready"],
)
async def test_a_model_that_comes_and_goes_is_dialled_ever_more_seldom(server, manner) -> None:
    """Ten minutes of it cost a few dozen dials; the call goes on when it is over."""
    server.manner = manner
    async with calling(server, **one_track(server)) as call:
        await asyncio.sleep(600)
        between = gaps(server.dials)
        expected = [wait / 2 for wait in WAITS[0 if manner.lives is not None else 1 :]]
        assert all(gap >= wait * 0.98 for gap, wait in zip(between, expected, strict=False)), between
        assert between[9] >= LIMITS.backoff_cap / 2 * 0.98
        assert 10 <= len(server.dials) <= 600 / (LIMITS.backoff_cap / 2) + 10
        server.manner = Manner()
        await call.heard.until(lambda: call.heard.states[-1][0] is AssistState.LIVE and len(server.live) == 1, "live again", 120)
        await still_works(server, call)
    assert server.peers == [] or not server.live


async def test_only_a_session_that_lasts_lets_the_patience_begin_anew(server) -> None:
    """Refused, taken and thrown out, refused again: one story. After a session that lasted, the next break is another one."""
    server.manner = Manner(refuse=503)
    async with calling(server, **one_track(server)) as call:
        await eventually(lambda: len(server.dials) == 6, "refused", seconds=120)
        server.manner = Manner(lives=1.0)
        await eventually(lambda: len(server.opened) == 1, "taken", seconds=120)
        await eventually(lambda: not server.live, "thrown out", seconds=120)
        server.manner = Manner(refuse=503)
        await eventually(lambda: len(server.dials) == 9, "refused again", seconds=120)
        after = gaps(server.dials)[6:]
        assert all(gap >= LIMITS.backoff_cap / 2 * 0.98 for gap in after), after
        server.manner = Manner()
        await eventually(lambda: len(server.live) == 1, "taken again", seconds=120)
        await asyncio.sleep(LIMITS.stable_after + 1)
        dropped = asyncio.get_running_loop().time()
        server.drop()
        await eventually(lambda: len(server.live) == 1, "a short break", seconds=120)
        assert server.dials[-1] - dropped < LIMITS.backoff_cap / 2 * 0.5
        await still_works(server, call)


async def test_a_spare_that_dies_while_it_stands_by_is_replaced_with_patience(server, monkeypatch) -> None:
    """The next session is sought long before the present one ends: a model that flaps then costs the call nothing, and few dials."""
    limits = replace(LIMITS, session_life=1000.0, recycle_from=0.1, recycle_to=0.1)
    options = one_track(server) | {"limits": limits}
    ended = False
    monkeypatch.setattr(ConversationSession, "at_turns_end", property(lambda _: ended))  # a turn that takes its time
    async with calling(server, **options) as call:
        await call.live()
        (first,) = server.live
        await asyncio.sleep(99)
        server.manner = Manner(lives=0.0)
        await asyncio.sleep(301)
        assert first in server.live
        assert 8 <= len(server.dials) <= 300 / (LIMITS.backoff_cap / 2) + 12
        ended = True
        server.manner = Manner()
        await eventually(lambda: len(server.live) == 1 and first not in server.live, "the switch", seconds=120)
        assert [state for state, _, _ in call.heard.states] == [AssistState.LIVE]
        await still_works(server, call)


async def test_what_the_server_asks_for_is_heeded_and_those_who_were_asked_at_once_do_not_come_back_at_once(server) -> None:
    server.manner = Manner(refuse=429, retry_after=20)
    chances = [0.0, 0.25, 0.5, 0.75, 0.99]
    async with AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(calling(server, **one_track(server), chance=lambda c=c: c)) for c in chances]
        await eventually(lambda: len(server.dials) == len(chances), "refused", seconds=120)
        first = min(server.dials)  # on a busy machine they are dialled one after the other
        server.manner = Manner()
        await eventually(lambda: len(server.live) == len(chances), "all taken", seconds=120)
        again = server.dials[len(chances) :]
        assert len(again) == len(chances)
        assert min(again) - first >= 20 * 0.98
        assert max(again) - min(again) >= 20 / 4 * 0.6, again
        for call in calls:
            await call.live()


async def test_a_session_that_breaks_is_redialled_after_a_moment_of_chance(server) -> None:
    """Calls whose sessions break in one moment do not dial in one moment."""
    chances = [0.1, 0.3, 0.5, 0.7, 0.9]
    async with AsyncExitStack() as stack:
        for chance in chances:
            await stack.enter_async_context(calling(server, **one_track(server), chance=lambda c=chance: c))
        await eventually(lambda: len(server.live) == len(chances), "live", seconds=120)
        await asyncio.sleep(LIMITS.stable_after + 1)
        server.dials.clear()
        broken = asyncio.get_running_loop().time()
        server.drop()
        await eventually(lambda: len(server.live) == len(chances), "live again", seconds=120)
        for chance, dialled in zip(chances, server.dials, strict=True):
            assert dialled - broken >= chance * LIMITS.backoff_base * 0.98
