"""A frame's way through the relay without its sockets, to be run under valgrind's callgrind: see test_frame_instructions.py.

Run: frame_path.py LIBRARY. `FRAMES` frames are counted of each part: `yardstick`, what `websockets` alone needs to read them; `ours`, from
the bytes off Twilio's socket to the bytes for the model's, with what each second brings along; `dearer`, ours and 31 yardsticks for each
100 frames: three tenths more.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import gc
import itertools
import json
import math
import sys
from collections.abc import Callable
from types import SimpleNamespace

from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from load.media_frame_cost import ACCOUNT, CALL, NoTransport, State, masked, media, start
from voiceassist_crds.config import RelayConfig
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.media.connection import media_protocol
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.model_client import ModelClient
from voiceassist_relay.server.gathering_loop import GatheringLoop

FRAMES = 500
"""Frames that are counted."""


async def main(loop: GatheringLoop, library: str) -> None:
    counter = ctypes.CDLL(library)
    document = {"host": "h", "twilio": {"accountSid": ACCOUNT, "syncServiceSid": "IS" + "0" * 32}, "prompts": [{"instructions": "x"}]}
    config = RelayConfig.parse(json.dumps(document | {"checks": "Off"}))
    snapshot, metrics = Snapshot(config, Secrets()), RelayMetrics()
    client = ModelClient(config=config, prompt=config.prompts[0], key=str, listener=None, metrics=metrics, call_hash="x")  # type: ignore[arg-type]
    sender, out = client._conversation.sender, []
    sender.attach(out.append, AudioClock(), math.inf)
    bridge = SimpleNamespace(frame=client.frame, ended=lambda reason: None)
    calls = SimpleNamespace(full=False, refusing=False, reserve=lambda: True, open=lambda start, connection: bridge)
    now = itertools.count()
    protocol = media_protocol(lambda: snapshot, calls, metrics, came=loop.frame, clock=lambda: next(now) / 50)  # type: ignore[arg-type]
    socket = protocol(None, State(), {})  # type: ignore[call-arg]
    socket.connection_made(NoTransport())
    key = base64.b64encode(b"k" * 16).decode()
    head = f"GET /ws/{CALL} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    socket.data_received(f"{head}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
    socket.data_received(masked(start()))
    wire = [masked(message) for message in media(8 * FRAMES)]
    alone = ServerProtocol(state=OPEN)

    def yardstick(_: int, data: bytes) -> None:
        alone.receive_data(data)
        alone.events_received()

    def ours(number: int, data: bytes) -> None:
        socket.data_received(data)
        if number % 50 == 49:
            sender.flush()
            sender.trim(sender.last_arrival - 4)

    def dearer(number: int, data: bytes) -> None:
        ours(number, data)
        if number * 31 % 100 < 31:
            yardstick(number, data)

    frames = iter(enumerate(wire))

    def count(name: str, step: Callable[[int, bytes], None]) -> None:
        for number in range(2 * FRAMES):  # as many before, so that Python has made of the code what it makes of busy code
            if number == FRAMES:
                gc.collect()
                gc.disable()
                counter.begin()
            step(*next(frames))
        counter.end(name.encode())
        gc.enable()

    count("ours", ours)
    count("dearer", dearer)
    count("yardstick", yardstick)
    print(json.dumps({"frames": sum(map(len, out)) / len(out[0])}))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=GatheringLoop) as runner:
        own = runner.get_loop()
        assert isinstance(own, GatheringLoop)
        runner.run(main(own, sys.argv[1]))
