"""Every way in which a websocket does not open, and the code that Twilio has for it."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from voiceassist_sim.twilio.streams import Dialer, StreamFaults, StreamRefused, open_stream, play

from .conftest import CALL, HOST, TOKEN


async def refused(request, recording, dialer, faults=None):
    with pytest.raises(StreamRefused) as caught:
        await open_stream(request, recording, TOKEN, dialer, faults)
    return caught.value


@asynccontextmanager
async def raw_server(answer):
    """A TCP server that reads the request's head and answers with these bytes, then ends the connection (None: never)."""
    done = asyncio.Event()

    async def serve_one(reader, writer):
        if answer is None:
            await done.wait()
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve_one, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        done.set()


@pytest.mark.parametrize("status", [403, 404, 503, 200, 301])
async def test_any_status_but_101_is_31920_with_status_and_body(relay, request_of, recording, status):
    relay.process_request = lambda connection, _: connection.respond(status, f"because of {status}\n")
    failure = await refused(request_of(), recording, relay.dialer())
    assert (failure.code, failure.status, failure.body) == (31920, status, f"because of {status}\n".encode())
    assert relay.heard == []


async def test_play_returns_the_failed_stream_instead(relay, recording):
    relay.process_request = lambda connection, _: connection.respond(403, "no")
    stream = await play(f"wss://{HOST}/ws/{CALL}", recording, auth_token=TOKEN, dialer=relay.dialer(), call_sid=CALL)
    assert stream.state == "failed"
    error = stream.stats["error"]
    assert (error["code"], error["status"], error["body"]) == (31920, 403, "no")
    assert [each["code"] for each in stream.stats["errors"]] == [31920]
    assert stream.stats["framesSent"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=["nothing", "no-http", "wrong-accept", "bare-101"],
)
async def test_an_answer_that_is_no_right_101_is_31920(request_of, recording, answer):
    async with raw_server(answer) as port:
        failure = await refused(request_of(), recording, Dialer({HOST: ("127.0.0.1", port)}, None))
    assert failure.code == 31920


async def test_a_name_without_an_entry_is_never_dialled(request_of, recording):
    failure = await refused(request_of(), recording, Dialer({"other.example.com": ("127.0.0.1", 1)}, None))
    assert failure.code == 31902
    assert "connect-to" in failure.detail


async def test_an_entry_may_name_the_port_and_wins_over_the_host_alone(relay, request_of, recording):
    dialer = Dialer({HOST: ("127.0.0.1", 1), f"{HOST}:8443": ("127.0.0.1", relay.port)}, None)
    request = request_of(url=f"wss://{HOST}:8443/ws/1")
    async with await open_stream(request, recording, TOKEN, dialer) as stream:
        assert stream.state == "streaming"
    assert relay.heard[0].headers["host"] == f"{HOST}:8443"


async def test_a_refused_connection_is_31902(request_of, recording):
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    failure = await refused(request_of(), recording, Dialer({HOST: ("127.0.0.1", port)}, None))
    assert failure.code == 31902


async def test_a_server_that_never_answers_the_upgrade_is_31901(request_of, recording):
    async with raw_server(None) as port:
        failure = await refused(request_of(), recording, Dialer({HOST: ("127.0.0.1", port)}, None, handshake_timeout=0.1))
    assert failure.code == 31901


@pytest.mark.parametrize(
    ("url", "code"),
    [(f"ws://{HOST}/ws/1", 31922), ("wss://127.0.0.1/ws/1", 31923), (f"wss://{HOST}/ws/1?token=x", 31920)],
)
async def test_an_address_that_twilio_does_not_take_is_not_dialled(relay, request_of, recording, url, code):
    failure = await refused(
        request_of(url=url), recording, Dialer({HOST: ("127.0.0.1", relay.port), "127.0.0.1": ("127.0.0.1", relay.port)}, None)
    )
    assert failure.code == code
    assert relay.heard == []


async def test_dropping_the_query_is_the_other_reading(relay, request_of, recording):
    request = request_of(url=f"wss://{HOST}/ws/1?token=x")
    async with await open_stream(request, recording, TOKEN, relay.dialer(), StreamFaults(drop_query=True)):
        pass
    assert relay.heard[0].path == "/ws/1"


@asynccontextmanager
async def tls_relay(relay, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    names = []
    context.sni_callback = lambda _, name, __: names.append(name)
    async with serve(relay.serve, "127.0.0.1", 0, ssl=context) as server:
        yield next(iter(server.sockets)).getsockname()[1], names


async def test_with_a_ca_the_connection_is_tls_for_the_public_name(relay, request_of, recording, certificate):
    async with tls_relay(relay, certificate) as (port, names):
        dialer = Dialer({HOST: ("127.0.0.1", port)}, certificate[0])
        stream = await open_stream(request_of(), recording, TOKEN, dialer, until_ms=60)
        await stream.ended()
    assert names == [HOST]
    assert stream.state == "stopped"
    assert len(relay.heard[0].events("media")) == 6


async def test_a_certificate_for_another_name_is_31910(relay, request_of, recording, certificate):
    async with tls_relay(relay, certificate) as (port, _):
        dialer = Dialer({"other.example.com": ("127.0.0.1", port)}, certificate[0])
        failure = await refused(request_of(url="wss://other.example.com/ws/1"), recording, dialer)
    assert failure.code == 31910
    assert relay.heard == []


async def test_a_server_without_tls_is_31910(relay, request_of, recording, certificate):
    failure = await refused(request_of(), recording, Dialer({HOST: ("127.0.0.1", relay.port)}, certificate[0]))
    assert failure.code == 31910


async def test_a_failed_opening_leaves_no_socket_and_tells_its_owner_once(relay, request_of, recording):
    ended = []
    relay.process_request = lambda connection, _: connection.respond(403, "no")
    with pytest.raises(StreamRefused):
        await open_stream(request_of(), recording, TOKEN, relay.dialer(), on_ended=ended.append)
    assert [stream.state for stream in ended] == ["failed"]
