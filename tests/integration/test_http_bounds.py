"""The bounds on plain requests and upgrades: bytes, time and connections, counted on the wire."""

from __future__ import annotations

import asyncio
import signal
import socket
import time

import pytest

from integration.media_rig import CALL, Client, Rig, on_uvloop, running
from voiceassist_relay.server.addresses import bind
from voiceassist_relay.server.limits import HttpLimits, HttpRefusal

QUICK = HttpLimits(head_seconds=0.3, body_seconds=0.3, keep_alive_seconds=1)


async def ask(rig: Rig, *parts: bytes, pause: float = 0) -> Client:
    client = await rig.connect()
    for part in parts:
        client.writer.write(part)
        await client.writer.drain()
        await asyncio.sleep(pause)
    return client


async def ended(rig: Rig, refusal: HttpRefusal) -> None:
    """Turned away once, the application has heard nothing, and no connection is left."""
    assert rig.turned_away == [refusal]
    assert rig.requests == []
    await rig.until(lambda: not rig.server.server_state.connections)


POST = b"POST /stream HTTP/1.1\r\nHost: x\r\n"


@on_uvloop
async def test_a_plain_request_is_answered_and_the_connection_kept():
    async with running() as rig:
        client = await rig.connect()
        for n in (1, 2, 3):
            client.writer.write(POST + b"Content-Length: 5\r\n\r\nhello")
            assert await client.head() == 200
            assert await client.reader.readexactly(2) == b"ok"
            expected = {"path": "/stream", "body": b"hello", "whole": True, "headers": ["host", "content-length"]}
            assert rig.requests == [expected] * n
        assert "date" in client.headers
        assert "server" not in client.headers


@pytest.mark.parametrize("upgrade", [False, True], ids=["request", "upgrade"])
@pytest.mark.parametrize("pieces", [1, 50])
@on_uvloop
async def test_a_header_of_17_kib_is_refused(upgrade, pieces):
    line = b"X-Big: " + b"x" * 17_000 + b"\r\n"
    kind = b"Upgrade: websocket\r\nConnection: Upgrade\r\n" if upgrade else b""
    data = b"GET /voice/ws/%b HTTP/1.1\r\nHost: x\r\n%b%b\r\n" % (CALL.encode(), kind, line)
    async with running() as rig:
        size = len(data) // pieces + 1
        client = await rig.connect()
        for at in range(0, len(data), size):
            client.writer.write(data[at : at + size])
            await asyncio.sleep(0)
        reply = await client.finish()
        assert (reply.status, reply.clean) == (431, True)
        assert rig.outcomes() == {}
        await ended(rig, HttpRefusal.HEAD_TOO_BIG)


@on_uvloop
async def test_a_head_may_have_exactly_16_kib():
    async with running() as rig:
        for size, status in ((16_384, 200), (16_385, 431)):
            head = b"GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n"
            client = await ask(rig, head.replace(b"X: ", b"X: " + b"x" * (size - len(head))))
            assert await client.head() == status


@on_uvloop
async def test_many_small_headers_count_together():
    async with running() as rig:
        client = await ask(rig, b"GET / HTTP/1.1\r\n", *[b"X: yyyy\r\n" * 100 for _ in range(19)])
        assert (await client.finish()).status == 431
        await ended(rig, HttpRefusal.HEAD_TOO_BIG)


@pytest.mark.parametrize("first", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
@on_uvloop
async def test_a_head_that_drips_in_is_refused_in_time(first):
    async with running(limits=QUICK) as rig:
        client = await ask(rig, first)
        began = time.monotonic()

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.05)
                client.writer.write(b"\r\n" if first == b"\r\n" else b"x")

        task = asyncio.create_task(drip())
        reply = await client.finish()
        task.cancel()
        assert reply.status == 408
        assert 0.15 < time.monotonic() - began < 3
        await ended(rig, HttpRefusal.HEAD_TIMEOUT)


@on_uvloop
async def test_a_connection_that_says_nothing_is_closed_without_a_word():
    async with running(limits=QUICK) as rig:
        client = await rig.connect()
        assert await asyncio.wait_for(client.reader.read(), 3) == b""
        await ended(rig, HttpRefusal.HEAD_TIMEOUT)


@on_uvloop
async def test_the_time_counts_for_a_later_request_too_and_not_while_idle():
    async with running(limits=QUICK) as rig:
        client = await ask(rig, POST + b"Content-Length: 0\r\n\r\n")
        assert await client.head() == 200
        await client.reader.readexactly(2)
        await asyncio.sleep(0.5)
        client.writer.write(b"GET /")
        assert await client.head() == 408
        assert rig.turned_away == [HttpRefusal.HEAD_TIMEOUT]


@on_uvloop
async def test_a_body_that_does_not_come_is_refused_in_time():
    async with running(limits=QUICK) as rig:
        client = await ask(rig, POST + b"Content-Length: 10\r\n\r\nabc")
        assert (await client.finish()).status == 408
        await ended(rig, HttpRefusal.BODY_TIMEOUT)


@on_uvloop
async def test_an_announced_body_over_64_kib_is_refused_at_its_head():
    async with running() as rig:
        client = await ask(rig, POST + b"Content-Length: 65537\r\n\r\n")
        assert (await client.finish()).status == 413
        await ended(rig, HttpRefusal.BODY_TOO_BIG)


@on_uvloop
async def test_a_body_of_64_kib_passes_both_ways():
    async with running() as rig:
        body = b"x" * 65536
        client = await ask(rig, POST + b"Content-Length: 65536\r\n\r\n" + body)
        assert await client.head() == 200
        chunked = b"".join(b"400\r\n" + body[:1024] + b"\r\n" for _ in range(64)) + b"0\r\n\r\n"
        client = await ask(rig, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)
        assert await client.head() == 200
        assert [request["body"] for request in rig.requests] == [body, body]


@pytest.mark.parametrize(
    "chunk",
    [b"1000\r\n" + b"x" * 4096 + b"\r\n", b"1;" + b"e" * 1000 + b"\r\nx\r\n", b"1\r\nx\r\n" * 200],
    ids=["big", "extensions", "tiny"],
)
@on_uvloop
async def test_a_chunked_body_without_end_is_refused_on_the_wire(chunk):
    async with running() as rig:
        client = await ask(rig, POST + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        while not client.reader._buffer and sent < 2_000_000:  # type: ignore[attr-defined]
            client.writer.write(chunk)
            sent += len(chunk)
            await asyncio.sleep(0)
        reply = await client.finish()
        assert (reply.status, reply.clean) == (413, True)
        assert sent < 1_000_000
        await ended(rig, HttpRefusal.BODY_TOO_BIG)


@on_uvloop
async def test_a_chunked_body_one_byte_over_is_refused_though_it_ends():
    async with running() as rig:
        client = await ask(rig, POST + b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + b"x" * 65537 + b"\r\n0\r\n\r\n")
        assert (await client.finish()).status == 413
        await ended(rig, HttpRefusal.BODY_TOO_BIG)


@on_uvloop
async def test_a_trailer_is_no_header():
    async with running() as rig:
        body = b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Twilio-Signature: late\r\n\r\n"
        client = await ask(rig, POST + body)
        assert await client.head() == 200
        assert rig.requests[0]["headers"] == ["host", "transfer-encoding"]


@on_uvloop
async def test_trailers_without_end_are_refused():
    async with running() as rig:
        client = await ask(rig, POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", *[b"T: " + b"t" * 1000 + b"\r\n"] * 140)
        assert (await client.finish()).status == 413
        await ended(rig, HttpRefusal.BODY_TOO_BIG)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        b"GET /voice/ws/%b HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nhello" % CALL.encode(),
        b"GET /voice/ws/%b HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n" % CALL.encode(),
    ],
    ids=["tls", "version", "negative length", "two lengths", "chunk size", "upgrade with a body", "chunked upgrade"],
)
@on_uvloop
async def test_what_is_not_http_is_refused(data):
    async with running() as rig:
        client = await ask(rig, data)
        assert (await client.finish()).status == 400
        assert rig.outcomes() == {}
        await ended(rig, HttpRefusal.MALFORMED)


@on_uvloop
async def test_one_request_at_a_time():
    async with running() as rig:
        one = POST + b"Content-Length: 1\r\n\r\na"
        reply = await (await ask(rig, one + one)).finish()
        assert (reply.status, reply.headers["connection"], reply.body) == (200, "close", b"ok")
        assert (len(rig.requests), rig.turned_away) == (1, [HttpRefusal.PIPELINED])


@on_uvloop
async def test_an_upgrade_to_something_else_is_answered_as_a_request():
    async with running() as rig:
        reply = await (await ask(rig, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")).finish()
        assert (reply.status, reply.body, rig.turned_away) == (200, b"ok", [])


@on_uvloop
async def test_a_port_without_streams_lets_no_websocket_in():
    async with running(streams=False) as rig:
        reply = await (await rig.upgrade()).finish()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert ([request["path"] for request in rig.requests], rig.outcomes()) == ([f"/voice/ws/{CALL}"], {})


@on_uvloop
async def test_a_client_that_waits_for_100_gets_it():
    async with running() as rig:
        client = await ask(rig, POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert await client.head() == 100
        client.writer.write(b"hello")
        assert await client.head() == 200
        assert rig.requests[0]["body"] == b"hello"


@on_uvloop
async def test_one_connection_too_many_takes_the_place_of_the_one_that_has_asked_nothing_for_the_longest_time():
    async with running(limits=HttpLimits(connections=3)) as rig:
        _, sink = await rig.stream()
        idle = [await rig.connect() for _ in range(2)]
        await rig.until(lambda: len(rig.server.server_state.connections) == 3)
        client = await ask(rig, POST + b"Content-Length: 0\r\n\r\n")
        assert await client.head() == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await idle[0].reader.readexactly(1)
        assert rig.turned_away == [HttpRefusal.DISPLACED]
        half = await ask(rig, POST + b"Content-Length: 5\r\n\r\nab")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await idle[1].reader.readexactly(1)
        idle.append(await rig.connect())
        await client.reader.readexactly(2)
        assert await client.reader.read() == b"", "an answered one is older than a request that is half there"
        half.writer.write(b"cde")
        assert await half.head() == 200
        assert rig.turned_away == [HttpRefusal.DISPLACED] * 3
        assert sink.endings == []


@on_uvloop
async def test_one_call_too_many_is_closed_at_once():
    """Calls are not displaced, and neither is a request that is being answered."""
    async with running(limits=HttpLimits(connections=1)) as rig:
        _, sink = await rig.stream()
        over = await rig.connect()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await over.reader.readexactly(1)
        assert rig.turned_away == [HttpRefusal.CONNECTIONS]
        assert sink.endings == []


@on_uvloop
async def test_an_idle_connection_is_closed():
    async with running(limits=QUICK) as rig:
        client = await ask(rig, POST + b"Content-Length: 0\r\n\r\n")
        assert (await client.finish(timeout=5)).status == 200
        assert rig.turned_away == []


@on_uvloop
async def test_signals_are_left_alone():
    before = [signal.getsignal(which) for which in (signal.SIGTERM, signal.SIGINT)]
    async with running():
        assert [signal.getsignal(which) for which in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_taken_port_is_an_error_that_can_be_told():
    with bind("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])
    assert taken.family == socket.AF_INET


@pytest.mark.parametrize("line", [b"PROXY TCP4 10.0.0.1 10.0.0.2 4321 8080\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"])
@on_uvloop
async def test_a_balancer_that_speaks_the_proxy_protocol_is_told_so(line):
    async with running() as rig:
        client = await ask(rig, line + POST + b"Content-Length: 0\r\n\r\n")
        reply = await client.finish()
        assert (reply.status, reply.body) == (400, b"proxy_protocol\n")
        await ended(rig, HttpRefusal.PROXY_PROTOCOL)


def test_connections_are_kept_longer_than_whoever_stands_before_us_keeps_them():
    """nginx 60 s, Traefik 90 s, Google's balancers 600 s, what the operator asks of an AWS balancer 3600 s."""
    assert HttpLimits().keep_alive_seconds > 3600
