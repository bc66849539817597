"""Sync's rates, and what it takes for a request at all, through the vendor's own client and plain HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from twilio.rest import Client

from contract.twilio.conftest import Ask, Clock, pointed_at, refused
from voiceassist_sim.twilio import Rate, TwilioServer


async def test_thirty_messages_a_second(service: Any, server: TwilioServer, clock: Clock) -> None:
    made = [await service.sync_streams.create_async() for _ in range(2)]
    messages = service.sync_streams(made[0].sid).stream_messages
    for number in range(30):
        await messages.create_async(data={"n": number})
    assert await refused(messages.create_async(data={})) == (429, 54009)
    assert len(server.messages()) == 30
    assert await service.sync_streams(made[1].sid).stream_messages.create_async(data={})  # counted for each stream
    clock.pass_(0.1)
    for number in range(3):
        await messages.create_async(data={"n": number})
    assert await refused(messages.create_async(data={})) == (429, 54009)


async def test_eighty_permission_updates_a_second(service: Any, server: TwilioServer) -> None:
    server.settings.sync.permissions = Rate(80, 0.1)
    made = await service.documents.create_async()
    grants = service.documents(made.sid).document_permissions
    for _ in range(8):
        await grants("a").update_async(read=True, write=False, manage=False)
    assert await refused(grants("a").update_async(read=True, write=False, manage=False)) == (429, 54009)


# Rates


async def test_twenty_writes_a_second(service: Any, server: TwilioServer, clock: Clock) -> None:
    server.settings.sync.writes = Rate(20, 1)
    made = await service.documents.create_async(unique_name="d", data={})
    document = service.documents(made.sid)
    for number in range(20):
        await document.update_async(data={"n": number})
    assert await refused(document.update_async(data={})) == (429, 54009)
    assert (await document.fetch_async()).data == {"n": 19}
    clock.pass_(0.5)
    for number in range(10):
        await document.update_async(data={"n": number})
    assert await refused(document.update_async(data={})) == (429, 54009)


async def test_item_writes_count_on_their_map(service: Any, server: TwilioServer) -> None:
    server.settings.sync.writes = Rate(20, 0.2)
    made = await service.sync_maps.create_async()
    items = service.sync_maps(made.sid).sync_map_items
    await items.create_async(key="a", data={})
    await items.create_async(key="b", data={})
    await items("a").update_async(data={"n": 1})
    await items("b").delete_async()
    assert await refused(items.create_async(key="c", data={})) == (429, 54009)
    assert await refused(service.sync_maps(made.sid).update_async(ttl=9)) == (429, 54009)


async def test_large_payloads_are_slowed_down(service: Any, clock: Clock) -> None:
    made = await service.documents.create_async(data={})
    document = service.documents(made.sid)
    large = {"t": "x" * 10_300}
    for _ in range(20):
        await document.update_async(data=large)
    assert await refused(document.update_async(data=large)) == (429, 54009)
    clock.pass_(0.5)
    await document.update_async(data=large)
    assert await refused(document.update_async(data={})) == (429, 54009)


async def test_twenty_reads_a_second(service: Any, server: TwilioServer, clock: Clock) -> None:
    server.settings.sync.reads = Rate(20, 0.5)
    made = await service.sync_maps.create_async()
    for _ in range(5):
        await service.sync_maps(made.sid).fetch_async()
        await service.sync_maps(made.sid).sync_map_items.list_async()
    assert await refused(service.sync_maps(made.sid).fetch_async()) == (429, 54009)
    clock.pass_(0.05)
    await service.sync_maps(made.sid).fetch_async()


async def test_twenty_creations_a_second(service: Any, server: TwilioServer, clock: Clock) -> None:
    server.settings.sync.creations = Rate(20, 0.2)
    for kind in (service.documents, service.sync_maps, service.sync_lists, service.sync_streams):
        await kind.create_async(unique_name=f"u{id(kind)}")
    assert await refused(service.documents.create_async()) == (429, 54009)
    clock.pass_(0.05)
    await service.documents.create_async(unique_name="one")
    clock.pass_(0.05)
    for _ in range(5):  # what exists already is not created: 409, however often
        assert await refused(service.documents.create_async(unique_name="one")) == (409, 54301)
    await service.documents.create_async(unique_name="two")


async def test_retry_after_only_if_lenient(service: Any, server: TwilioServer, ask: Ask) -> None:
    server.settings.sync.writes = Rate(1, 1)
    made = await service.documents.create_async()
    path = f"/sync/v1/Services/{made.service_sid}/Documents/{made.sid}"
    await ask("POST", path, form={"Data": "{}"})
    reply = await ask("POST", path, form={"Data": "{}"})
    assert reply.status == 429
    assert "Retry-After" not in reply.headers
    server.settings.lenient.retry_after = True
    assert (await ask("POST", path, form={"Data": "{}"})).headers["Retry-After"] == "1"


# Requests


async def test_forms_only_and_known_fields_only(service: Any, server: TwilioServer, ask: Ask) -> None:
    made = await service.documents.create_async(unique_name="d")
    path = f"/sync/v1/Services/{made.service_sid}/Documents"
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    for given in (
        {"json": {"UniqueName": "x"}},
        {"data": b"UniqueName=x", "headers": {"Content-Type": "text/plain"}},
        {"data": b"UniqueName=x"},
        {"form": {"UniqueName": "x", "uniqueName": "y"}},
        {"form": {"UniqueName": "x", "FriendlyName": "y"}},
        {"data": b"UniqueName=x&UniqueName=y", "headers": form_type},
        {"data": b"UniqueName=%ff", "headers": form_type},
    ):
        reply = await ask("POST", path, **given)
        assert (reply.status, reply.code) == (400, 20001), given
    assert [one.unique_name for one in await service.documents.list_async()] == ["d"]
    server.settings.lenient.unknown_fields = True
    assert (await ask("POST", path, form={"UniqueName": "x", "FriendlyName": "y"})).status == 201


async def test_a_body_is_bounded(service: Any, server: TwilioServer, ask: Ask) -> None:
    reply = await ask("POST", "/sync/v1/Services", form={"FriendlyName": "x" * (1 << 20)})
    assert reply.status == 413


async def test_the_synchronous_client(server: TwilioServer) -> None:
    client = pointed_at(server, Client(*server.api_key, server.account_sid))

    def use() -> None:
        made = client.sync.v1.services.create(friendly_name="sync client")
        service = client.sync.v1.services(made.sid)
        assert service.documents.create(unique_name="d", data={"n": 1}).data == {"n": 1}
        assert service.documents("d").update(data={"n": 2}, if_match="0").revision == "1"
        assert [one.unique_name for one in service.documents.stream()] == ["d"]
        assert service.documents("d").delete()

    await asyncio.to_thread(use)
