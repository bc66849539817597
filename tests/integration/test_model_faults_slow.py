"""A model that is slow for one call only: that call is bounded and its losses are counted, every frame of the others arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from integration.light_model import LightModel, Manner, payload
from integration.model_client_rig import PATIENCE, QUICK, Call, calling, relay_config
from support.eventually import eventually

pytestmark = pytest.mark.loop("uvloop")

FRAMES = 600
OTHERS = 5
LIMITS = replace(QUICK, replay_seconds=4.0, pong=60.0)  # 200 frames wait at most; slow, and yet not taken for dead


@pytest.fixture
async def server() -> AsyncIterator[LightModel]:
    server = LightModel()
    server.receive_buffer = 8192
    async with server:
        yield server


def written_at_most(call: Call, characters: int) -> bool:
    """Whether no more than so many bytes wait in the call's socket."""
    connection = call.client._conversation._connection
    assert connection is not None
    return connection._connection._stream.get_write_buffer_size() <= characters  # type: ignore[union-attr]


async def talk(calls: list[Call]) -> None:
    """All calls speak at the same time, ten times as fast as people do."""
    loop = asyncio.get_running_loop()
    for number in range(FRAMES):
        for index, call in enumerate(calls):
            call.client.frame(True, payload(index, number, loop.time()), loop.time())
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("manner", [Manner(handshake=1.5), Manner(answer=0.7), Manner(reads=False)], ids=["handshake", "answer", "reads"])
async def test_only_the_slow_call_is_affected(server, manner) -> None:
    server.manners["sk-slow"] = manner
    config = relay_config(server, audio={"tracks": "Customer"})
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(calling(server, config=config, key="sk-slow", limits=LIMITS))
        others = [await stack.enter_async_context(calling(server, config=config, limits=LIMITS)) for _ in range(OTHERS)]
        for call in others:
            await call.live()
        if not manner.reads:
            await slow.live()
            connection = slow.client._conversation._connection
            assert connection is not None
            async with asyncio.timeout(PATIENCE):
                while connection.writable:  # until the kernel's buffers are full
                    connection.send(b'{"type":"input_audio_buffer.clear","event_id":"' + b"x" * 1000 + b'"}')
                    await asyncio.sleep(0)
        await talk([*others, slow])
        await eventually(
            lambda: sum(server.accounts[n].runs[-1][1] == FRAMES - 1 for n in range(OTHERS)) == OTHERS, "all frames", seconds=PATIENCE
        )
        for index, call in enumerate(others):
            account = server.accounts[index]
            assert (account.runs, account.disordered) == ([[0, FRAMES - 1]], 0)
            call.client._conversation.sender.flush()
            assert call.count("customer", "forwarded") == FRAMES
            assert call.count("customer", "dropped") == 0
        kept = int(LIMITS.replay_seconds * 50)
        if manner.reads:
            await slow.live()
            accounts = server.accounts
            await eventually(lambda: OTHERS in accounts and accounts[OTHERS].runs[0][1] == FRAMES - 1, "what was kept", seconds=PATIENCE)
            (run,) = accounts[OTHERS].runs
            assert accounts[OTHERS].disordered == 0
            lost = run[0]
        else:
            assert written_at_most(slow, 3 * LIMITS.write_buffer_bytes)
            lost = None
        slow.client._conversation.sender.flush()
        dropped = slow.count("customer", "dropped")
        assert len(slow.client._conversation.sender._buffer) <= kept + 50  # the ring is shortened once in 50 frames
        assert dropped == lost if lost is not None else dropped > 0
        assert slow.sample("queue_drops_total", queue="model_audio") == dropped
        assert server.errors == []
