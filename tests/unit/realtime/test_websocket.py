"""The connection: handshakes cut anywhere, frames of every shape, refusals, closes; against a plain socket that says just what we want."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from voiceassist_crds.messages import StatusReason
from voiceassist_relay.realtime.core.failures import Fatal, Passing, SessionFailed
from voiceassist_relay.realtime.core.limits import SessionLimits
from voiceassist_relay.realtime.providers.base import Endpoint
from voiceassist_relay.realtime.websocket import MAX_MESSAGE, Lost, ModelConnection, connect, text_frame

LIMITS = SessionLimits(connect=0.5, close=0.3)


@dataclass
class Heard:
    """A receiver."""

    messages: list[bytes] = field(default_factory=list)
    ends: list[Lost] = field(default_factory=list)
    buffer: list[bool] = field(default_factory=list)
    pongs: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def message(self, data: bytes) -> None:
        self.messages.append(data)
        self.news.set()

    def acknowledged(self) -> None:
        self.pongs += 1
        self.news.set()

    def on_buffer(self, yes: bool) -> None:
        self.buffer.append(yes)
        self.news.set()

    def lost(self, lost: Lost) -> None:
        self.ends.append(lost)
        self.news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(3):
            while not condition():
                self.news.clear()
                await self.news.wait()


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


def accepted(request: bytes, extra: bytes = b"") -> bytes:
    key = next(line.split(b":", 1)[1].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
        + extra
    )


def text(data: bytes) -> bytes:
    return Frame(Opcode.TEXT, data).serialize(mask=False)


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Endpoint]:
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer, await reader.readuntil(b"\r\n\r\n"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Endpoint(f"ws://127.0.0.1:{port}/v1/realtime?model=m", (("Authorization", "Bearer k"),))
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def dialled(script: Script, limits: SessionLimits = LIMITS) -> AsyncIterator[tuple[ModelConnection, Heard]]:
    heard = Heard()
    async with serving(script) as endpoint:
        connection = await connect(endpoint, heard, limits, None)
        try:
            yield connection, heard
        finally:
            connection.abort()


async def forever(_: asyncio.StreamReader) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, 10_000])
async def test_websocket_whatever_way_the_bytes_are_cut_the_messages_are_the_same(size) -> None:
    long = b"x" * 300
    huge = b"y" * 70_000
    frames = [
        text(b"{}"),
        text(long),
        Frame(Opcode.TEXT, b"frag", fin=False).serialize(mask=False),
        Frame(Opcode.PING, b"in between").serialize(mask=False),
        Frame(Opcode.CONT, b"ment", fin=False).serialize(mask=False),
        Frame(Opcode.CONT, b"ed").serialize(mask=False),
        Frame(Opcode.BINARY, b"of no interest").serialize(mask=False),
        text(b""),
        Frame(Opcode.PONG, b"").serialize(mask=False),
        text(huge if size > 2 else long),
    ]

    async def script(reader, writer, request):
        stream = accepted(request, b"".join(frames))
        for at in range(0, len(stream), size):
            writer.write(stream[at : at + size])
            if size < 100 and at < 2000:
                await writer.drain()
                await asyncio.sleep(0)
        await forever(reader)

    async with dialled(script) as (_, heard):
        await heard.until(lambda: len(heard.messages) == 5)
        assert heard.messages == [b"{}", long, b"fragmented", b"", huge if size > 2 else long]
        assert heard.ends == []


async def test_websocket_what_is_sent_can_be_read_by_a_strict_server() -> None:
    got: list[bytes] = []
    pings: list[bytes] = []
    head: list[bytes] = []
    sent = [b"{}", os.urandom(125).hex().encode(), b"z" * 200, b"w" * 70_000]

    async def script(reader, writer, request):
        head.append(request)
        server = ServerProtocol(max_size=None)
        server.receive_data(request)
        (asked,) = server.events_received()
        server.send_response(server.accept(asked))
        while True:
            for chunk in server.data_to_send():
                writer.write(chunk)
            server.receive_data(await reader.read(65536))
            for event in server.events_received():
                (pings if event.opcode is Opcode.PING else got).append(bytes(event.data))

    async with dialled(script) as (connection, heard):
        for message in sent:
            connection.send(message)
        connection.ping()
        before = connection.heard_at
        for _ in range(200):
            if len(got) == 4 and pings and connection.heard_at > before:
                break
            await asyncio.sleep(0.01)
        assert got == sent
        assert pings == [b"va"]
        assert b"authorization: Bearer k\r\n" in head[0].replace(b"Authorization", b"authorization")
        assert b"openai-beta" not in head[0].lower()
        assert connection.heard_at > before  # the pong
        assert heard.pongs == 1
        await connection.close()
        connection.send(b"after the end")
        connection.ping()
        assert heard.ends == []


def test_websocket_every_frame_has_a_mask_of_its_own() -> None:
    masks = {text_frame(b"{}")[2:6] for _ in range(3000)}
    assert len(masks) > 2990


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", StatusReason.MODEL_REFUSED),
        (b'HTTP/1.1 400 Bad Request\r\nContent-Length: 37\r\n\r\n{"error":{"code":"insufficient_quota"}}'[:-2], StatusReason.MODEL_QUOTA),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>and so on", StatusReason.MODEL_REFUSED),
        (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", StatusReason.MODEL_MISCONFIGURED),
        (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}", Passing("http_429", 7.0)),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Passing("http_503")),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
            Passing("handshake"),
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Passing("handshake")),
        (b"", Passing("timeout")),
    ],
)
@pytest.mark.parametrize("ends", [True, False])
async def test_websocket_refusals(answer, failure, ends) -> None:
    if b"insufficient" in answer:
        body = b'{"error":{"code":"insufficient_quota"}}'
        answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def script(reader, writer, request):
        for byte in range(0, len(answer), 11):
            writer.write(answer[byte : byte + 11])
            await writer.drain()
            await asyncio.sleep(0)
        if not ends:
            await forever(reader)

    with pytest.raises(SessionFailed) as error:
        async with dialled(script):
            pass
    found = error.value.failure
    if isinstance(failure, StatusReason):
        assert isinstance(found, Fatal)
        assert found.reason is failure
    elif ends and not answer:
        assert found in (Passing("closed"), Passing("handshake"))
    else:
        assert found == failure


async def test_websocket_nobody_listens() -> None:
    async with serving(lambda *_: forever(_[0])) as endpoint:
        pass
    with pytest.raises(SessionFailed) as error:
        await connect(endpoint, Heard(), LIMITS, None)
    assert isinstance(error.value.failure, Passing)
    with pytest.raises(SessionFailed):
        await connect(Endpoint("ftp://x/", ()), Heard(), LIMITS, None)


@pytest.mark.parametrize(
    ("frames", "lost"),
    [
        (Frame(Opcode.CLOSE, b"\x03\xe9over").serialize(mask=False), Lost(1001, "over")),
        (
            Frame(Opcode.CLOSE, b"\x0b\xb8invalid_request_error.invalid_api_key").serialize(mask=False),
            Lost(3000, "invalid_request_error.invalid_api_key"),
        ),
        (Frame(Opcode.TEXT, b"masked").serialize(mask=True), Lost(None, "protocol error")),
        (b"\xf1\x02{}", Lost(None, "protocol error")),
        (b"\x81\x7f" + (MAX_MESSAGE + 1).to_bytes(8, "big"), Lost(None, "message too big")),
        (Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=False) + text(b"b"), Lost(None, "protocol error")),
        (b"", Lost(None, "")),
    ],
    ids=["close", "refused", "masked", "reserved bits", "too big", "interrupted fragments", "end of stream"],
)
async def test_websocket_ends(frames, lost) -> None:
    async def script(reader, writer, request):
        writer.write(accepted(request, text(b"{}") + frames))
        await writer.drain()
        if frames:
            await forever(reader)

    async with dialled(script) as (_, heard):
        await heard.until(lambda: heard.ends)
        await asyncio.sleep(0.05)
        assert heard.messages == [b"{}"]
        assert heard.ends == [lost]


async def test_websocket_fragments_beyond_the_bound_end_the_connection() -> None:
    async def script(reader, writer, request):
        writer.write(accepted(request, Frame(Opcode.TEXT, b"a" * 500_000, fin=False).serialize(mask=False)))
        for _ in range(3):
            writer.write(Frame(Opcode.CONT, b"a" * 500_000, fin=False).serialize(mask=False))
        await writer.drain()
        await forever(reader)

    async with dialled(script) as (_, heard):
        await heard.until(lambda: heard.ends)
        assert heard.messages == []


async def test_websocket_a_peer_that_does_not_read_is_noticed_and_a_close_that_is_not_answered_is_not_waited_for() -> None:
    async def script(reader, writer, request):
        writer.write(accepted(request))
        await forever(reader)

    async with dialled(script) as (connection, heard):
        for _ in range(200):
            connection.send(b"x" * 100_000)
        await heard.until(lambda: heard.buffer == [False])
        begun = asyncio.get_running_loop().time()
        await connection.close()
        assert asyncio.get_running_loop().time() - begun < 1.0
