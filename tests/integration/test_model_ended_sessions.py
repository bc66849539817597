"""What a model session leaves behind once it is over: nothing that waits for the collector, and nothing that breaks its successor."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from integration.light_model import LightModel, Manner, payload
from integration.model_client_rig import PATIENCE, Call, calling, relay_config
from support.eventually import eventually
from voiceassist_relay.realtime.session_connection import SessionConnection
from voiceassist_relay.realtime.websocket import ModelConnection

pytestmark = pytest.mark.loop("uvloop")


@pytest.fixture
async def server() -> AsyncIterator[LightModel]:
    async with LightModel() as server:
        yield server


def alive() -> int:
    """Links and connections that are in memory: those in use, and those that only the collector would free."""
    return sum(isinstance(thing, SessionConnection | ModelConnection) for thing in gc.get_objects())


def cut(server: LightModel, call: Call) -> None:
    server.drop()


def replaced(server: LightModel, call: Call) -> None:
    call.client._conversation.replace("expiring", now=True)


@pytest.mark.parametrize("how", [cut, replaced])
async def test_a_session_that_is_over_is_freed_without_the_collector(server, how) -> None:
    """A call of an hour has few others around it: what its sessions left in rings would lie there, and its memory would not be flat."""
    async with calling(server, config=relay_config(server, audio={"tracks": "Customer"})) as call:
        await call.live()
        gc.collect()
        gc.disable()
        try:
            before = alive()
            for number in range(5):
                sessions = len(server.opened)
                how(server, call)
                await eventually(
                    lambda sessions=sessions: len(server.opened) > sessions and len(server.live) == 1,
                    f"session {number + 2}",
                    seconds=PATIENCE,
                )
            await asyncio.sleep(0.1)
            assert alive() == before
        finally:
            gc.enable()


async def test_a_session_that_ends_in_the_moment_in_which_it_stands_is_replaced(server) -> None:
    """Its end is known before it is taken: frames written to it go nowhere, and the next session gets them."""
    server.manner = Manner(lives=0.0)
    async with calling(server, config=relay_config(server, audio={"tracks": "Customer"})) as call:
        await eventually(lambda: len(server.opened) >= 3, "three of them", seconds=PATIENCE)
        server.manner = Manner()
        await eventually(lambda: len(server.live) == 1, "a session that stays", seconds=PATIENCE)
        loop = asyncio.get_running_loop()
        for number in range(10):
            call.client.frame(True, payload(1, number, loop.time()), loop.time())
        await eventually(lambda: 1 in server.accounts and server.accounts[1].runs[-1][1] == 9, "audio", seconds=PATIENCE)


async def test_a_connection_that_is_gone_takes_bytes_and_writes_none(server) -> None:
    async with calling(server, config=relay_config(server, audio={"tracks": "Customer"})) as call:
        await call.live()
        connection = call.client._conversation._connection
        assert connection is not None
        server.drop()
        await eventually(lambda: connection.over is not None, "its end", seconds=PATIENCE)
        await asyncio.sleep(0.05)
        connection.writer(b"frame")
        connection.send(b"{}")
        await connection.close()
