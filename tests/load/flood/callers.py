"""Ordinary calls beside a flood, and the model that hears them, in one process: every frame's way is timed from socket to socket.

Runs as `python -m load.flood.callers`; says in one JSON line where the model listens, then takes one JSON command a line on standard input:
`{"do": "call", "port", "account", "token", "calls"}`, `{"do": "mark"}` (answers what was seen since the last one), `{"do": "end"}`.
"""

from __future__ import annotations

import array
import asyncio
import json
import sys
import time
from typing import Any

import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from load.flood.wire import Account, Stream, payload

APPEND = b'{"type":"input_audio_buffer.append","audio":"'
STEP = 0.02


class Heard:
    """What the model has heard of each call, and how long each frame was on its way (seconds)."""

    def __init__(self) -> None:
        self.sent: dict[int, array.array[float]] = {}
        self.next: dict[int, int] = {}
        self.delays: array.array[float] = array.array("d")
        self.disorder = 0
        self.others = 0  # appends that are no frame of the ordinary calls: a flood's

    def frame(self, text: bytes) -> None:
        """An append: is it a frame of an ordinary call, and the next one?"""
        name = text[len(APPEND) : len(APPEND) + 12]
        if not name.isdigit():
            self.others += 1
            return
        call, number = int(name[:4]), int(name[4:])
        sent = self.sent.get(call)
        if sent is None or number >= len(sent):
            self.others += 1
            return
        if number != self.next[call]:
            self.disorder += 1
        self.next[call] = number + 1
        self.delays.append(time.monotonic() - sent[number])

    def told(self) -> dict[str, Any]:
        """Since the last time: frames on their way, heard, out of order, and their delays in milliseconds."""
        delays = sorted(self.delays)
        at = lambda share: round(delays[min(len(delays) - 1, int(share * len(delays)))] * 1000, 3) if delays else 0.0  # noqa: E731
        told = {
            "heard": len(delays),
            "p50Ms": at(0.5),
            "p99Ms": at(0.99),
            "mostMs": at(1.0),
            "disorder": self.disorder,
            "others": self.others,
        }
        told["sent"] = sum(map(len, self.sent.values()))
        told["arrived"] = sum(self.next.values())
        self.delays, self.disorder, self.others = array.array("d"), 0, 0
        return told


class ModelSocket(asyncio.Protocol):
    """One session: the settings are in force at once; audio is heard and never answered."""

    def __init__(self, heard: Heard) -> None:
        self._heard, self._wire, self._open, self._rest = heard, ServerProtocol(max_size=1 << 22), False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self._wire.receive_data(data)
            for event in self._wire.events_received():
                if isinstance(event, Request):
                    self._wire.send_response(self._wire.accept(event))
                    self._wire.send_text(b'{"type":"session.created","event_id":"e","session":{}}')
                    self._open = True
            self._flush()
            return
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 8:
            length, body = data[at + 1] & 0x7F, at + 6
            if length == 126:
                length, body = int.from_bytes(data[at + 2 : at + 4], "big"), at + 8
            elif length == 127:
                length, body = int.from_bytes(data[at + 2 : at + 10], "big"), at + 14
            if body + length > end:
                break
            if data[at] == 0x81:
                text = apply_mask(data[body : body + length], data[body - 4 : body])
                if text.startswith(APPEND):
                    self._heard.frame(text)
                elif b'"session.update"' in text:
                    self._wire.send_text(b'{"type":"session.updated","event_id":"e","session":{}}')
            else:
                self._wire.receive_data(data[at : body + length])
                for event in self._wire.events_received():
                    if isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                        self._transport.close()
            at = body + length
        self._rest = data[at:]
        self._flush()

    def _flush(self) -> None:
        for chunk in self._wire.data_to_send():
            if chunk and not self._transport.is_closing():
                self._transport.write(chunk)


class Caller(asyncio.Protocol):
    """One ordinary call: a frame every 20 ms from its upgrade on."""

    def __init__(self, number: int, account: Account, heard: Heard) -> None:
        self.number, self.stream, self._heard = number, Stream(account), heard
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._transport.write(self.stream.upgrade())

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self._head += data
            if b"\r\n\r\n" in self._head:
                if not self._head.startswith(b"HTTP/1.1 101"):
                    self.ready.set_exception(ConnectionError(self._head[:60].decode()))
                    return
                self._transport.write(self.stream.opening())
                self._heard.sent[self.number], self._heard.next[self.number] = array.array("d"), 0
                self.ready.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed before 101"))

    def speak(self) -> None:
        if self.lost:
            return
        sent = self._heard.sent[self.number]
        data = self.stream.media(payload(self.number, len(sent)))
        sent.append(time.monotonic())
        self._transport.write(data)

    def hang_up(self) -> None:
        if not self.lost:
            self._transport.write(self.stream.stop())


async def speaking(callers: list[Caller]) -> None:
    """A step of 20 ms for all, spread over it; late steps are caught up, as a real sender would."""
    loop = asyncio.get_running_loop()
    begun, count = loop.time(), 0
    slots = [callers[n::4] for n in range(4)]
    while True:
        due = begun + count * STEP / 4
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        for caller in slots[count % 4]:
            caller.speak()
        count += 1
        if wait <= 0:
            await asyncio.sleep(0)


async def main() -> None:
    """Until told to end."""
    loop, heard, callers = asyncio.get_running_loop(), Heard(), list[Caller]()
    server = await loop.create_server(lambda: ModelSocket(heard), "127.0.0.1", 0)
    say({"listening": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    task = None
    while command := await reader.readline():
        asked = json.loads(command)
        match asked["do"]:
            case "call":
                account = Account(asked["account"], asked["token"])
                callers = [Caller(n, account, heard) for n in range(asked["calls"])]
                for caller in callers:
                    await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", asked["port"])  # type: ignore[misc]
                    await caller.ready
                task = asyncio.create_task(speaking(callers))
                say({"calls": len(callers)})
            case "mark":
                say(heard.told() | {"lost": sum(caller.lost for caller in callers)})
            case "end":
                if task is not None:
                    task.cancel()
                    await asyncio.sleep(0.5)  # what is under way arrives
                told = heard.told() | {"lost": sum(caller.lost for caller in callers)}
                for caller in callers:
                    caller.hang_up()
                say(told)


def say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
