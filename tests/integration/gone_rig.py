"""For tests of relays that are gone: what the operator tells those that are left, and when an agent's call is live again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from integration.end_to_end_rig import Watch
from support.eventually import eventually
from voiceassist_crds import names
from voiceassist_crds.names import RELAYS_HEADER
from voiceassist_demo.stage import RelayProcess, Stage


def address(relay: RelayProcess) -> str:
    return relay.private.removeprefix("http://")


@asynccontextmanager
async def told(stage: Stage, relays: Sequence[RelayProcess]) -> AsyncIterator[None]:
    """As the operator does, every relay that answers is told who does."""

    async def ask(relay: RelayProcess, answering: str) -> bool:
        try:
            async with asyncio.timeout(1.5), stage.http.get(f"{relay.private}/status", headers={RELAYS_HEADER: answering}) as answer:
                return answer.status == 200
        except (OSError, TimeoutError):
            return False

    async def run() -> None:
        answering = list(relays)
        while True:
            said = ",".join(address(one) for one in answering)
            answers = await asyncio.gather(*(ask(one, said) for one in relays))
            answering = [one for one, well in zip(relays, answers, strict=True) if well]
            await asyncio.sleep(5 if len(answering) == len(relays) else 1)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Ingress:
    """What stands between Twilio and the relays: passes bytes on to one of them, until it dies."""

    def __init__(self, relay: RelayProcess) -> None:
        self._relay: RelayProcess | None = relay
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.dies()
        self._server.close()

    def dies(self) -> None:
        """Every socket is cut, and nothing gets in."""
        self._relay = None
        for writer in list(self._open):
            writer.transport.abort()

    def leads_to(self, relay: RelayProcess) -> None:
        """It is there again."""
        self._relay = relay

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._relay is None:
            writer.transport.abort()
            return
        inner, outer = await asyncio.open_connection("127.0.0.1", self._relay.port)
        self._open |= {writer, outer}
        with contextlib.suppress(OSError):
            await asyncio.wait(
                {asyncio.create_task(_pass_on(reader, outer)), asyncio.create_task(_pass_on(inner, writer))},
                return_when=asyncio.FIRST_COMPLETED,
            )
        for one in (writer, outer):
            self._open.discard(one)
            one.transport.abort()


@contextlib.contextmanager
def unreachable(relay: RelayProcess) -> Iterator[None]:
    """Where this relay was, nothing answers, as where a pod was whose network is gone: a connection is neither made nor refused."""
    host, port = address(relay).rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind((host, int(port)))
        full.listen(0)
        for _ in range(2):  # a backlog of 0 is one connection, and one more that the kernel leaves unanswered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((host, int(port)))
        yield


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


def started_again(watch: Watch, calls: Sequence[dict[str, object]]) -> bool:
    """Whether each agent was told that the stream was lost, and then that it is live."""
    return all(("reconnecting", "StreamLost") in watch.states(call) and watch.states(call)[-1][0] == "live" for call in calls)


async def known(relay: RelayProcess, other: RelayProcess, calls: int) -> None:
    """Waits until another relay has told this one that it has so many calls."""

    def told_calls() -> bool:
        lines = [json.loads(line) for line in relay.child.log.read_text().splitlines()]
        found = [line for line in lines if line.get("event") == "another relay tells its calls" and line["relay"] == address(other)]
        return any(line["calls"] == calls for line in found)

    await eventually(told_calls, what="the other relay's calls are known")


def live_again_at(watch: Watch, call: Mapping[str, Any]) -> float | None:
    """When (epoch seconds) the call's Map first said that a later generation is live."""
    name = names.suggestions_map(call["callSid"])
    of_status = [e for e in watch.events if e["type"] == "sync" and e["uniqueName"] == name and e.get("key") == names.STATUS_KEY]
    return next((float(e["at"]) for e in of_status if e["data"]["state"] == "live" and e["data"]["generation"] > 1), None)
