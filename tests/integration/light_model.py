"""A light model server for tests with many sessions: a strict reader of frames that keeps an account of each call's audio.

It knows sessions, not speech: it answers `session.update`, counts appended frames, and pings back. Frames carry their call's number,
their own number and the moment at which they were handed over (`payload`), so that each lost, doubled or late one is seen.

As a program: `light_model.py PORT MANNER` with the manner as JSON; prints one line of JSON when ready, and one for each word on its
standard input: `drop` (cuts all connections), `manner JSON` (from now on),
`deaf` (one session is no longer read), `opened` (how many sessions), `heard` (how many frames), `report`, `reset` (forgets the
handshakes and delays told so far).
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

_HEAD = struct.Struct(">IId")  # call, number, moment
_APPEND = b'{"type":"input_audio_buffer.append","audio":"'


def payload(call: int, number: int, moment: float) -> bytes:
    """One frame of 160 bytes as base64."""
    return base64.b64encode(_HEAD.pack(call, number, moment).ljust(160, b"\x7f"))


@dataclass
class Manner:
    """How the server treats a session."""

    handshake: float = 0.0
    """Seconds before 101."""
    answer: float = 0.0
    """Seconds before `session.created`, and again before `session.updated`."""
    lives: float | None = None
    """Seconds from `session.updated` until the connection is cut."""
    refuse: int | None = None
    """Status instead of 101."""
    retry_after: int | str | None = None
    error: str | None = None
    """What a gateway says behind its 101, and then closes: the model refused."""
    reads: bool = True
    """Whether audio is read at all: if not, nothing is from `session.updated` on."""


@dataclass
class Account:
    """What arrived of one call, over all its sessions: `runs` are [first, last] numbers, one entry for each session with audio."""

    runs: list[list[int]] = field(default_factory=list)
    disordered: int = 0
    """Frames that were not the one after the frame before, in one session."""


class LightModel:
    """The server. `manner` is for all keys but those in `manners`; both may change at any time."""

    def __init__(self, manner: Manner | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.manner = manner or Manner()
        self.manners: dict[str, Manner] = {}
        self.agents_manner: Manner | None = None
        """For sessions of the kind that the agent's track has; None: as others."""
        self.agents_dials: list[float] = []
        """Moments at which such sessions were asked for."""
        self.clock = clock
        self.receive_buffer = 0
        """Bytes that the kernel holds for a session that is not read; 0: as it likes. Set before `start`."""
        self.peers: list[Peer] = []
        self.accounts: dict[int, Account] = {}
        self.delays: list[float] = []
        """Seconds from handing a frame over to its arrival here, of all frames."""
        self.heard = 0
        """Frames that arrived, ever."""
        self.errors: list[str] = []
        self.dials: list[float] = []
        """Moments at which connections came."""
        self.opened: list[float] = []
        """Moments at which sessions stood."""
        self.opening = self.peak = 0
        """Connections between their coming and `session.updated`, and the most of them at once."""
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", port), backlog=2048)
        if self.receive_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)  # what it accepts inherits
        self._server = await loop.create_server(lambda: Peer(self), sock=listener, backlog=2048)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/realtime"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()
        await asyncio.sleep(0)

    async def __aenter__(self) -> LightModel:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def ws_url(self) -> str:
        """As the stand-in names it."""
        return self.url

    @property
    def live(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.stands]

    def drop(self) -> int:
        live = list(self.peers)
        for peer in live:
            peer.cut()
        return len(live)

    def report(self) -> dict[str, Any]:
        delays = sorted(self.delays)
        return {
            "live": len(self.live),
            "peak": self.peak,
            "dials": self.dials,
            "opened": self.opened,
            "frames": len(delays),
            "delayP99": delays[int(0.99 * len(delays))] if delays else None,
            "delayMax": delays[-1] if delays else None,
            "errors": self.errors[:10],
            "accounts": {str(call): asdict(account) for call, account in self.accounts.items()},
        }

    def deafen(self) -> int | None:
        """No more is read of one session; the number of its call."""
        peer = next(peer for peer in self.peers if peer.stands and peer.call is not None)
        peer.pause()
        return peer.call

    def reset(self) -> None:
        self.dials.clear()
        self.opened.clear()
        self.delays.clear()
        self.peak = self.opening


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: LightModel) -> None:
        self.server, self.stands, self.key, self.kind = server, False, "", ""
        self._ws = ServerProtocol(max_size=1 << 20)
        self._loop = asyncio.get_running_loop()
        self._run: list[int] | None = None
        self.call: int | None = None
        self._opening = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        server = self.server
        server.peers.append(self)
        server.dials.append(server.clock())
        self._opening = True
        server.opening += 1
        server.peak = max(server.peak, server.opening)

    def connection_lost(self, error: Exception | None) -> None:
        self.stands = False
        self._opened()
        self.server.peers.remove(self)

    def data_received(self, data: bytes) -> None:
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._asked(event)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._message(bytes(event.data))
        self._flush()

    def pause(self) -> None:
        """As a machine that hangs: the kernel takes bytes for a while, and nobody reads them."""
        self._transport.pause_reading()

    def cut(self) -> None:
        """As a machine that dies: the connection is reset."""
        self.stands = False
        self._transport.abort()

    def close(self, code: int, reason: str = "") -> None:
        """In order, with a close frame."""
        self._ws.send_close(code, reason)
        self._flush()

    def end(self) -> None:
        """As a proxy does: the connection ends without a close frame."""
        self._transport.close()

    def babble(self) -> None:
        """What is no websocket frame."""
        self._transport.write(b"\xff\xff\xff\xff" * 4)

    def _opened(self) -> None:
        if self._opening:
            self._opening = False
            self.server.opening -= 1

    def _asked(self, request: Request) -> None:
        self.key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.kind = "transcription" if "intent=transcription" in request.path else "realtime"
        self.manner = self.server.manners.get(self.key, self.server.manner)
        if self.kind == "transcription":
            self.server.agents_dials.append(self.server.clock())
            self.manner = self.server.agents_manner or self.manner
        self._loop.call_later(self.manner.handshake, self._answer, request)

    def _answer(self, request: Request) -> None:
        if self._transport.is_closing():
            return
        if self.manner.refuse is not None:
            response = self._ws.reject(self.manner.refuse, "not now")  # type: ignore[arg-type]
            if self.manner.retry_after is not None:
                response.headers["Retry-After"] = str(self.manner.retry_after)
            self._ws.send_response(response)
        else:
            self._ws.send_response(self._ws.accept(request))
            if self.manner.error is not None:
                self._say({"type": "error", "error": {"type": "guardrail_error", "message": self.manner.error}})
                self.close(1011)
                return
            self._loop.call_later(self.manner.answer, self._say, {"type": "session.created", "session": {}})
        self._flush()

    def _message(self, data: bytes) -> None:
        if data.startswith(_APPEND) and data.endswith(b'"}'):
            self._heard(data[len(_APPEND) : -2])
            return
        event = json.loads(data)
        if event["type"] == "session.update":
            self._loop.call_later(self.manner.answer, self._stand)
        elif event["type"] not in {"conversation.item.create", "input_audio_buffer.clear"}:
            self.server.errors.append(f"unexpected: {event['type']}")

    def _stand(self) -> None:
        if self._transport.is_closing():
            return
        self._opened()
        self.stands = True
        self.server.opened.append(self.server.clock())
        self._say({"type": "session.updated", "session": {}})
        if not self.manner.reads:
            self._transport.pause_reading()
        if self.manner.lives is not None:
            self._loop.call_later(self.manner.lives, self.cut)

    def _heard(self, text: bytes) -> None:
        call, number, moment = _HEAD.unpack(base64.b64decode(text)[: _HEAD.size])
        account = self.server.accounts.setdefault(call, Account())
        if not self.stands:
            self.server.errors.append("audio before session.updated")
        self.server.heard += 1
        self.server.delays.append(self.server.clock() - moment)
        if self._run is None:
            self._run, self.call = [number, number], call
            account.runs.append(self._run)
        elif number == self._run[1] + 1:
            self._run[1] = number
        else:
            account.disordered += 1

    def _say(self, event: dict[str, Any]) -> None:
        if not self._transport.is_closing():
            self._ws.send_text(json.dumps(event).encode())
            self._flush()

    def _flush(self) -> None:
        if self._ws.parser_exc is not None:
            self.server.errors.append(f"protocol: {self._ws.parser_exc}")
        for chunk in self._ws.data_to_send():
            if self._transport.is_closing():
                return
            if chunk:
                self._transport.write(chunk)
            else:
                self._transport.close()


async def serve(port: int, manner: Manner) -> None:
    """The program."""
    async with LightModel(manner) as server:
        await server.stop()
        await server.start(port)
        print(json.dumps({"listening": server.url}), flush=True)
        reader, told = asyncio.StreamReader(), None  # type: asyncio.StreamReader, object
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            word, _, more = line.strip().partition(b" ")
            match word:
                case b"manner":
                    server.manner = Manner(**json.loads(more))
                    told = None
                case b"deaf":
                    told = server.deafen()
                case b"drop":
                    told = server.drop()
                case b"opened":
                    told = len(server.opened)
                case b"heard":
                    told = server.heard
                case b"reset":
                    told = server.reset()
                case _:
                    told = server.report()
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Manner(**json.loads(sys.argv[2]))))
