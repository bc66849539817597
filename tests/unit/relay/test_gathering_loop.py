"""The relay's event loop: when it pauses, what it does not keep waiting for it, and that it does nothing while nothing comes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from voiceassist_relay.health.endpoints import watch_loop_delay
from voiceassist_relay.server.gathering_loop import GatheringLoop
from voiceassist_relay.server.pacing import WINDOW

BOUND = 0.02
"""Seconds: long, so that one pause is told from a busy machine."""


FRAMES = 500
"""At each look: so many that even a loop that is held up for a second counts as busy."""


class Busy:
    """A loop with many frames: whenever it looks, as many have come again."""

    def __init__(self, loop: GatheringLoop) -> None:
        self.loop, self.looks = loop, 0
        self.pauses: list[float] = []
        loop.on_pause = self.pauses.append
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)

    def _read(self) -> None:
        self.looks += 1
        for _ in self._ours.recv(65536):
            self.loop.frame()
        self._theirs.send(b"f" * FRAMES)

    async def __aenter__(self) -> Busy:
        self.loop.add_reader(self._ours, self._read)
        self._theirs.send(b"f")
        async with asyncio.timeout(30):
            while self.loop._pacing.bound and len(self.pauses) < 3:
                await asyncio.sleep(WINDOW)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.loop.remove_reader(self._ours)
        self._ours.close()
        self._theirs.close()


def run(body: Callable[[GatheringLoop], Awaitable[None]], bound: float = BOUND) -> None:
    with asyncio.Runner(loop_factory=GatheringLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, GatheringLoop)
        loop.gather(bound)
        runner.run(asyncio.wait_for(body(loop), 50))  # type: ignore[arg-type]


def test_gathering_loop_looks_are_a_bound_apart() -> None:
    async def body(loop: GatheringLoop) -> None:
        async with Busy(loop) as busy:
            began, before = time.monotonic(), busy.looks
            await asyncio.sleep(0.5)
            assert (
                busy.looks - before <= (time.monotonic() - began) / BOUND * 2 + 2
            )  # each pause comes after two: the last thing left to do

    run(body)


def test_gathering_loop_without_a_bound_never_pauses() -> None:
    async def body(loop: GatheringLoop) -> None:
        async with Busy(loop) as busy:
            await asyncio.sleep(0.1)
            assert busy.pauses == []
            loop.gather(BOUND)
            while not busy.pauses:
                await asyncio.sleep(0.01)
            loop.gather(0)
            await asyncio.sleep(0.01)
            before = len(busy.pauses)
            await asyncio.sleep(0.2)
            assert len(busy.pauses) == before

    run(body, 0.0)


def test_gathering_loop_a_chain_of_callbacks_is_not_interrupted() -> None:
    """An answer takes many steps through the loop; a pause before each of them would make it late by as many."""

    async def body(loop: GatheringLoop) -> None:
        async with Busy(loop) as busy:
            for _ in range(10):
                await asyncio.sleep(0.005)
                before = len(busy.pauses)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert len(busy.pauses) <= before + 1
                await asyncio.gather(*(asyncio.sleep(0) for _ in range(10)))

    run(body)


def test_gathering_loop_timers_threads_and_signals_wait_for_one_pause_at_most() -> None:
    async def body(loop: GatheringLoop) -> None:
        async with Busy(loop) as busy:
            done: asyncio.Future[int] = loop.create_future()

            def note() -> None:
                if not done.done():
                    done.set_result(len(busy.pauses))

            due = len(busy.pauses)
            loop.call_later(0.001, note)
            assert await done <= due + 2  # one may be over before it is due
            done = loop.create_future()

            def other_thread() -> int:
                before = len(busy.pauses)
                loop.call_soon_threadsafe(note)
                return before

            before = await asyncio.to_thread(other_thread)
            assert await done <= before + 1
            done, due = loop.create_future(), len(busy.pauses)
            loop.add_signal_handler(signal.SIGUSR1, note)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert await done <= due + 1
            loop.remove_signal_handler(signal.SIGUSR1)

    run(body)


def test_gathering_loop_a_pause_is_no_delay() -> None:
    async def body(loop: GatheringLoop) -> None:
        meant = 0.0
        async with Busy(loop):
            for _ in range(30):
                due = loop.time() + 0.011
                await asyncio.sleep(0.011)
                part, late = loop.meant(due), loop.time() - due
                assert part <= late + 0.002  # the loop's clock has milliseconds
                meant += part
            told: list[float] = []
            task = asyncio.create_task(watch_loop_delay(told.append, loop.meant))
            await asyncio.sleep(0)
            time.sleep(0.15)  # a fault, and no pause
            while not told:
                await asyncio.sleep(0.01)
            task.cancel()
        assert meant > 2 * BOUND
        assert told[0] > 0.03

    run(body)


def test_gathering_loop_does_nothing_while_nothing_comes() -> None:
    async def body(loop: GatheringLoop) -> None:
        async with Busy(loop):
            pass
        before = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before < 0.1

    run(body)


@pytest.mark.parametrize("tracks", [1, 2])
def test_gathering_loop_one_call_is_never_kept_waiting(tracks: int) -> None:
    async def body(loop: GatheringLoop) -> None:
        pauses: list[float] = []
        loop.on_pause = pauses.append
        for _ in range(50):
            for _ in range(tracks):
                loop.frame()
            await asyncio.sleep(0.02)
        assert pauses == []

    run(body)


def test_gathering_loop_an_address_is_looked_up_without_waiting_and_a_name_by_others() -> None:
    """aiohttp asks the loop for each address that it connects to; a name may take as long as name servers are silent."""

    async def body(loop: GatheringLoop) -> None:
        at_once = loop.getaddrinfo("127.0.0.1", 9090)  # of no type, as sock_connect asks
        with pytest.raises(StopIteration) as found:
            at_once.send(None)
        assert {one[4] for one in found.value.value} == {("127.0.0.1", 9090)}
        assert ("127.0.0.1", 9090) in [one[4] for one in await loop.getaddrinfo("localhost", 9090, type=socket.SOCK_STREAM)]
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("", "no-such-service")

    run(body, 0)


def test_gathering_loop_connections_ask_it_for_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def looked_up(self: GatheringLoop, host: str, port: int, **more: int) -> list[object]:
        asked.append(host)
        return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, type=more.get("type", 0)) or []

    monkeypatch.setattr(GatheringLoop, "getaddrinfo", looked_up)

    async def body(loop: GatheringLoop) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, server.getsockname())

    run(body, 0)
    assert asked == ["127.0.0.1"]
