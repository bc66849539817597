"""Sync through the vendor's own client and, for what the client cannot say, through plain HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from contract.twilio.conftest import NOW, Ask, Clock, pointed_at
from voiceassist_sim.twilio import Rate, TwilioServer


@pytest.fixture
async def service(client: Client) -> Any:
    made = await client.sync.v1.services.create_async(friendly_name="voiceassist/test", acl_enabled=True)
    return client.sync.v1.services(made.sid)


async def refused(awaitable: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        await awaitable
    return caught.value.status, caught.value.code


# Services


async def test_services(client: Client) -> None:
    services = client.sync.v1.services
    made = await services.create_async(friendly_name="a", reachability_debouncing_window=2000, webhooks_from_rest_enabled=True)
    assert (made.friendly_name, made.acl_enabled, made.webhooks_from_rest_enabled) == ("a", False, True)
    changed = await services(made.sid).update_async(acl_enabled=True, friendly_name="b")
    assert (await services(made.sid).update_async(webhook_url="https://example.com/sync")).webhook_url == "https://example.com/sync"
    assert (await services(made.sid).update_async(webhook_url="")).webhook_url is None
    assert (changed.acl_enabled, changed.friendly_name, changed.reachability_debouncing_window) == (True, "b", 2000)
    assert (await services(made.sid).fetch_async()).acl_enabled is True
    assert [one.sid for one in await services.list_async()] == [made.sid]
    await services(made.sid).documents.create_async(unique_name="d")
    assert await services(made.sid).delete_async() is True
    assert await refused(services(made.sid).fetch_async()) == (404, 54050)
    assert await refused(services(made.sid).documents("d").fetch_async()) == (404, 54050)


async def test_a_service_refuses_bad_settings(client: Client, ask: Ask) -> None:
    services = client.sync.v1.services
    assert await refused(services.create_async(reachability_debouncing_window=999)) == (400, 20001)
    assert await refused(services.create_async(webhook_url="example.com")) == (400, 20001)
    made = await services.create_async()
    assert await refused(services(made.sid).update_async()) == (400, 54010)
    reply = await ask("POST", "/sync/v1/Services", form={"AclEnabled": "yes"})
    assert (reply.status, reply.code) == (400, 20001)


# Documents


async def test_a_document_lives(service: Any, clock: Clock) -> None:
    made = await service.documents.create_async(unique_name="VA_CALL_1", data={"state": "starting"}, ttl=60)
    assert (made.data, made.unique_name, made.created_by) == ({"state": "starting"}, "VA_CALL_1", "system")
    assert made.date_expires.timestamp() == NOW + 60
    by_name = await service.documents("VA_CALL_1").fetch_async()
    by_sid = await service.documents(made.sid).fetch_async()
    assert by_name.revision == by_sid.revision == made.revision
    clock.pass_(1)
    changed = await service.documents("VA_CALL_1").update_async(data={"state": "live"}, if_match=made.revision)
    assert changed.revision != made.revision
    assert changed.data == {"state": "live"}
    assert changed.date_updated.timestamp() == NOW + 1
    assert await service.documents("VA_CALL_1").delete_async() is True
    assert await refused(service.documents("VA_CALL_1").fetch_async()) == (404, 54300)
    assert await refused(service.documents(made.sid).fetch_async()) == (404, 54100)


async def test_a_stale_revision_changes_nothing(service: Any) -> None:
    made = await service.documents.create_async(unique_name="d", data={"n": 1})
    document = service.documents("d")
    await document.update_async(data={"n": 2}, if_match=made.revision)
    assert await refused(document.update_async(data={"n": 3}, if_match=made.revision)) == (412, 54103)
    assert (await document.fetch_async()).data == {"n": 2}
    assert await refused(document.update_async(data={"n": 3}, if_match="not-a-revision")) == (400, 54003)
    assert (await document.update_async(data={"n": 4})).data == {"n": 4}  # without a condition the last one wins


async def test_the_etag_is_the_revision(service: Any, ask: Ask) -> None:
    made = await service.documents.create_async(unique_name="d", data={})
    path = f"/sync/v1/Services/{made.service_sid}/Documents/d"
    reply = await ask("GET", path)
    assert reply.headers["ETag"] == reply.body["revision"]
    reply = await ask("POST", path, form={"Data": "{}"}, headers={"If-Match": f'"{reply.body["revision"]}"'})
    assert reply.status == 200


async def test_a_unique_name_is_unique_in_the_service(service: Any, client: Client, server: TwilioServer) -> None:
    await service.documents.create_async(unique_name="name", data={})
    assert await refused(service.documents.create_async(unique_name="name", data={})) == (409, 54301)
    assert await refused(service.sync_maps.create_async(unique_name="name")) == (409, 54301)
    server.settings.lenient.names_per_kind = True
    assert (await service.sync_maps.create_async(unique_name="name")).unique_name == "name"
    assert await refused(service.sync_maps.create_async(unique_name="name")) == (409, 54301)
    other = await client.sync.v1.services.create_async()
    assert (await client.sync.v1.services(other.sid).documents.create_async(unique_name="name")).unique_name == "name"


async def test_unique_names_have_a_form(service: Any) -> None:
    assert (await service.documents.create_async(unique_name="n" * 320)).unique_name == "n" * 320
    assert await refused(service.documents.create_async(unique_name="n" * 321)) == (400, 54302)
    assert await refused(service.documents.create_async(unique_name="")) == (400, 54302)
    assert await refused(service.documents.create_async(unique_name="ET" + "0" * 32)) == (400, 54302)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ("{", (400, 54008)),
        ('{"a": NaN}', (400, 54008)),
        ("[1]", (400, 54008)),
        ('"text"', (400, 54008)),
        ("null", (400, 54101)),
        ("", (400, 54008)),
        (json.dumps({"t": "x" * (16384 - 9)}), None),
        (json.dumps({"t": "x" * (16384 - 8)}), (413, 54006)),
        (json.dumps({"t": "ä" * 2731}), (413, 54006)),  # counted as it was sent, escapes and all
    ],
)
async def test_what_a_document_may_hold(service: Any, data: str, answer: tuple[int, int] | None) -> None:
    creating = service.documents.create_async(data=data)
    if answer is None:
        assert (await creating).sid.startswith("ET")
    else:
        assert await refused(creating) == answer


async def test_any_json_if_lenient(service: Any, server: TwilioServer) -> None:
    server.settings.lenient.any_json_data = True
    assert (await service.documents.create_async(data="[1]")).data == [1]


async def test_an_update_must_change_something(service: Any) -> None:
    await service.documents.create_async(unique_name="d", data={})
    assert await refused(service.documents("d").update_async()) == (400, 54010)
    assert await refused(service.documents("d").update_async(if_match="0")) == (400, 54010)


async def test_time_to_live(service: Any, clock: Clock) -> None:
    await service.documents.create_async(unique_name="short", data={}, ttl=60)
    await service.documents.create_async(unique_name="ever", data={}, ttl=0)
    document = service.documents("short")
    clock.pass_(59)
    assert (await document.update_async(data={"n": 1})).date_expires.timestamp() == NOW + 60  # a write does not extend it
    clock.pass_(1)
    assert await refused(document.fetch_async()) == (404, 54300)
    clock.pass_(10**9)
    assert (await service.documents("ever").fetch_async()).date_expires is None
    again = await service.documents.create_async(unique_name="short", data={}, ttl=31_536_000)
    assert (await document.update_async(ttl=0)).date_expires is None
    assert (await document.update_async(ttl=5)).date_expires.timestamp() == clock.now + 5
    assert again.sid.startswith("ET")
    for bad in (-1, 31_536_001, "soon"):
        assert await refused(service.documents.create_async(ttl=bad)) == (400, 54011)


# Streams


async def test_streams_and_messages(service: Any, server: TwilioServer, clock: Clock) -> None:
    made = await service.sync_streams.create_async(unique_name="FLEX_ASSIST_1", ttl=3600)
    assert (await service.sync_streams("FLEX_ASSIST_1").fetch_async()).sid == made.sid
    message = await service.sync_streams(made.sid).stream_messages.create_async(data={"type": "draft", "part": 1})
    assert message.sid.startswith("TZ")
    assert message.data == {"type": "draft", "part": 1}
    assert [(one.at, one.unique_name, one.data) for one in server.messages()] == [(NOW, "FLEX_ASSIST_1", {"type": "draft", "part": 1})]
    changed = await service.sync_streams(made.sid).update_async(ttl=7200)
    assert changed.date_expires.timestamp() == NOW + 7200
    assert await refused(service.sync_streams(made.sid).update_async()) == (400, 54010)
    assert await service.sync_streams("FLEX_ASSIST_1").delete_async() is True
    assert await refused(service.sync_streams(made.sid).stream_messages.create_async(data={})) == (404, 54250)


async def test_messages_go_to_the_sid(service: Any, server: TwilioServer) -> None:
    await service.sync_streams.create_async(unique_name="s")
    by_name = service.sync_streams("s").stream_messages
    assert await refused(by_name.create_async(data={})) == (404, 20404)
    server.settings.lenient.message_by_stream_name = True
    assert (await by_name.create_async(data={})).sid.startswith("TZ")
    assert await refused(service.sync_streams("t").stream_messages.create_async(data={})) == (404, 54300)


async def test_messages_are_small(service: Any, ask: Ask) -> None:
    made = await service.sync_streams.create_async()
    messages = service.sync_streams(made.sid).stream_messages
    assert await messages.create_async(data={"t": "x" * (4096 - 9)})
    assert await refused(messages.create_async(data={"t": "x" * (4096 - 8)})) == (413, 54006)
    assert await refused(messages.create_async(data="null")) == (400, 54251)
    reply = await ask("POST", f"/sync/v1/Services/{made.service_sid}/Streams/{made.sid}/Messages")
    assert (reply.status, reply.code) == (400, 54251)


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


# Maps and lists


async def test_a_map_and_its_items(service: Any, clock: Clock, ask: Ask) -> None:
    made = await service.sync_maps.create_async(unique_name="VA_SUGGESTIONS_1", ttl=100)
    items = service.sync_maps("VA_SUGGESTIONS_1").sync_map_items
    first = await items.create_async(key="000002", data={"n": 2}, item_ttl=50)
    await items.create_async(key="000001", data={"n": 1})
    assert await refused(items.create_async(key="000001", data={"n": 9})) == (409, 54208)
    assert first.date_expires.timestamp() == NOW + 50
    assert (await service.sync_maps(made.sid).fetch_async()).revision != made.revision
    assert [one.key for one in await items.list_async()] == ["000001", "000002"]
    assert [one.key for one in await items.list_async(order="desc")] == ["000002", "000001"]
    assert [one.key for one in await items.list_async(from_="000001", bounds="exclusive")] == ["000002"]
    assert [one.key for one in await items.list_async(from_="000001", order="desc")] == ["000001"]
    one = service.sync_maps("VA_SUGGESTIONS_1").sync_map_items("000002")
    assert (await one.fetch_async()).data == {"n": 2}
    changed = await one.update_async(data={"n": 3}, if_match=first.revision)
    assert changed.revision != first.revision
    assert await refused(one.update_async(data={"n": 4}, if_match=first.revision)) == (412, 54205)
    # The client (9.13.0) takes if_match here and does not send it, so this one goes by plain HTTP.
    path = f"/sync/v1/Services/{made.service_sid}/Maps/{made.sid}/Items/000002"
    reply = await ask("DELETE", path, headers={"If-Match": first.revision})
    assert (reply.status, reply.code) == (412, 54205)
    clock.pass_(50)
    assert await refused(one.fetch_async()) == (404, 54201)
    last = service.sync_maps("VA_SUGGESTIONS_1").sync_map_items("000001")
    assert await last.delete_async() is True
    assert await refused(last.delete_async()) == (404, 54201)
    assert (await service.sync_maps(made.sid).update_async(ttl=1)).date_expires.timestamp() == clock.now + 1
    clock.pass_(1)
    assert await refused(items.create_async(key="000003", data={})) == (404, 54300)
    assert await refused(service.sync_maps(made.sid).delete_async()) == (404, 54200)


async def test_what_an_item_may_be(service: Any, ask: Ask) -> None:
    made = await service.sync_maps.create_async()
    items = service.sync_maps(made.sid).sync_map_items
    assert (await items.create_async(key="k" * 320, data={})).key == "k" * 320
    assert await refused(items.create_async(key="k" * 321, data={})) == (400, 54209)
    assert await refused(items.create_async(key="k", data="null")) == (400, 54206)
    assert await refused(items.create_async(key="k", data={"t": "x" * 16384})) == (413, 54006)
    path = f"/sync/v1/Services/{made.service_sid}/Maps/{made.sid}/Items"
    for form in ({"Data": "{}"}, {"Key": "", "Data": "{}"}):
        reply = await ask("POST", path, form=form)
        assert (reply.status, reply.code) == (400, 20001)
    reply = await ask("POST", path, form={"Key": "a/b ä", "Data": "{}"})
    assert reply.status == 201
    assert (await ask("GET", reply.body["url"].removeprefix(reply.body["url"].partition("/sync")[0]))).body["key"] == "a/b ä"


async def test_the_collections_life_is_set_only_with_an_item(service: Any) -> None:
    made = await service.sync_maps.create_async()
    items = service.sync_maps(made.sid).sync_map_items
    await items.create_async(key="k", data={}, collection_ttl=30)
    assert (await service.sync_maps(made.sid).fetch_async()).date_expires.timestamp() == NOW + 30
    assert await refused(items("k").update_async(collection_ttl=60)) == (400, 20001)
    assert await refused(items("k").update_async()) == (400, 54010)
    await items("k").update_async(data={"n": 1}, collection_ttl=60)
    assert (await service.sync_maps(made.sid).fetch_async()).date_expires.timestamp() == NOW + 60


async def test_a_list_and_its_items(service: Any) -> None:
    made = await service.sync_lists.create_async(unique_name="history", collection_ttl=60)
    assert made.date_expires.timestamp() == NOW + 60
    items = service.sync_lists("history").sync_list_items
    indexes = [(await items.create_async(data={"n": number})).index for number in range(12)]
    assert indexes == list(range(12))
    assert await items(3).delete_async() is True
    assert (await items.create_async(data={})).index == 12  # an index is never given again
    assert [one.index for one in await items.list_async()] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert [one.index for one in await items.list_async(from_="10", order="desc", limit=2)] == [10, 9]
    assert await refused(items(3).fetch_async()) == (404, 54151)
    first = await items(0).fetch_async()
    await items(0).update_async(data={"n": 100}, if_match=first.revision)
    assert await refused(items(0).update_async(data={}, if_match=first.revision)) == (412, 54155)
    for bad in ("first", "-1", "²", "1" * 16):
        assert await refused(items(bad).fetch_async()) == (400, 20001)
    assert await refused(items("1" * 15).fetch_async()) == (404, 54151)
    assert (await items(1).update_async(ttl=30)).data == {"n": 1}
    assert await refused(items.create_async(data="null")) == (400, 54156)
    assert await service.sync_lists("history").delete_async() is True
    assert await refused(service.sync_lists(made.sid).fetch_async()) == (404, 54150)


# Paging


async def test_pages(service: Any, ask: Ask, server: TwilioServer) -> None:
    server.settings.sync.writes = Rate(1000, 10)
    made = await service.sync_maps.create_async()
    items = service.sync_maps(made.sid).sync_map_items
    keys = [f"{number:03}" for number in range(120)]
    for key in keys:
        await items.create_async(key=key, data={})
    assert [one.key for one in await items.list_async(page_size=50)] == keys
    path = f"/sync/v1/Services/{made.service_sid}/Maps/{made.sid}/Items"
    first = (await ask("GET", f"{path}?Order=desc")).body
    assert len(first["items"]) == 50
    assert first["meta"]["key"] == "items"
    assert first["meta"]["previous_page_url"] is None
    assert first["meta"]["next_page_url"].startswith(f"{server.url}{path}?")
    second = (await ask("GET", first["meta"]["next_page_url"].removeprefix(server.url))).body
    assert second["items"][0]["key"] == "069"  # the order is kept
    third = (await ask("GET", second["meta"]["next_page_url"].removeprefix(server.url))).body
    assert third["meta"]["next_page_url"] is None
    assert len(third["items"]) == 20
    back = (await ask("GET", third["meta"]["previous_page_url"].removeprefix(server.url))).body
    assert back["items"] == second["items"]
    for query in (
        "PageSize=101",
        "PageSize=0",
        "Page=1",
        "PageToken=x",
        "PageToken=XX50",
        "PageToken=PTx",
        "PageToken=PT%C2%B2",
        "PageToken=PT" + "1" * 14,
        "Order=up",
        "Bounds=x",
        "PageSize=1&PageSize=2",
    ):
        reply = await ask("GET", f"{path}?{query}")
        assert (reply.status, reply.code) == (400, 20001), query


async def test_every_kind_is_listed(service: Any) -> None:
    await service.documents.create_async(data={})
    await service.sync_lists.create_async()
    await service.sync_maps.create_async()
    await service.sync_streams.create_async()
    for collection in (service.documents, service.sync_lists, service.sync_maps, service.sync_streams):
        assert len(await collection.list_async()) == 1


# Permissions


async def test_permissions(service: Any) -> None:
    await service.sync_maps.create_async(unique_name="m")
    await service.sync_lists.create_async(unique_name="l")
    await service.documents.create_async(unique_name="d")
    for grants in (
        service.sync_maps("m").sync_map_permissions,
        service.sync_lists("l").sync_list_permissions,
        service.documents("d").document_permissions,
    ):
        assert await refused(grants("agent_40x").fetch_async()) == (404, 54354)
        given = await grants("agent_40x").update_async(read=True, write=False, manage=False)
        assert (given.identity, given.read, given.write, given.manage) == ("agent_40x", True, False, False)
        assert (await grants("agent_40x").fetch_async()).read is True
        assert [one.identity for one in await grants.list_async()] == ["agent_40x"]
        assert (await grants("agent_40x").update_async(read=False, write=False, manage=False)).read is False
        assert await grants("agent_40x").delete_async() is True
        assert await refused(grants("agent_40x").delete_async()) == (404, 54354)


async def test_a_permission_says_all_three(service: Any, ask: Ask) -> None:
    made = await service.sync_maps.create_async()
    reply = await ask("POST", f"/sync/v1/Services/{made.service_sid}/Maps/{made.sid}/Permissions/a", form={"Read": "true", "Write": "true"})
    assert (reply.status, reply.code) == (400, 20001)


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
