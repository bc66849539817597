"""A relay's public port over real sockets with recorded calls instead of bridges, and a client that speaks raw bytes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hmac
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import uvloop
from prometheus_client.parser import text_string_to_metric_families

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.names import CallSid
from voiceassist_crds.reasons import Refusal
from voiceassist_relay.auth import mint_stream_token
from voiceassist_relay.config.snapshot import CurrentSnapshot, Secrets, Snapshot
from voiceassist_relay.interfaces import CallSink, MediaConnection, StreamClaims, StreamStart
from voiceassist_relay.media.connection import MediaTimes, media_protocol
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.rate_limits import Rate
from voiceassist_relay.server.addresses import bind
from voiceassist_relay.server.limits import HttpLimits, HttpRefusal
from voiceassist_relay.server.uvicorn_server import UvicornServer, server_config

ACCOUNT = "AC" + "a" * 32
CALL = "CA" + "1" * 32
OTHER_CALL = "CA" + "2" * 32
STREAM = "MZ" + "3" * 32
PRIMARY, SECONDARY, STRANGER = "p" * 32, "s" * 32, "x" * 32
NOW = 1_700_000_000.0


def snapshot(**changes: Any) -> Snapshot:
    document = {
        "host": "assist.example.com",
        "pathPrefix": "/voice",
        "twilio": {"accountSid": ACCOUNT, "syncServiceSid": "IS" + "0" * 32},
        "prompts": [{"instructions": "Help."}],
        **changes,
    }
    config = RelayConfig.parse(json.dumps(document))
    return Snapshot(config, Secrets(auth_token=PRIMARY, auth_token_secondary=SECONDARY))


def sign(url: str, key: str = PRIMARY) -> str:
    return base64.b64encode(hmac.digest(key.encode(), url.encode(), "sha1")).decode()


@dataclass
class Sink:
    start: StreamStart
    connection: MediaConnection
    frames: list[tuple[bool, bytes, float]] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        if self.fault is not None:
            raise self.fault
        self.frames.append((inbound, payload, arrived))

    def ended(self, reason: str) -> None:
        self.endings.append(reason)
        self.over.set()


@dataclass
class RecordedCalls:
    """Stands where the registry is: an open here is where a model's socket would be opened."""

    places: int = 10
    refusing: bool = False
    reserved: int = 0
    opened: list[Sink] = field(default_factory=list)
    fault: Exception | None = None
    close_at_once: tuple[int, str] | None = None
    refusals: list[tuple[CallSid, Refusal]] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return self.reserved + len([sink for sink in self.opened if not sink.endings]) >= self.places

    def reserve(self) -> bool:
        if self.full:
            return False
        self.reserved += 1
        return True

    def refused(self, call_sid: CallSid, refusal: Refusal) -> None:
        self.refusals.append((call_sid, refusal))

    def release(self) -> None:
        self.reserved -= 1
        assert self.reserved >= 0

    def open(self, start: StreamStart, connection: MediaConnection) -> CallSink:
        self.reserved -= 1
        assert self.reserved >= 0
        if self.fault is not None:
            raise self.fault
        sink = Sink(start, connection)
        self.opened.append(sink)
        if self.close_at_once is not None:
            connection.close(*self.close_at_once)
        return sink


@dataclass
class Reply:
    """What came from the server until it closed: the HTTP answer, then frames."""

    status: int
    headers: dict[str, str]
    body: bytes
    frames: list[tuple[int, bytes]]
    clean: bool

    @property
    def close_code(self) -> int | None:
        closes = [data for op, data in self.frames if op == 8]
        return int.from_bytes(closes[0][:2], "big") if closes else None


def frame(payload: bytes | str, *, op: int = 1, fin: bool = True, masked: bool = True) -> bytes:
    payload = payload.encode() if isinstance(payload, str) else payload
    head, flag, size = bytes([(0x80 if fin else 0) | op]), 0x80 if masked else 0, len(payload)
    head += (
        bytes([flag | size])
        if size < 126
        else bytes([flag | 126]) + size.to_bytes(2, "big")
        if size < 65536
        else bytes([flag | 127]) + size.to_bytes(8, "big")
    )
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload)) if masked else head + payload


def connected() -> str:
    return json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})


def start(token: str | None = "", *, call: str = CALL, account: str = ACCOUNT, **body: Any) -> str:
    parameters = {} if token is None else {"token": token or stream_token()}
    document = {
        "accountSid": account,
        "streamSid": STREAM,
        "callSid": call,
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
        **body,
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": document})


def media(sequence: int, payload: str = "//7+/v7+/v4=", track: str = "inbound", timestamp: int | None = None) -> str:
    body = {"track": track, "chunk": "1", "timestamp": str(20 * sequence if timestamp is None else timestamp), "payload": payload}
    return json.dumps({"event": "media", "sequenceNumber": str(sequence), "streamSid": STREAM, "media": body})


def stop(sequence: int) -> str:
    body = {"accountSid": ACCOUNT, "callSid": CALL}
    return json.dumps({"event": "stop", "sequenceNumber": str(sequence), "streamSid": STREAM, "stop": body})


CLAIMS = StreamClaims(call=CallSid(CALL), account=ACCOUNT, generation=2, exp=int(NOW) + 60)


def stream_token(key: str = PRIMARY, **changes: Any) -> str:
    return mint_stream_token(key, replace(CLAIMS, **changes))


class Client:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}

    def send(self, *parts: bytes | str) -> None:
        self.writer.write(b"".join(frame(part) if isinstance(part, str) else part for part in parts))

    async def head(self) -> int:
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode()
        lines = text.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        return self.status

    async def next_frame(self) -> tuple[int, bytes]:
        first, length = await asyncio.wait_for(self.reader.readexactly(2), 5)
        assert length < 126, "the server sends short control frames only"
        return first & 0x0F, await self.reader.readexactly(length)

    async def finish(self, *, answer_close: bool = True, timeout: float = 5) -> Reply:
        """Reads to the end, as a websocket client does that answers a close."""
        if not self.status:
            await self.head()
        body, frames, clean = b"", [], True
        try:
            async with asyncio.timeout(timeout):
                if self.status != 101:
                    body = await self.reader.read()
                while self.status == 101:
                    frames.append(await self.next_frame())
                    if frames[-1][0] == 8 and answer_close:
                        self.send(frame(frames[-1][1], op=8))
                        answer_close = False
        except asyncio.IncompleteReadError:
            pass
        except ConnectionError:
            clean = False
        self.writer.close()
        return Reply(self.status, self.headers, body, frames, clean)


@dataclass
class Rig:
    port: int
    server: UvicornServer
    calls: RecordedCalls
    metrics: RelayMetrics
    snapshots: list[Snapshot]
    turned_away: list[HttpRefusal]
    requests: list[dict[str, Any]]
    time: list[float]

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    async def upgrade(
        self,
        target: str = f"/voice/ws/{CALL}",
        *,
        signed: str | None = f"wss://assist.example.com/voice/ws/{CALL}",
        key: str = PRIMARY,
        headers: str = "",
        drop: str = "",
        rest: bytes = b"",
    ) -> Client:
        client = await self.connect()
        lines = [f"GET {target} HTTP/1.1", "Host: internal:8080", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        if signed is not None:
            lines.append(f"X-Twilio-Signature: {sign(signed, key)}")
        lines = [line for line in lines if not drop or drop not in line]
        client.writer.write(("\r\n".join(lines) + "\r\n" + headers + "\r\n").encode() + rest)
        return client

    async def stream(self, *first: bytes | str) -> tuple[Client, Sink]:
        """A stream past its `start`."""
        client = await self.upgrade()
        assert await client.head() == 101
        client.send(connected(), start(), *first)
        before = len(self.calls.opened)
        await self.until(lambda: len(self.calls.opened) > before)
        return client, self.calls.opened[-1]

    def count(self, name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(self.metrics.render().decode()):
            for sample in family.samples:
                if sample.name == f"voiceassist_relay_{name}" and sample.labels == labels:
                    return sample.value
        return 0.0

    def outcomes(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.metrics.render().decode())
        found = {s.labels["outcome"]: s.value for f in families for s in f.samples if s.name == "voiceassist_relay_upgrades_total"}
        return {outcome: value for outcome, value in found.items() if value}

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)  # state inside the server's loop: there is no event to wait for


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test on the loop that the relay runs on."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


@contextlib.asynccontextmanager
async def running(
    *,
    times: MediaTimes | None = None,
    limits: HttpLimits | None = None,
    calls: RecordedCalls | None = None,
    upgrades: Rate = Rate(1000, 1000),  # noqa: B008 - frozen
    streams: bool = True,
    public: Callable[[CurrentSnapshot, RelayMetrics], Any] | None = None,
    ping: float = 20,
    **config: Any,
) -> AsyncIterator[Rig]:
    """`public` makes the application that answers plain requests; without it one stands there that notes them."""
    requests: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        headers = [name.decode() for name, _ in scope["headers"]]
        requests.append({"path": scope["path"], "body": message["body"], "whole": not message.get("more_body", False), "headers": headers})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    calls, metrics, snapshots, turned_away, moment = (
        calls or RecordedCalls(),
        RelayMetrics(),
        [snapshot(limits={"streamPingSeconds": ping}, **config)],
        [],
        [NOW],
    )
    media_class = media_protocol(
        lambda: snapshots[-1], calls, metrics, times=times or MediaTimes(start=5, close=0.5), upgrades=upgrades, epoch=lambda: moment[0]
    )
    server = UvicornServer(
        server_config(
            app if public is None else public(lambda: snapshots[-1], metrics),
            media=media_class if streams else None,
            limits=limits,
            on_refused=turned_away.append,
            lifespan="off",
            shutdown_seconds=1,
        )
    )
    listener = bind("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        rig = Rig(listener.getsockname()[1], server, calls, metrics, snapshots, turned_away, requests, moment)
        await rig.until(lambda: server.started)
        yield rig
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort() if hasattr(connection, "transport") else connection._transport.abort()
        server.should_exit = True
        await task
