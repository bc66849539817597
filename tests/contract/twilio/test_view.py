"""What the holder of an access token sees of Sync; the tokens are made by the vendor's package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import jwt
import pytest
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import SyncGrant
from twilio.rest import Client

from contract.twilio.conftest import NOW, Ask, Clock, Reply
from voiceassist_sim.twilio import ApiKey, TwilioError, TwilioServer, events
from voiceassist_sim.twilio.access_tokens import verify


@pytest.fixture
async def service_sid(client: Client) -> str:
    made = await client.sync.v1.services.create_async(acl_enabled=True)
    service = client.sync.v1.services(made.sid)
    await service.sync_maps.create_async(unique_name="suggestions")
    await service.sync_maps("suggestions").sync_map_items.create_async(key="000001", data={"answer": "yes"})
    await service.sync_streams.create_async(unique_name="drafts")
    await service.documents.create_async(unique_name="call", data={"state": "live"})
    await service.sync_lists.create_async(unique_name="history")
    return str(made.sid)


def token(server: TwilioServer, service_sid: str, identity: str = "agent", **changes: Any) -> str:
    key, secret = server.api_key
    made = AccessToken(
        changes.get("account", server.account_sid),
        changes.get("key", key),
        changes.get("secret", secret),
        identity=identity,
        ttl=changes.get("ttl", 3600),
        nbf=changes.get("nbf", int(NOW)),
    )
    made.add_grant(SyncGrant(service_sid=service_sid))
    payload = made.payload | {"exp": int(NOW) + changes.get("ttl", 3600)} | changes.get("payload", {})
    return jwt.encode(payload, changes.get("secret", secret), headers=made.headers | changes.get("headers", {}))


@pytest.fixture
def see(ask: Ask, server: TwilioServer, service_sid: str) -> Any:
    async def look(what: str, bearer: str | None = None, service: str | None = None) -> Reply:
        return await ask("GET", f"/_sim/sync/{service or service_sid}/view?token={bearer or token(server, service_sid)}&{what}")

    return look


async def test_a_map_needs_a_read_permission(see: Any, client: Client, service_sid: str) -> None:
    refusal = await see("map=suggestions")
    assert (refusal.status, refusal.code) == (403, 54007)
    grants = client.sync.v1.services(service_sid).sync_maps("suggestions").sync_map_permissions
    await grants("other").update_async(read=True, write=False, manage=False)
    await grants("agent").update_async(read=False, write=True, manage=True)
    assert (await see("map=suggestions")).status == 403
    await grants("agent").update_async(read=True, write=False, manage=False)
    seen = (await see("map=suggestions")).body["map"]
    assert seen["items"] == [{"key": "000001", "data": {"answer": "yes"}, "revision": "1", "updated": NOW}]
    await grants("agent").delete_async()
    assert (await see("map=suggestions")).status == 403


async def test_documents_and_lists_too(see: Any, client: Client, service_sid: str) -> None:
    assert (await see("document=call")).status == 403
    assert (await see("list=history")).status == 403
    await client.sync.v1.services(service_sid).update_async(acl_enabled=False)
    seen = (await see("document=call&list=history&map=suggestions")).body
    assert seen["document"]["data"] == {"state": "live"}
    assert seen["list"]["items"] == []
    assert len(seen["map"]["items"]) == 1


async def test_streams_are_open_to_all_identities(see: Any, client: Client, service_sid: str) -> None:
    stream = client.sync.v1.services(service_sid).sync_streams("drafts")
    message = (
        await client.sync.v1.services(service_sid)
        .sync_streams((await stream.fetch_async()).sid)
        .stream_messages.create_async(data={"n": 1})
    )
    assert (await see("stream=drafts")).body["stream"]["messages"] == [{"sid": message.sid, "at": NOW, "data": {"n": 1}}]
    missing = await see("stream=other")
    assert (missing.status, missing.code) == (404, 54300)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "another"}, 20107),
        ({"key": "SK" + "0" * 32}, 20103),
        ({"account": "AC" + "0" * 32}, 20103),
        ({"headers": {"cty": None}}, 20102),
        ({"headers": {"cty": "other"}}, 20102),
        ({"headers": {"typ": "x"}}, 20102),
        ({"ttl": 0}, 20104),
        ({"payload": {"exp": None}}, 20104),
        ({"nbf": int(NOW) + 2}, 20105),
        ({"payload": {"nbf": "soon"}}, 20105),
        ({"payload": {"exp": True}}, 20104),
        ({"ttl": 86_401}, 20157),
        ({"identity": ""}, 20106),
        ({"payload": {"grants": {"identity": "agent"}}}, 20106),
        ({"payload": {"grants": {"data_sync": {"service_sid": "IS"}}}}, 20106),
        ({"payload": {"grants": {"identity": "", "data_sync": {"service_sid": "IS"}}}}, 20106),
        ({"payload": {"grants": {"identity": 5, "data_sync": {"service_sid": "IS"}}}}, 20106),
        ({"payload": {"grants": {"identity": "agent", "data_sync": {"service_sid": 5}}}}, 20106),
        ({"payload": {"grants": []}}, 20106),
        ({"key": "SK" + "f" * 32, "secret": "restricted"}, 20160),
    ],
)
async def test_bad_tokens(server: TwilioServer, see: Any, service_sid: str, changes: dict[str, Any], code: int) -> None:
    server.set_api_key("SK" + "f" * 32, ApiKey("restricted", restricted=True))
    refusal = await see("stream=drafts", token(server, service_sid, **changes))
    assert (refusal.status, refusal.code) == (401, code)


async def test_other_bad_tokens(server: TwilioServer, see: Any, service_sid: str, clock: Clock) -> None:
    assert (await see("stream=drafts", "not-a-token")).code == 20101
    unsigned = jwt.encode({"iss": server.api_key[0]}, None, algorithm="none", headers={"cty": "twilio-fpa;v=1"})
    assert (await see("stream=drafts", unsigned)).code == 20102
    good = token(server, service_sid)
    assert (await see("stream=drafts", good)).status == 200
    assert (await see("stream=drafts", good, "IS" + "0" * 32)).status == 403  # another service
    assert (await see("stream=drafts", token(server, service_sid, ttl=86_400))).status == 200
    assert (await see("stream=drafts", token(server, service_sid, nbf=int(NOW) + 1))).status == 200  # clocks differ a little
    clock.pass_(3600)
    assert (await see("stream=drafts", good)).code == 20104


def test_a_token_is_bounded() -> None:
    keys = {"SK": ApiKey("secret")}

    def made(filler: int) -> str:
        grants = {"identity": "a", "data_sync": {"service_sid": "IS"}}
        claims = {"iss": "SK", "sub": "AC", "exp": NOW + 60, "grants": grants, "filler": "x" * filler}
        return jwt.encode(claims, "secret", headers={"cty": "twilio-fpa;v=1"})

    filler = next(filler for filler in range(11_000, 16_000) if len(made(filler)) >= 16_384)
    assert len(made(filler)) == 16_384
    assert verify(made(filler), "AC", keys, NOW).identity == "a"
    with pytest.raises(TwilioError) as caught:
        verify(made(filler + 1), "AC", keys, NOW)
    assert caught.value.code == 20101


# The live feed


@asynccontextmanager
async def listening(server: TwilioServer, query: str = "") -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/_sim/events{query}") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"

        async def following() -> dict[str, Any] | None:
            async with asyncio.timeout(5):
                async for line in response.content:
                    if line.startswith(b"data: "):
                        return dict(json.loads(line[6:]))
            return None

        assert (await response.content.readline()) == b": listening\n"
        yield following


async def test_the_feed_tells_of_every_change(server: TwilioServer, client: Client, service_sid: str) -> None:
    async with listening(server, f"?service={service_sid}") as following:
        service = client.sync.v1.services(service_sid)
        stream = await service.sync_streams("drafts").fetch_async()
        await client.sync.v1.services.create_async()
        await service.sync_streams(stream.sid).stream_messages.create_async(data={"n": 1})
        await service.sync_maps("suggestions").sync_map_items("000001").update_async(data={"n": 2})
        await service.documents("call").delete_async()
        seen = [await following() for _ in range(3)]
    assert [(one["event"], one["uniqueName"], one.get("key"), one.get("data")) for one in seen] == [
        ("message", "drafts", None, {"n": 1}),
        ("item_updated", "suggestions", "000001", {"n": 2}),
        ("removed", "call", None, None),
    ]


async def test_the_feed_of_a_token_shows_what_its_holder_may_see(server: TwilioServer, client: Client, service_sid: str) -> None:
    async with listening(server, f"?token={token(server, service_sid)}") as following:
        service = client.sync.v1.services(service_sid)
        await service.sync_maps("suggestions").sync_map_items.create_async(key="000002", data={})  # not allowed yet
        grants = service.sync_maps("suggestions").sync_map_permissions
        await grants("agent").update_async(read=True, write=False, manage=False)
        await service.sync_maps("suggestions").sync_map_items.create_async(key="000003", data={})
        assert (await following())["key"] == "000003"
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/_sim/events?token=x") as response:
        assert response.status == 401


async def test_a_listener_that_falls_behind_is_dropped(server: TwilioServer) -> None:
    slow = server.feed.subscribe(length=3)
    quick = server.feed.subscribe()
    for number in range(5):
        server.feed.publish({"type": "sync", "n": number})
    assert server.feed.dropped_listeners == 1
    assert slow.dropped
    assert [(await slow.next() or {}).get("n") for _ in range(4)] == [0, 1, 2, None]
    assert [(await quick.next() or {}).get("n") for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_listeners_are_bounded(server: TwilioServer, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_LISTENERS", 0)
    assert (await ask("GET", "/_sim/events")).status == 503


async def test_expired_objects_leave_by_themselves(server: TwilioServer, client: Client, service_sid: str, clock: Clock) -> None:
    await client.sync.v1.services(service_sid).documents.create_async(unique_name="short", data={}, ttl=5)
    async with listening(server, "?type=sync") as following:
        clock.pass_(5)
        assert (await following())["event"] == "removed"
