"""Status callbacks, received by a real HTTP server and checked with Twilio's own package."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from voiceassist_sim.twilio.streams import Dialer, StreamFaults, StreamRefused, open_stream

from .conftest import CALL, HOST, TOKEN

CALLBACK = f"https://{HOST}/callbacks/stream?call={CALL}"
ACCOUNT = "AC" + "2" * 32
STREAM = "MZ" + "3" * 32


class Callbacks:
    """What arrived at the callback address, with the signature checked over the public URL."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.valid: list[bool] = []
        self.headers: list[dict[str, str]] = []
        self.status = 204
        self.port = 0
        self.hold: asyncio.Event | None = None

    async def receive(self, request: web.Request) -> web.Response:
        if self.hold is not None:
            await self.hold.wait()
        form = dict(await request.post()) if request.method == "POST" else {}
        url = f"https://{request.headers['Host']}{request.raw_path}"
        self.valid.append(RequestValidator(TOKEN).validate(url, form, request.headers["X-Twilio-Signature"]))
        self.got.append(form or {name: value for name, value in request.query.items() if name != "call"})
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(status=self.status)

    def dialer(self, relay, ca=None, **options):
        return Dialer(
            {HOST: ("127.0.0.1", relay.port), "cb.example.com": ("127.0.0.1", self.port)},
            ca,
            **options,
        )


@asynccontextmanager
async def listening(**site: object) -> AsyncIterator[Callbacks]:
    callbacks = Callbacks()
    app = web.Application()
    app.router.add_route("*", "/callbacks/stream", callbacks.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0, **site)
    await tcp.start()
    callbacks.port = runner.addresses[0][1]
    try:
        yield callbacks
    finally:
        if callbacks.hold is not None:
            callbacks.hold.set()
        await runner.cleanup()


@pytest.fixture
async def callbacks() -> AsyncIterator[Callbacks]:
    async with listening() as running:
        yield running


URL = f"https://cb.example.com/callbacks/stream?call={CALL}"


async def played(request, recording, dialer, faults=None, until_ms=40):
    try:
        stream = await open_stream(request, recording, TOKEN, dialer, faults, until_ms=until_ms)
    except StreamRefused:
        return None
    async with asyncio.timeout(10):
        await stream.ended()
    return stream


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_started_and_stopped_are_told_in_order_and_signed(relay, request_of, recording, callbacks, method):
    request = request_of(status_callback=URL, status_callback_method=method)
    stream = await played(request, recording, callbacks.dialer(relay))
    assert callbacks.valid == [True, True]
    assert [got["StreamEvent"] for got in callbacks.got] == ["stream-started", "stream-stopped"]
    for got in callbacks.got:
        assert datetime.fromisoformat(got.pop("Timestamp")).tzinfo is not None
        del got["StreamEvent"]
        assert got == {"AccountSid": ACCOUNT, "CallSid": CALL, "StreamSid": STREAM, "StreamName": "assist_" + CALL}
    assert callbacks.headers[0]["host"] == "cb.example.com"
    assert callbacks.headers[0]["i-twilio-idempotency-token"] != callbacks.headers[1]["i-twilio-idempotency-token"]
    assert [(each["event"], each["status"]) for each in stream.stats["callbacks"]] == [("stream-started", 204), ("stream-stopped", 204)]


async def test_a_stream_without_a_name_is_named_by_its_sid(relay, request_of, recording, callbacks):
    await played(request_of(status_callback=URL, name=None), recording, callbacks.dialer(relay))
    assert {got["StreamName"] for got in callbacks.got} == {STREAM}


async def test_a_refused_handshake_is_a_stream_error_and_nothing_else(relay, request_of, recording, callbacks):
    relay.process_request = lambda connection, _: connection.respond(403, "no")
    await played(request_of(status_callback=URL), recording, callbacks.dialer(relay))
    assert callbacks.valid == [True]
    assert [(got["StreamEvent"], got["StreamError"]) for got in callbacks.got] == [("stream-error", "31920")]


async def test_an_error_while_streaming_comes_after_started(relay, request_of, recording, callbacks):
    async def close(websocket, _):
        await websocket.recv()
        await websocket.close(1012)

    relay.behaviour = close
    await played(request_of(status_callback=URL), recording, callbacks.dialer(relay), until_ms=None)
    assert [(got["StreamEvent"], got.get("StreamError")) for got in callbacks.got] == [("stream-started", None), ("stream-error", "31921")]


async def test_other_readings_of_an_error(relay, request_of, recording, callbacks):
    async def close(websocket, _):
        await websocket.recv()
        await websocket.close(1012)

    relay.behaviour = close
    faults = StreamFaults(stopped_after_error=True, error_text=True)
    await played(request_of(status_callback=URL), recording, callbacks.dialer(relay), faults, until_ms=None)
    assert [got["StreamEvent"] for got in callbacks.got] == ["stream-started", "stream-error", "stream-stopped"]
    assert "closed by the server" in callbacks.got[1]["StreamError"]


async def test_callbacks_can_get_lost(relay, request_of, recording, callbacks):
    await played(request_of(status_callback=URL), recording, callbacks.dialer(relay), StreamFaults(no_callbacks=True))
    assert callbacks.got == []


async def test_a_callback_is_tried_once_and_its_failure_is_on_record(relay, request_of, recording, callbacks):
    callbacks.status = 503
    stream = await played(request_of(status_callback=URL), recording, callbacks.dialer(relay))
    assert [each["status"] for each in stream.stats["callbacks"]] == [503, 503]
    assert len(callbacks.got) == 2


async def test_a_callback_that_hangs_holds_up_neither_audio_nor_the_end(relay, request_of, recording, callbacks):
    callbacks.hold = asyncio.Event()
    dialer = callbacks.dialer(relay, callback_timeout=0.2)
    stream = await played(request_of(status_callback=URL), recording, dialer, until_ms=100)
    assert stream.stats["framesSent"] == 10
    assert ["no answer" in each["error"] for each in stream.stats["callbacks"]] == [True, True]


@pytest.mark.parametrize(
    ("address", "word"),
    [("https://elsewhere.example.com/x", "connect-to"), ("ftp://cb.example.com/x", "http or https"), ("nonsense", "http or https")],
)
async def test_an_address_that_leads_nowhere_is_on_record(relay, request_of, recording, callbacks, address, word):
    stream = await played(request_of(status_callback=address), recording, callbacks.dialer(relay))
    assert stream.state == "stopped"
    assert all(word in each["error"] for each in stream.stats["callbacks"])


async def test_an_answer_that_is_not_http_is_on_record(relay, request_of, recording, callbacks):
    async def answer(_, writer):
        writer.write(b"hello\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        callbacks.port = server.sockets[0].getsockname()[1]
        stream = await played(request_of(status_callback=URL), recording, callbacks.dialer(relay))
    assert all(each["status"] is None and each["error"] for each in stream.stats["callbacks"])


async def test_with_a_ca_callbacks_use_tls(relay, request_of, recording, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with listening(ssl_context=context) as secure:
        dialer = Dialer({HOST: ("127.0.0.1", secure.port)}, certificate[0])
        # The websocket's upgrade ends in a 404 there; that is told over TLS too.
        await played(request_of(status_callback=f"https://{HOST}/callbacks/stream"), recording, dialer)
    assert [(got["StreamEvent"], got["StreamError"]) for got in secure.got] == [("stream-error", "31920")]
    assert secure.valid == [True]
