"""Calls and their media streams: the REST side through the vendor's client, the sockets through a websocket server of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from contract.twilio.conftest import NOW, Ask, Clock, Silence, basic, pointed_at
from voiceassist_sim.twilio import TwilioServer

URL = "wss://assist.example.com/ws/call"


async def refused(awaitable: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        await awaitable
    return caught.value.status, caught.value.code


class Relay:
    """A websocket server in place of the relay."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.port = 0

    async def take(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        try:
            async for message in connection:
                event = json.loads(message)
                if event["event"] != "media":
                    self.events.put_nowait(event)
                if event["event"] == "stop":
                    return
        except ConnectionClosed:
            pass

    async def until(self, name: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                event = await self.events.get()
                if event["event"] == name:
                    return event


@pytest.fixture
async def relay(server: TwilioServer) -> AsyncIterator[Relay]:
    taker = Relay()
    async with serve(taker.take, "127.0.0.1", 0) as listening:
        taker.port = listening.sockets[0].getsockname()[1]
        server.connect_to["assist.example.com"] = ("127.0.0.1", taker.port)
        yield taker


@pytest.fixture
def call(server: TwilioServer, client: Client) -> Iterator[Any]:
    yield client.calls(server.create_call(Silence()).call_sid)


@asynccontextmanager
async def client_of(server: TwilioServer, user: str, password: str) -> AsyncIterator[Client]:
    http = AsyncTwilioHttpClient()
    try:
        yield pointed_at(server, Client(user, password, server.account_sid, http_client=http))
    finally:
        await http.close()


# Calls


async def test_a_call(call: Any, server: TwilioServer, clock: Clock) -> None:
    found = await call.fetch_async()
    assert (found.status, found.account_sid, found.direction) == ("in-progress", server.account_sid, "inbound")
    assert found.start_time.timestamp() == NOW
    clock.pass_(7)
    ended = await call.update_async(status="completed")
    assert (ended.status, ended.duration) == ("completed", "7")
    assert await refused(call.update_async(status="completed")) == (400, 21220)


async def test_a_call_that_does_not_exist(client: Client) -> None:
    unknown = client.calls("CA" + "0" * 32)
    assert await refused(unknown.fetch_async()) == (404, 20404)
    assert await refused(unknown.update_async(status="completed")) == (404, 20404)
    assert await refused(unknown.streams.create_async(url=URL)) == (404, 20404)


async def test_canceling_is_for_calls_that_are_not_answered(server: TwilioServer, client: Client) -> None:
    ringing = client.calls(server.create_call(Silence(), status="ringing").call_sid)
    assert await refused(ringing.streams.create_async(url=URL)) == (404, 20404)
    assert (await ringing.update_async(status="canceled")).status == "canceled"
    answered = server.create_call(Silence(), status="ringing").call_sid
    server.answer_call(answered)
    assert (await client.calls(answered).update_async(status="canceled")).status == "in-progress"


async def test_no_twiml_is_run(call: Any) -> None:
    assert await refused(call.update_async(twiml="<Response/>")) == (400, 20001)
    assert await refused(call.update_async(status="completed", url="https://example.com/twiml")) == (400, 20001)
    assert (await call.fetch_async()).status == "in-progress"
    assert await refused(call.update_async(status="ringing")) == (400, 20001)
    assert await refused(call.update_async()) == (400, 20001)


# Streams


async def test_a_stream_is_made_and_stopped(call: Any, server: TwilioServer, relay: Relay) -> None:
    made = await call.streams.create_async(
        url=URL,
        name="assist",
        track="both_tracks",
        parameter1_name="token",
        parameter1_value="t",
        parameter99_name="last",
        parameter99_value="",
    )
    assert (made.status, made.name, made.sid[:2]) == ("in-progress", "assist", "MZ")
    start = (await relay.until("start"))["start"]
    assert start["streamSid"] == made.sid
    assert start["callSid"] == made.call_sid
    assert start["tracks"] == ["inbound", "outbound"]
    assert start["customParameters"] == {"token": "t", "last": ""}
    validator = RequestValidator(server.credentials.auth_token)
    assert validator.validate(URL, {}, relay.headers[0]["x-twilio-signature"])
    assert (await call.streams(made.sid).update_async(status="stopped")).status == "stopped"
    assert (await relay.until("stop"))["stop"]["callSid"] == made.call_sid
    assert await refused(call.streams(made.sid).update_async(status="stopped")) == (404, 20404)
    server.settings.lenient.stop_stopped_stream = True
    assert (await call.streams(made.sid).update_async(status="stopped")).status == "stopped"


async def test_stopping_by_name(call: Any, relay: Relay) -> None:
    first = await call.streams.create_async(url=URL, name="assist")
    assert (await call.streams("assist").update_async(status="stopped")).sid == first.sid
    second = await call.streams.create_async(url=URL, name="assist")
    assert (await call.streams("assist").update_async(status="stopped")).sid == second.sid
    assert await refused(call.streams("assist").update_async(status="stopped")) == (404, 20404)
    assert await refused(call.streams("other").update_async(status="stopped")) == (404, 20404)
    assert await refused(call.streams(second.sid).update_async(status="in-progress")) == (400, 20001)


async def test_signed_with_the_token_in_force(call: Any, server: TwilioServer, relay: Relay) -> None:
    server.set_auth_tokens("the new one", secondary=server.credentials.auth_token)
    await call.streams.create_async(url=URL)
    await relay.until("start")
    assert RequestValidator("the new one").validate(URL, {}, relay.headers[0]["x-twilio-signature"])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://assist.example.com/ws", 31922),
        ("ws://assist.example.com/ws", 31922),
        ("wss://127.0.0.1/ws", 31923),
        ("wss://localhost/ws", 31923),
        ("wss://relay/ws", 31923),
        ("wss://relay.default.svc/ws", 31923),
        ("assist.example.com", 31923),
        ("wss://assist.example.com/ws?call=1", 31920),
        ("", 20001),
    ],
)
async def test_stream_addresses(call: Any, url: str, code: int) -> None:
    assert await refused(call.streams.create_async(url=url)) == (400, code)


async def test_a_query_is_dropped_if_lenient(call: Any, server: TwilioServer, relay: Relay) -> None:
    server.settings.lenient.stream_query_dropped = True
    await call.streams.create_async(url=f"{URL}?secret=1")
    await relay.until("start")
    assert RequestValidator(server.credentials.auth_token).validate(URL, {}, relay.headers[0]["x-twilio-signature"])


async def test_the_rest_of_a_streams_fields(call: Any, ask: Ask, server: TwilioServer) -> None:
    path = f"/api/2010-04-01/Accounts/{server.account_sid}/Calls/{server.create_call(Silence()).call_sid}/Streams.json"
    for form, code in (
        ({"Track": "both"}, 31941),
        ({"StatusCallback": "assist.example.com"}, 20001),
        ({"StatusCallback": "ftp://assist.example.com/x"}, 20001),
        ({"StatusCallbackMethod": "PUT"}, 20001),
        ({"Parameter0.Name": "a"}, 20001),
        ({"Parameter100.Name": "a"}, 20001),
        ({"Parameter1.Value": "a"}, 20001),
        ({"Parameter1.Name": "a", "Parameter2.Name": "a"}, 20001),
        ({"Parameter1.Name": "a", "Parameter1.Value": "v" * 499}, 20001),
        ({"url": "x"}, 20001),
    ):
        reply = await ask("POST", path, form={"Url": URL, **form})
        assert (reply.status, reply.code) == (400, code), form
    reply = await ask("POST", path, form={"Url": URL, "Parameter1.Name": "a", "Parameter1.Value": "v" * 498})
    assert reply.status == 200


async def test_a_name_is_taken_while_its_stream_runs(call: Any, server: TwilioServer, relay: Relay) -> None:
    await call.streams.create_async(url=URL, name="assist")
    assert await refused(call.streams.create_async(url=URL, name="assist")) == (409, 20409)
    server.settings.lenient.stream_name_reuse = True
    second = await call.streams.create_async(url=URL, name="assist")
    assert (await call.streams("assist").update_async(status="stopped")).sid == second.sid  # the newest


async def test_at_most_four_tracks_of_a_call(call: Any, client: Client, server: TwilioServer, relay: Relay) -> None:
    await call.streams.create_async(url=URL, track="both_tracks")
    last = await call.streams.create_async(url=URL, track="inbound_track")
    assert await refused(call.streams.create_async(url=URL, track="both_tracks")) == (400, 20001)
    await call.streams.create_async(url=URL, track="outbound_track")
    assert await refused(call.streams.create_async(url=URL)) == (400, 20001)
    await call.streams(last.sid).update_async(status="stopped")
    await call.streams.create_async(url=URL)
    other = client.calls(server.create_call(Silence()).call_sid)
    await other.streams.create_async(url=URL, track="both_tracks")


async def test_no_stream_on_a_call_that_is_over(call: Any, server: TwilioServer) -> None:
    await call.update_async(status="completed")
    assert await refused(call.streams.create_async(url=URL)) == (404, 20404)
    server.settings.lenient.ended_call_21220 = True
    assert await refused(call.streams.create_async(url=URL)) == (400, 21220)


async def test_streams_stop_with_their_call(call: Any, relay: Relay) -> None:
    made = await call.streams.create_async(url=URL)
    await relay.until("start")
    await call.update_async(status="completed")
    assert (await relay.until("stop"))["streamSid"] == made.sid


async def test_there_is_neither_fetch_nor_list(call: Any, server: TwilioServer, ask: Ask) -> None:
    made = await call.streams.create_async(url=URL)
    path = f"/api/2010-04-01/Accounts/{server.account_sid}/Calls/{made.call_sid}/Streams"
    assert (await ask("GET", f"{path}.json")).status == 405
    assert (await ask("GET", f"{path}/{made.sid}.json")).status == 405
    assert (await ask("POST", path, form={"Url": URL})).status == 404  # without .json that is another API


async def test_a_websocket_that_fails_shows_only_later(call: Any, server: TwilioServer) -> None:
    listener = server.feed.subscribe(lambda event: event["type"] == "stream")
    made = await call.streams.create_async(url=URL, name="assist")  # no such host
    assert made.status == "in-progress"
    async with asyncio.timeout(5):
        event = await listener.next()
    assert event is not None
    assert (event["event"], event["streamSid"], event["error"]) == ("ended", made.sid, 31902)
    assert (await call.streams.create_async(url=URL, name="assist")).sid != made.sid  # its name is free again


async def test_201_if_lenient() -> None:
    server = TwilioServer()  # not held against the specification, which declares 200 alone
    server.settings.lenient.stream_created_201 = True
    async with server, client_of(server, *server.api_key) as client:
        streams = client.calls(server.create_call(Silence()).call_sid).streams
        assert (await streams.create_with_http_info_async(url=URL)).status_code == 201
        server.settings.lenient.stream_created_201 = False
        assert (await streams.create_with_http_info_async(url=URL)).status_code == 200


async def test_the_recording_begins_with_the_first_stream_that_opens(server: TwilioServer, client: Client, relay: Relay) -> None:
    created = server.create_call(Silence(), hang_up="recording")
    call = client.calls(created.call_sid)
    listener = server.feed.subscribe(lambda event: event["type"] == "call")
    del server.connect_to["assist.example.com"]
    await call.streams.create_async(url=URL)
    server.connect_to["assist.example.com"] = ("127.0.0.1", relay.port)
    await call.streams.create_async(url=URL)
    async with asyncio.timeout(10):
        assert [(await listener.next() or {})["event"] for _ in range(2)] == ["playing", "ended"]
    assert (await call.fetch_async()).status == "completed"
    stats = [stream for stream in server.streams.stats() if stream["state"] == "stopped"]
    assert len(stats) == 1
    assert stats[0]["framesSent"] >= 50  # the whole second was heard


# Credentials


async def test_account_and_auth_token(server: TwilioServer) -> None:
    async with client_of(server, server.account_sid, server.credentials.auth_token) as client:
        sid = server.create_call(Silence()).call_sid
        assert (await client.calls(sid).fetch_async()).sid == sid
        server.set_auth_tokens("second", secondary=server.credentials.auth_token)
        assert (await client.calls(sid).fetch_async()).sid == sid  # still good while it is the secondary one
        server.set_auth_tokens("second")
        assert await refused(client.calls(sid).fetch_async()) == (401, 20003)


async def test_api_keys_come_and_go(server: TwilioServer) -> None:
    key = "SK" + "e" * 32
    async with client_of(server, key, "secret") as client:
        services = client.sync.v1.services
        assert await refused(services.create_async()) == (401, 20003)
        server.set_api_key(key, "secret")
        assert (await services.create_async()).sid.startswith("IS")
        server.set_api_key(key, "another")
        assert await refused(services.create_async()) == (401, 20003)


async def test_no_good_credentials(server: TwilioServer, ask: Ask) -> None:
    key, secret = server.api_key
    for user, password in (
        (key, "wrong"),
        (server.account_sid, secret),
        (key, server.credentials.auth_token),
        ("AC" + "0" * 32, "x"),
        ("", ""),
    ):
        async with client_of(server, user or "x", password or "y") as client:
            assert await refused(client.sync.v1.services.create_async()) == (401, 20003)
    good = basic(*server.api_key)["Authorization"].removeprefix("Basic ")
    for header in ("", f"Bearer {good}", good, "Basic", "Basic !!!", "Basic eA=="):
        reply = await ask("GET", "/sync/v1/Services", headers={"Authorization": header})
        assert (reply.status, reply.code) == (401, 20003)
        assert reply.headers["WWW-Authenticate"].startswith("Basic")


async def test_the_account_in_the_path_is_the_own_one(server: TwilioServer, ask: Ask) -> None:
    sid = server.create_call(Silence()).call_sid
    reply = await ask("GET", f"/api/2010-04-01/Accounts/{'AC' + '0' * 32}/Calls/{sid}.json")
    assert (reply.status, reply.code) == (401, 20003)
