"""CPU of one media frame from received bytes to the call's sink, without sockets: prints microseconds per stage.

    python tests/load/media_frame_cost.py [--frames N]

`raw read` is what `websockets` alone needs for the same frames. Nothing is asserted: numbers depend on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import os
import time
from collections.abc import Callable

from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.names import CallSid
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.interfaces import CallSink, MediaConnection, StreamStart
from voiceassist_relay.media.connection import media_protocol
from voiceassist_relay.media.frame_decoder import FrameDecoder
from voiceassist_relay.media.stream import Opening, StartTerms, StreamProtocol
from voiceassist_relay.metrics.relay_metrics import RelayMetrics

ACCOUNT, CALL, STREAM = "AC" + "a" * 32, CallSid("CA" + "1" * 32), "MZ" + "3" * 32


def masked(text: bytes) -> bytes:
    key = os.urandom(4)
    head = b"\x81" + (bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big"))
    return head + key + apply_mask(text, key)


def start() -> bytes:
    body = {"accountSid": ACCOUNT, "streamSid": STREAM, "callSid": CALL, "tracks": ["inbound"], "customParameters": {}}
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": body}).encode()


def media(count: int) -> list[bytes]:
    payload = base64.b64encode(bytes(range(160))).decode()
    return [
        json.dumps(
            {
                "event": "media",
                "sequenceNumber": str(n + 2),
                "streamSid": STREAM,
                "media": {"track": "inbound", "chunk": str(n + 1), "timestamp": str(20 * n), "payload": payload},
            },
            separators=(",", ":"),
        ).encode()
        for n in range(count)
    ]


class Sink:
    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        pass

    def ended(self, reason: str) -> None:
        pass


class Calls:
    full = refusing = False

    def reserve(self) -> bool:
        return True

    def refused(self, call_sid: object, refusal: object) -> None: ...

    def release(self) -> None:
        pass

    def open(self, start: StreamStart, connection: MediaConnection) -> CallSink:
        return Sink()


class NoTransport(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class State:
    def __init__(self) -> None:
        self.connections: set[object] = set()


def measure(name: str, step: Callable[[bytes], object], items: list[bytes]) -> None:
    """The best of twenty parts: what else the machine does makes some of them slower, and none faster."""
    part = len(items) // 20
    best = math.inf
    for at in range(0, part * 20, part):
        began = time.thread_time()
        for item in items[at : at + part]:
            step(item)
        best = min(best, (time.thread_time() - began) / part)
    print(f"{name:34} {best * 1e6:6.2f} us")


async def main(count: int) -> None:
    messages = media(count)
    wire = [masked(message) for message in messages]

    alone = ServerProtocol(state=OPEN)

    def raw(data: bytes) -> None:
        alone.receive_data(data)
        alone.events_received()

    measure("raw read (websockets alone)", raw, wire)
    measure("frames", FrameDecoder(ServerProtocol(state=OPEN, max_size=65536)).feed, wire)

    stream = StreamProtocol()
    opening = stream.receive(start())
    assert isinstance(opening, Opening)
    assert isinstance(stream.accept(opening, StartTerms(CALL, ACCOUNT, (), checked=False), 0.0), StreamStart)
    measure("message and protocol", stream.receive, messages)

    document = {
        "host": "localhost",
        "twilio": {"accountSid": ACCOUNT, "syncServiceSid": "IS" + "0" * 32},
        "prompts": [{"instructions": "x"}],
        "checks": "Off",
    }
    snapshot = Snapshot(RelayConfig.parse(json.dumps(document)), Secrets())
    protocol = media_protocol(lambda: snapshot, Calls(), RelayMetrics())(None, State(), {})  # type: ignore[call-arg]
    protocol.connection_made(NoTransport())
    key = base64.b64encode(b"k" * 16).decode()
    head = f"GET /ws/{CALL} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    protocol.data_received(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    protocol.data_received(masked(start()))
    measure("connection: bytes to sink", protocol.data_received, wire)
    ten = [b"".join(wire[at : at + 10]) for at in range(0, len(wire), 10)]
    protocol = media_protocol(lambda: snapshot, Calls(), RelayMetrics())(None, State(), {})  # type: ignore[call-arg]
    protocol.connection_made(NoTransport())
    protocol.data_received(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    protocol.data_received(masked(start()))
    measure("the same, ten frames a read (of 10)", protocol.data_received, ten)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=50_000)
    asyncio.run(main(parser.parse_args().frames))
