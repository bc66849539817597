from __future__ import annotations

import base64
import json as jsonlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client
from yarl import URL

from contract.twilio.answers import AnswerCheck
from voiceassist_sim.twilio import TwilioServer

NOW = 1_800_000_000.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Silence:
    """A recording of so many seconds."""

    customer: bytes = b"\xff" * 8000
    agent: bytes | None = None


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> int:
        return int(self.body["code"])


Ask = Callable[..., Awaitable[Reply]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[TwilioServer]:
    """The stand-in; the test fails if any of its answers does not fit the published specification."""
    check = AnswerCheck()
    async with TwilioServer(clock=clock, on_exchange=check) as running:
        yield running
    assert check.problems == []


@pytest.fixture
async def client(server: TwilioServer) -> AsyncIterator[Client]:
    """The vendor's own client, pointed at the stand-in."""
    http = AsyncTwilioHttpClient()
    yield pointed_at(server, Client(*server.api_key, server.account_sid, http_client=http))
    await http.close()


def pointed_at(server: TwilioServer, client: Client) -> Client:
    for domain in ("api", "sync", "taskrouter", "flex_api", "serverless"):
        getattr(client, domain).base_url = server.template.format(product=domain.replace("_", "-"))
    return client


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
async def ask(server: TwilioServer) -> AsyncIterator[Ask]:
    """Plain HTTP: ``await ask("POST", "/sync/v1/Services", form={...})``; credentials are the API key's unless headers say otherwise."""

    async with aiohttp.ClientSession() as session:

        async def send(
            method: str,
            path: str,
            *,
            form: Mapping[str, str] | None = None,
            json: Any = None,
            data: bytes | None = None,
            headers: Mapping[str, str] | None = None,
        ) -> Reply:
            given = {**basic(*server.api_key), **(headers or {})}
            if form is not None:
                given["Content-Type"], data = "application/x-www-form-urlencoded", urlencode(form).encode()
            elif json is not None:
                given["Content-Type"], data = "application/json", jsonlib.dumps(json).encode()
            url = URL(server.url + path, encoded=True)
            async with session.request(method, url, data=data, headers=given, skip_auto_headers=["Content-Type"]) as response:
                text = await response.text()
                return Reply(response.status, response.headers.copy(), jsonlib.loads(text) if text else None)

        yield send


@pytest.fixture
async def service(client: Client) -> Any:
    made = await client.sync.v1.services.create_async(friendly_name="voiceassist/test", acl_enabled=True)
    return client.sync.v1.services(made.sid)


async def refused(awaitable: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        await awaitable
    return caught.value.status, caught.value.code
