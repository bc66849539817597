"""Sync's Maps, Lists, pages and permissions through the vendor's own client and, for what it cannot say, through plain HTTP."""

from __future__ import annotations

from typing import Any

from contract.twilio.conftest import NOW, Ask, Clock, refused
from voiceassist_sim.twilio import Rate, TwilioServer

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
