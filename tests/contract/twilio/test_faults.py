"""Failures on request, and the limit of concurrent requests."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from contract.twilio.conftest import Ask, basic
from voiceassist_sim.twilio import FaultKind, FaultRule, TwilioServer

SERVICES = "/sync/v1/Services"


async def test_too_many_requests(server: TwilioServer, client: Client, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.TOO_MANY, path="/sync/", times=2))
    with pytest.raises(TwilioRestException) as caught:
        await client.sync.v1.services.create_async()
    assert (caught.value.status, caught.value.code) == (429, 20429)
    assert "Retry-After" not in (await ask("GET", SERVICES)).headers
    assert (await ask("GET", SERVICES)).body["services"] == []  # not processed, and twice only
    server.set_faults(FaultRule(FaultKind.TOO_MANY, retry_after=3))
    assert (await ask("GET", SERVICES)).headers["Retry-After"] == "3"


async def test_server_errors(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.SERVER_ERROR, times=1), FaultRule(FaultKind.SERVER_ERROR, status=503))
    assert ((await ask("POST", SERVICES)).code, (await ask("POST", SERVICES)).code) == (20500, 20503)
    server.set_faults()
    assert (await ask("GET", SERVICES)).body["services"] == []


async def test_stored_then_500(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.STORED_THEN_500, method="POST"))
    reply = await ask("POST", SERVICES, form={"FriendlyName": "kept"})
    assert (reply.status, reply.code) == (500, 20500)
    assert [one["friendly_name"] for one in (await ask("GET", SERVICES)).body["services"]] == ["kept"]
    assert (await ask("POST", SERVICES, form={"Nothing": "x"})).status == 400  # what is refused is refused


async def test_by_path_and_method(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.SERVER_ERROR, path=r"^/sync/v1/Services$", method="POST"))
    assert (await ask("POST", SERVICES)).status == 500
    assert (await ask("GET", SERVICES)).status == 200
    assert (await ask("GET", "/flex-api/v1/Configuration")).status == 200


async def test_shares_are_repeatable(server: TwilioServer, ask: Ask) -> None:
    async def statuses() -> list[int]:
        server.set_faults(FaultRule(FaultKind.TOO_MANY, share=0.3), FaultRule(FaultKind.SERVER_ERROR, share=0.3), seed=7)
        return [(await ask("GET", SERVICES)).status for _ in range(60)]

    first = await statuses()
    assert first == await statuses()
    assert {200, 429, 500} == set(first)


async def test_latency(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.LATENCY, seconds=0.1), FaultRule(FaultKind.LATENCY, seconds=0.1, after=True))
    begin = time.perf_counter()
    assert (await ask("GET", SERVICES)).status == 200
    assert time.perf_counter() - begin >= 0.2


async def test_cut_connections(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.CUT, method="POST"))
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask("POST", SERVICES)
    assert (await ask("GET", SERVICES)).body["services"] == []
    server.set_faults(FaultRule(FaultKind.CUT, method="POST", after=True))
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask("POST", SERVICES)
    assert len((await ask("GET", SERVICES)).body["services"]) == 1


async def test_hanging(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.HANG, method="POST", after=True, times=1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await ask("POST", SERVICES)
    assert len((await ask("GET", SERVICES)).body["services"]) == 1
    server.set_faults(FaultRule(FaultKind.HANG))
    hanging = asyncio.create_task(ask("GET", SERVICES))
    while server.faults.fired != [1]:
        await asyncio.sleep(0.005)
    begin = time.perf_counter()
    await server.close()  # does not wait for it
    assert time.perf_counter() - begin < 5
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_concurrent_requests(server: TwilioServer, ask: Ask) -> None:
    server.settings.max_concurrent_requests = 2
    server.set_faults(FaultRule(FaultKind.LATENCY, seconds=0.3, times=2))
    slow = [asyncio.create_task(ask("POST", SERVICES)) for _ in range(2)]
    while server.faults.fired != [2]:
        await asyncio.sleep(0.005)
    reply = await ask("POST", SERVICES)
    assert (reply.status, reply.code) == (429, 20429)
    assert [(await one).status for one in slow] == [201, 201]
    reply = await ask("POST", SERVICES)
    assert (reply.status, reply.headers["Twilio-Concurrent-Requests"]) == (201, "1")


async def test_a_body_must_arrive_in_time(server: TwilioServer) -> None:
    server.settings.body_timeout = 0.1
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    credentials = basic(*server.api_key)["Authorization"]
    writer.write(f"POST {SERVICES} HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\nContent-Length: 100\r\n\r\nFriendly".encode())
    async with asyncio.timeout(5):
        assert b"408" in await reader.readline()
    writer.close()
    await writer.wait_closed()
