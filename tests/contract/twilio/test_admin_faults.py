"""Failures of what an operator does: refusals, stored then nothing, held answers, a suspended account; and the count of its requests."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from twilio.rest import Client

from contract.twilio.conftest import Ask, basic
from voiceassist_sim.twilio import FaultKind, FaultRule, TwilioServer

SERVICES = "/sync/v1/Services"
SERVERLESS = "/serverless/v1/Services"
FORM = {"UniqueName": "assist", "FriendlyName": "Assist"}


async def names(ask: Ask) -> list[str]:
    return [one["unique_name"] for one in (await ask("GET", SERVERLESS)).body["services"]]


@pytest.mark.parametrize(
    ("rule", "answer", "stored"),
    [
        ({"kind": "429"}, (429, 20429), False),
        ({"kind": "429", "retry_after": 2, "code": 45780}, (429, 45780), False),
        ({"kind": "5xx"}, (500, 20500), False),
        ({"kind": "5xx", "status": 503}, (503, 20503), False),
        ({"kind": "5xx", "status": 502, "code": 20500, "message": "Bad Gateway"}, (502, 20500), False),
        ({"kind": "refuse", "status": 403, "code": 20403}, (403, 20403), False),
        ({"kind": "refuse", "status": 409}, (409, 20409), False),
        ({"kind": "stored-then-500"}, (500, 20500), True),
        ({"kind": "stored-then-500", "status": 503}, (503, 20503), True),
        ({"kind": "cut"}, None, False),
        ({"kind": "cut", "after": True}, None, True),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else None,
)
async def test_before_and_after_the_write(ask: Ask, rule: dict[str, object], answer: tuple[int, int] | None, stored: bool) -> None:
    await ask("PUT", "/_sim/faults", json={"rules": [{"path": "^/serverless/", "method": "POST", "times": 1, **rule}]})
    if answer is None:
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask("POST", SERVERLESS, form=FORM)
    else:
        reply = await ask("POST", SERVERLESS, form=FORM)
        assert (reply.status, reply.code) == answer
        assert reply.headers.get("Retry-After") == (str(rule["retry_after"]) if "retry_after" in rule else None)
        assert reply.body["message"] == rule.get("message", reply.body["message"])
    assert await names(ask) == (["assist"] if stored else [])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_answer_is_held_until_it_is_released(server: TwilioServer, ask: Ask, after: bool) -> None:
    server.set_faults(FaultRule(FaultKind.HOLD, method="POST", after=after, times=1))
    waiting = asyncio.create_task(ask("POST", SERVERLESS, form=FORM))
    await server.holds.reached()
    assert (await ask("GET", "/_sim/faults")).body["held"] == 1
    assert await names(ask) == (["assist"] if after else [])
    assert not waiting.done()
    assert (await ask("POST", "/_sim/faults/release")).body == {"released": 1}
    assert (await waiting).status == 201
    assert await names(ask) == ["assist"]
    assert (await ask("POST", "/_sim/faults/release")).body == {"released": 0}


async def test_a_client_that_gives_up_is_not_held(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.HOLD, method="POST", after=True, times=1))
    waiting = asyncio.create_task(ask("POST", SERVERLESS, form=FORM))
    await server.holds.reached()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(10):
        while server.holds.count:
            await asyncio.sleep(0.005)
    assert await names(ask) == ["assist"]
    with pytest.raises(TimeoutError):
        await server.holds.reached(seconds=0.01)


async def test_the_third_write_is_struck(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.SERVER_ERROR, path="^/(sync|serverless)/", method="POST,DELETE", skip=2, times=1))
    sid = (await ask("POST", SERVICES)).body["sid"]
    assert (await ask("GET", SERVICES)).status == 200
    assert (await ask("POST", SERVERLESS, form=FORM)).status == 201
    assert (await ask("DELETE", f"{SERVICES}/{sid}")).status == 500
    assert (await ask("DELETE", f"{SERVICES}/{sid}")).status == 204


@pytest.mark.parametrize("bad", [{"kind": "refuse", "status": 399}, {"kind": "429", "skip": -1}, {"kind": "5xx", "code": 7}])
async def test_rules_that_do_not_fit(ask: Ask, bad: dict[str, object]) -> None:
    assert (await ask("PUT", "/_sim/faults", json={"rules": [bad]})).status == 400


@pytest.mark.parametrize(("code", "status"), [(20003, 401), (20005, 403), (20403, 403)])
async def test_a_suspended_account(ask: Ask, code: int, status: int) -> None:
    await ask("PUT", "/_sim/settings", json={"suspended": code})
    for path in (SERVICES, SERVERLESS, "/flex-api/v1/Configuration"):
        reply = await ask("GET", path)
        assert (reply.status, reply.code) == (status, code)
    assert (await ask("GET", SERVICES, headers=basic("AC1", "x"))).code == 20003  # wrong credentials are found first
    assert (await ask("PUT", "/_sim/settings", json={"lenient": {}})).body["suspended"] == code
    assert (await ask("PUT", "/_sim/settings", json={"suspended": 1})).status == 400
    await ask("PUT", "/_sim/settings", json={"suspended": None})
    assert (await ask("GET", SERVICES)).status == 200


async def test_credentials_that_were_good(server: TwilioServer, ask: Ask) -> None:
    sid, secret = server.api_key
    await ask("PUT", "/_sim/settings", json={"apiKeys": {sid: "another"}})
    for path in (SERVERLESS, "/serverless-upload/v1/Services/ZS1/Functions/ZH1/Versions"):
        reply = await ask("GET", path, headers=basic(sid, secret))
        assert (reply.status, reply.code) == (401, 20003)
    assert (await ask("GET", SERVERLESS, headers=basic(sid, "another"))).status == 200


# Counting


async def test_requests_are_counted_from_a_mark(server: TwilioServer, client: Client, ask: Ask) -> None:
    await ask("GET", SERVICES)
    mark = (await ask("POST", "/_sim/requests/mark")).body["mark"]
    assert (await ask("GET", f"/_sim/requests/count?since={mark}")).body == {"total": 0, "by": {}, "mostAtOnce": 0}
    await asyncio.gather(*(client.sync.v1.services.create_async() for _ in range(3)))
    await client.sync.v1.services.list_async()
    await ask("GET", SERVERLESS)
    counted = (await ask("GET", f"/_sim/requests/count?since={mark}")).body
    assert (counted["total"], counted["by"]) == (5, {"sync": {"POST": 3, "GET": 1}, "serverless": {"GET": 1}})
    assert 1 <= counted["mostAtOnce"] <= 3
    assert (await ask("GET", "/_sim/requests/count")).body["total"] == 6
    since = server.journal.since(mark)
    assert (since.of("sync"), since.of(method="GET"), since.of("sync", "GET"), since.of("flex-api")) == (4, 2, 1, 0)
    for bad in ("99", "x"):
        assert (await ask("GET", f"/_sim/requests/count?since={bad}")).status == 400


async def test_the_most_at_once(server: TwilioServer, ask: Ask) -> None:
    server.set_faults(FaultRule(FaultKind.HOLD, times=4))
    slow = [asyncio.create_task(ask("GET", SERVICES)) for _ in range(4)]
    await server.holds.reached(4)
    assert server.journal.since().most_at_once == 4
    assert server.holds.release() == 4
    assert [(await one).status for one in slow] == [200] * 4
    mark = server.journal.mark()
    await ask("GET", SERVICES)
    assert server.journal.since(mark).most_at_once == 1
