"""What is done to the relay: each attack is one coroutine on raw sockets, and says how much it did."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterable

from load.flood.wire import Stream, frame

MIB = 1_048_576
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def let_in(port: int, stream: Stream, *, start: bool = True) -> Connection:
    """A signed upgrade that was answered with 101, and the stream's start."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(stream.upgrade())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 101"), head[:80]
    if start:
        writer.write(stream.opening())
    return reader, writer


async def hasty_stream(port: int, stream: Stream, times: float, seconds: float) -> int:
    """A call whose audio comes so many times faster than real time. Returns the frames sent."""
    _, writer = await let_in(port, stream)
    every = [stream.media("/" * 216) for _ in range(int(50 * times * seconds))]
    begun, at = time.monotonic(), 0
    while at < len(every):
        upto = min(len(every), int((time.monotonic() - begun) * 50 * times))
        writer.write(b"".join(every[at:upto]))
        at = upto
        await writer.drain()
        await asyncio.sleep(0.005)
    writer.write(stream.stop())
    await writer.drain()
    writer.close()
    return len(every)


async def upgrades(port: int, make: Callable[[int], bytes], count: int, lanes: int, status: Iterable[int]) -> dict[int, int]:
    """So many requests, each on a connection of its own, as fast as they are answered. Returns the answers by status."""
    answers: dict[int, int] = dict.fromkeys(status, 0)
    left = iter(range(count))

    async def lane() -> None:
        for number in left:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(make(number))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)
            answers[int(head.split()[1])] += 1
            writer.close()

    await asyncio.gather(*(lane() for _ in range(lanes)))
    return answers


async def true_ones(port: int, make: Callable[[], Stream], every: float, over: asyncio.Event) -> tuple[int, int]:
    """Honest upgrades at a calm pace until `over`: how many there were, and how many were let in."""
    asked = got = 0
    while not over.is_set():
        asked += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(make().upgrade())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            got += (await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)).startswith(b"HTTP/1.1 101")
        writer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), every)
    return asked, got


async def never_reads(port: int, stream: Stream, most: int) -> int:
    """Pings without end, and not one pong is read. Returns the bytes sent until the relay had enough; `most` if it never had."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, stream.upgrade())
        await asyncio.sleep(0.3)  # its 101 is not read either
        await loop.sock_sendall(connection, stream.opening())
        pings, sent = b"".join(frame(b"p" * 125, op=9) for _ in range(100)), 0
        with contextlib.suppress(ConnectionError):
            while sent < most:
                await asyncio.wait_for(loop.sock_sendall(connection, pings), 30)
                sent += len(pings)
        return sent


async def big_message(port: int, stream: Stream, pieces: int) -> int:
    """A message of 1 MiB in so many frames of a call in progress. Returns the code with which the relay closed."""
    reader, writer = await let_in(port, stream)
    size = MIB // pieces
    with contextlib.suppress(ConnectionError):
        for number in range(pieces):
            writer.write(frame(b"x" * size, op=0 if number else 1, fin=number == pieces - 1))
            await writer.drain()
    code = 0
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await asyncio.wait_for(reader.readexactly(4), 10)
        code = int.from_bytes(head[2:4], "big") if head[0] == 0x88 else 0
    writer.close()
    return code


async def held_open(port: int, parts: Iterable[bytes]) -> list[Connection]:
    """Connections that say this much and no more."""
    held = []
    for part in parts:
        connection = await asyncio.open_connection("127.0.0.1", port)
        connection[1].write(part)
        held.append(connection)
    return held


async def drip(writer: asyncio.StreamWriter, data: bytes, every: float) -> None:
    """A byte now and then, until the other side has gone."""
    with contextlib.suppress(ConnectionError):
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await writer.drain()
            await asyncio.sleep(every)
