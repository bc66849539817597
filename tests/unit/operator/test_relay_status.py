"""Asking relays for their status, over real HTTP: of this version and of others, answers that cannot be read, and none."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from unit.operator.making import status
from voiceassist_crds.endpoint_report import ENDPOINT_HEADER
from voiceassist_crds.names import PLACES_HEADER, RELAYS_HEADER
from voiceassist_operator.controller import relay_status
from voiceassist_operator.controller.relay_status import RelayPoller
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.policy.endpoint_answers import report_of
from voiceassist_operator.policy.observed import Endpoint, EndpointFact

WELL = json.loads(status("aaaa", active_calls=2).to_json())
LATER = {**WELL, "capabilities": ["moves"], "model": {"ok": False, "reason": "Overheated", "since": 1, "region": "x"}}
Answer = Callable[[], web.StreamResponse]


class Relay:
    """A pod that answers what the test says."""

    def __init__(self) -> None:
        self.body: str = json.dumps(WELL)
        self.code = 200
        self.chunks = 1
        self.told: list[str | None] = []
        self.places: list[str | None] = []
        self.relays: list[str | None] = []
        self.metrics = OperatorMetrics()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.told.append(request.headers.get(ENDPOINT_HEADER))
        self.places.append(request.headers.get(PLACES_HEADER))
        self.relays.append(request.headers.get(RELAYS_HEADER))
        if self.chunks == 1:
            return web.Response(text=self.body, status=self.code, content_type="application/json")
        response = web.StreamResponse(status=self.code)
        await response.prepare(request)
        size = len(self.body) // self.chunks + 1
        for start in range(0, len(self.body), size):
            await response.write(self.body[start : start + size].encode())
            await asyncio.sleep(0.02)
        return response

    def counted(self, what: str) -> float:
        return self.metrics.registry.get_sample_value("voiceassist_operator_other_version_total", {"what": what}) or 0.0


@contextlib.asynccontextmanager
async def asking() -> AsyncIterator[tuple[Relay, RelayPoller]]:
    relay, app = Relay(), web.Application()
    app.router.add_get("/status", relay.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield relay, RelayPoller(http, relay.metrics, runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def ask(poller: RelayPoller) -> Any:
    return (await poller.ask_all([("pod", "127.0.0.1"), ("new", "")]))["pod"]


async def test_relay_status_a_relay_of_this_version() -> None:
    async with asking() as (relay, poller):
        answer = await ask(poller)
        assert (answer.status.active_calls, answer.unreadable) == (2, False)
        assert (relay.counted("relay_status"), relay.counted("relay_status_field")) == (0, 0)
        assert set(await poller.ask_all([("new", "")])) == set(), "a pod without an address is not asked"


async def test_relay_status_a_relay_is_told_what_a_dial_of_its_public_address_found() -> None:
    async with asking() as (relay, poller):
        for found in (None, EndpointFact(Endpoint.OK), EndpointFact(Endpoint.ALTERED, "words that stay here", "no_signature")):
            await poller.ask_all([("pod", "127.0.0.1")], report_of(found))
        assert relay.told == [None, "EndpointOK", "RequestAltered/no_signature"]


async def test_relay_status_relays_are_told_who_answers() -> None:
    async with asking() as (relay, poller):
        await ask(poller)
        await ask(poller)
        relay.code = 503
        await ask(poller)
        await ask(poller)
        here = f"127.0.0.1:{poller._port}"
        assert relay.relays == [None, here, here, ""], "one that does not answer is left out from the next question on"


async def test_relay_status_an_answer_in_pieces_is_read_to_its_end() -> None:
    async with asking() as (relay, poller):
        relay.chunks = 5
        assert (await ask(poller)).status.active_calls == 2


async def test_relay_status_a_later_relay_is_read_and_what_is_unknown_counted_once() -> None:
    async with asking() as (relay, poller):
        relay.body = json.dumps(LATER)
        for _ in range(3):
            answer = await ask(poller)
            assert (answer.status.active_calls, answer.status.model.ok, answer.unreadable) == (2, False, False)
        assert relay.counted("relay_status_field") == 2
        relay.body = json.dumps({**LATER, "more": 1})
        await ask(poller)
        assert relay.counted("relay_status_field") == 3


@pytest.mark.parametrize("body", ['{"version": 2}', "[]", "no JSON", "", json.dumps({**WELL, "activeCalls": "many"})])
async def test_relay_status_what_cannot_be_read_is_told_apart_from_silence(body: str) -> None:
    async with asking() as (relay, poller):
        relay.body = body
        for _ in range(3):
            answer = await ask(poller)
            assert (answer.status, answer.unreadable) == (None, True)
        assert relay.counted("relay_status") == 1
        relay.body = json.dumps(WELL)
        assert (await ask(poller)).status is not None
        relay.body = body
        answer = await ask(poller)
        assert (answer.status is not None, answer.unreadable) == (True, True), "the last status stands for a while"
        assert relay.counted("relay_status") == 2


async def test_relay_status_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as (relay, poller):
        assert (await ask(poller)).status is not None
        relay.code = 503
        answer = await ask(poller)
        assert (answer.status is not None, answer.unreadable, answer.late) == (True, False, True)
        monkeypatch.setattr(relay_status, "SILENT_SECONDS", 0.0)
        assert (await ask(poller)).status is None
        relay.code, relay.body = 200, "x" * (relay_status.MAX_BYTES + 1)
        assert (await ask(poller)).unreadable is False, "what is too long is not read at all"


async def test_relay_status_one_lost_answer_is_no_news_however_seldom_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as (relay, poller):
        now = 1000.0
        monkeypatch.setattr(relay_status.time, "monotonic", lambda: now)
        assert not (await ask(poller)).late
        now, relay.code = 1045.0, 503
        assert (await ask(poller)).late
        now, relay.code = 1050.0, 200
        assert not (await ask(poller)).late
        now, relay.code = 1095.0, 503
        assert (await ask(poller)).late
        now = 1095.0 + relay_status.SILENT_SECONDS
        assert (await ask(poller)).status is None


async def test_relay_status_each_relay_is_told_what_places_the_others_have() -> None:
    async with asking() as (relay, poller):
        pods = [("one", "127.0.0.1"), ("two", "127.0.0.1"), ("three", "127.0.0.1")]
        await poller.ask_all(pods[:1])
        await poller.ask_all(pods[:1])
        assert relay.places == [None, "0"], "nothing is known at first; then that there is no other"
        await poller.ask_all(pods)
        await poller.ask_all(pods)
        free = WELL["maxCalls"] - 2
        assert relay.places[-3:] == [str(2 * free)] * 3


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, 8),
        ({"active_calls": 12}, 0),
        ({"draining": True, "ready": False}, 0),
        ({"ready": False}, 0),
    ],
)
def test_relay_status_a_relay_that_takes_no_calls_has_no_places(changes: dict[str, Any], free: int) -> None:
    assert relay_status.places(status("aaaa", **{"active_calls": 2, "max_calls": 10, **changes})) == free


async def test_relay_status_the_same_answer_is_the_same_status() -> None:
    async with asking() as (relay, poller):
        first = await ask(poller)
        assert (await ask(poller)).status is first.status, "nothing is read twice"
        relay.code = 503
        assert (await ask(poller)).late
        relay.code = 200
        again = await ask(poller)
        assert (again.status is first.status, again.late) == (True, False)
        relay.body = relay.body.replace('"activeCalls": 2', '"activeCalls": 3')
        assert (await ask(poller)).status.active_calls == 3
