"""A relay process between streams of this process and light model servers in processes of their own."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from integration import light_model
from integration.light_model import payload
from load.flood.wire import Account, Stream
from load.soak.run import total
from voiceassist_demo.stage import Stage, write_whole

LANES = 20
"""Streams that begin at a time."""
PATIENCE = 900.0
MOST_UNHEARD = 4.0


class Program:
    """A light model server as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.url, self._asking = process, "", asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls, port: int, manner: dict[str, float]) -> AsyncIterator[Program]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(Path(light_model.__file__)), str(port), json.dumps(manner)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        program = cls(process)
        program.url = json.loads(await program._line())["listening"]
        try:
            yield program
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    async def ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        async with self._asking:
            self.process.stdin.write(word.encode() + b"\n")
            return json.loads(await self._line())

    async def stand(self, sessions: int) -> float:
        """Waits until so many sessions were opened since the last `reset`; the seconds that it took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while (opened := await self.ask("opened")) < sessions:
            assert loop.time() - begun < PATIENCE, f"{opened} of {sessions} sessions after {PATIENCE:.0f} s"
            await asyncio.sleep(0.05)
        return loop.time() - begun

    async def _line(self) -> bytes:
        assert self.process.stdout is not None
        return await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)


class Caller(asyncio.Protocol):
    """Twilio's side of one call."""

    def __init__(self, number: int, account: Account) -> None:
        self.number, self.said, self._stream, self._head = number, -1, Stream(account), b""
        self.let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._stream.upgrade())

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self.let_in.done() and b"\r\n\r\n" in self._head:
            if self._head.startswith(b"HTTP/1.1 101"):
                self._transport.write(self._stream.opening())
                self.let_in.set_result(None)
            else:
                self.let_in.set_exception(ConnectionError(self._head[:60].decode()))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if not self.let_in.done():
            self.let_in.set_exception(ConnectionError("closed before 101"))

    def speak(self, now: float) -> None:
        """One frame; none where the relay has ended the stream (`lost`)."""
        if self.lost or self._transport.is_closing():
            return
        self.said += 1
        self._transport.write(self._stream.media(payload(self.number, self.said, now).decode()))


class Callers:
    """All calls of the relay."""

    def __init__(self, stage: Stage) -> None:
        self.all: list[Caller] = []
        self.quiet = False
        self._account, self._port = Account(stage.account.account_sid, stage.account.auth_token), stage.relay.port

    async def begin(self, count: int) -> None:
        """So many calls more, some at a time."""
        left = iter(range(len(self.all), len(self.all) + count))

        async def lane() -> None:
            for number in left:
                caller = Caller(number, self._account)
                await asyncio.get_running_loop().create_connection(lambda caller=caller: caller, "127.0.0.1", self._port)  # type: ignore[misc]
                async with asyncio.timeout(PATIENCE):
                    await caller.let_in
                self.all.append(caller)

        await asyncio.gather(*(lane() for _ in range(LANES)))
        self.all.sort(key=lambda caller: caller.number)

    async def talk(self, others: int, program: Program | None = None) -> None:
        """The first `others` calls at their full pace, the herd a frame a second each, until they are to be `quiet`.

        A tick that comes late is not made up for: on a machine with other work calls talk more slowly. With the server that the others
        are on (`program`), nobody speaks while MOST_UNHEARD seconds of theirs are under way, as a machine that is too slow for all the
        frames of real time would fall behind ever more.
        """
        loop, tick = asyncio.get_running_loop(), 0
        while not self.quiet:
            tick += 1
            begun = loop.time()
            for caller in [*self.all[:others], *self.all[others + tick % 50 :: 50]]:
                caller.speak(loop.time())
            if program is not None and tick % 10 == 0:
                said = sum(caller.said + 1 for caller in self.all[:others])
                while said - await program.ask("heard") > others * MOST_UNHEARD * 50:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(max(0.0, begun + 0.02 - loop.time()))


@asynccontextmanager
async def many_files() -> AsyncIterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def use(stage: Stage, url: str) -> None:
    """Calls that begin from now on speak to this model."""
    config = stage.config(model={"url": url})
    write_whole(stage.relay.config, config.to_json())
    async with asyncio.timeout(30):
        while total(await stage.metrics(), "config_info", revision=config.config_revision) != 1:
            await asyncio.sleep(0.1)
