"""The real twilio-sync 4.0.1 on the stand-in's socket: what it opens, is told and writes, and what it does when things go wrong."""

from __future__ import annotations

import asyncio

import pytest

from clients.node import JavaScriptError, Node
from clients.objects import Objects
from contract.twilio.conftest import basic
from contract.twilio_browser.raw_client import World
from voiceassist_sim.twilio import FaultKind, FaultRule, Kind, Rate
from voiceassist_sim.twilio.browser import NotificationFault, NotificationFaultKind, Rule


async def settled(seconds: float = 0.3) -> None:
    """Long enough for what was sent to have arrived."""
    await asyncio.sleep(seconds)


async def test_what_is_there_is_read_and_what_is_written_by_rest_arrives(objects: Objects) -> None:
    world, node = objects.world, objects.node
    world.put(objects.map, "0001", text="é✓")
    assert await objects.opened() == [["0001", {"text": "é✓"}]]
    auth = basic(*world.twilio.api_key)
    base = f"{world.twilio.url}/sync/v1/Services/{world.service.sid}"
    for path, form in (
        (f"Maps/{objects.map.sid}/Items", {"Key": "0002", "Data": '{"text": "two"}'}),
        (f"Documents/{objects.document.sid}", {"Data": '{"state": "live"}'}),
        (f"Streams/{objects.stream.sid}/Messages", {"Data": '{"draft": "h"}'}),
    ):
        async with world.http.post(f"{base}/{path}", data=form, headers=auth) as response:
            assert response.status in (200, 201)
    await node.told("map", "itemAdded", ["0002", {"text": "two"}])
    await node.told("document", "updated", {"state": "live"})
    await node.told("stream", "messagePublished", {"draft": "h"})


async def test_changes_and_removals_arrive_in_their_order(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    world.put(objects.map, "k", n=1)
    world.put(objects.map, "k", n=2)
    world.drop(objects.map, "k")
    world.put(objects.map, "k", n=3)
    await node.told("map", "itemAdded", ["k", {"n": 3}])
    assert [words[0] for words in node.of("map")] == ["itemAdded", "itemUpdated", "itemRemoved", "itemAdded"]


async def test_pages_of_items(objects: Objects) -> None:
    world, node = objects.world, objects.node
    world.twilio.settings.sync.writes = world.twilio.settings.sync.reads = Rate(10_000)
    for number in range(230):
        world.put(objects.map, f"{number:04}", n=number)
    code = """
    world.c = open(args.token); const m = await world.c.map({ id: 'M', mode: 'open_existing' })
    let page = await m.getItems({ pageSize: args.size, order: args.order }); const keys = []
    for (;;) { keys.push(...page.items.map((item) => item.key)); if (!page.hasNextPage) break; page = await page.nextPage() }
    return keys"""
    expected = [f"{number:04}" for number in range(230)]
    assert await node.run(code, token=world.token(), size=100, order="asc") == expected
    assert await node.run(code, token=world.token(), size=20, order="desc") == expected[::-1]
    world.edge.sync.behaviour.page_size = 50
    assert await node.run(code, token=world.token(), size=100, order="asc") == expected


async def test_after_a_cut_nothing_of_map_and_document_is_missing_and_none_comes_twice(objects: Objects) -> None:
    world, node = objects.world, objects.node
    world.put(objects.map, "a", n=0)
    await objects.opened()
    node.forget()
    assert world.edge.sync.cut(world.worker.identity) == 1
    await node.told("connectionStateChanged", "connecting")
    world.put(objects.map, "b", n=1)
    world.put(objects.map, "a", n=2)
    world.drop(objects.map, "b")
    world.set_document(objects.document, v=1)
    world.set_document(objects.document, v=2)
    world.publish(objects.stream, lost=1)
    await node.told("connectionStateChanged", "connected")
    await objects.subscribed()
    world.put(objects.map, "c", n=3)
    world.publish(objects.stream, after=1)
    await node.told("stream", "messagePublished", {"after": 1})
    await settled()
    assert [words[0] for words in node.of("map")] == ["itemAdded", "itemUpdated", "itemRemoved", "itemAdded"]
    assert [words[1] for words in node.of("document")] == [{"v": 1}, {"v": 2}]
    assert [words[1] for words in node.of("stream")] == [{"after": 1}], "streams have no replay"


async def test_a_replay_that_is_broken_off_is_asked_for_again(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    world.edge.sync.cut()
    await node.told("connectionStateChanged", "connecting")
    for number in range(4):
        world.put(objects.map, f"{number}", n=number)
    world.edge.sync.behaviour.subscriptions.interrupted = 2
    node.forget()
    await node.told("map", "itemAdded", ["3", {"n": 3}])
    assert [words[1][0] for words in node.of("map", "itemAdded")] == ["0", "1", "2", "3"]
    assert world.edge.sync.behaviour.subscriptions.interrupted == 0


async def test_offloaded_it_comes_back_with_all_that_it_missed(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    node.forget()
    assert world.edge.sync.offload(backoff_ms=500) == 1
    await node.told("connectionStateChanged", "disconnecting")
    world.put(objects.map, "a", n=1)
    await node.told("connectionStateChanged", "connected")
    await node.told("map", "itemAdded", ["a", {"n": 1}])


async def test_a_token_without_permission_opens_nothing(world: World, node: Node) -> None:
    world.make(Kind.MAP, "M", read=False)
    with pytest.raises(JavaScriptError) as caught:
        await node.run("await open(args.token).map({ id: 'M', mode: 'open_existing' })", token=world.token())
    assert (caught.value.shown["status"], caught.value.shown["code"]) == (403, 54007)
    assert await node.run("return failure(open(args.token).map({ id: 'N', mode: 'open_existing' }))", token=world.token()) == {
        "name": "SyncError",
        "message": "Unique name not found (status: 404, code: 54300)",
        "status": 404,
        "code": 54300,
    }


async def test_a_permission_that_is_taken_back_ends_the_subscription_for_good(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    world.permit(objects.map, read=False)
    world.put(objects.map, "secret", n=1)
    world.edge.sync.cut()
    failed = await node.told("map", "failure")
    assert (failed[2]["status"], failed[2]["code"]) == (403, 54007)
    world.expected = [Rule.NOT_ALLOWED]
    world.permit(objects.map, read=True)
    world.edge.sync.cut()
    node.forget()
    await node.told("document", "_subscriptionStateChanged", "established")
    world.put(objects.map, "k", n=2)
    await settled()
    assert node.of("map") == [], "a refused subscription is not asked for again"
    items = "const m = await world.c.map({ id: 'M', mode: 'open_existing' }); return (await m.getItems()).items.length"
    assert await node.run(f"world.m.close(); {items}") == 2


async def test_an_object_that_is_removed_says_so(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    world.twilio.sync.delete(world.service, objects.map, world.twilio.clock())
    await node.told("map", "removed")
    world.edge.sync.cut()
    await node.told("connectionStateChanged", "connecting")
    world.twilio.sync.delete(world.service, objects.document, world.twilio.clock())
    await node.told("document", "removed")


async def test_what_the_client_writes(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    await node.run("await world.m.set('k', { n: 1 }); await world.m.update('k', { more: 2 }); await world.d.update({ v: 1 })")
    await node.run("await world.m.set('gone', { n: 1 }); await world.m.remove('gone'); await world.s.publishMessage({ hello: 1 })")
    assert {key: item.data for key, item in objects.map.items.items()} == {"k": {"n": 1, "more": 2}}
    assert objects.document.data == {"v": 1}
    assert [one.data for one in world.twilio.messages("S")] == [{"hello": 1}]
    made = "const m = await world.c.map('made'); await m.set('a', { n: 1 }); return m.sid"
    sid = await node.run(made)
    assert world.service.objects[sid].unique_name == "made"
    world.permit(objects.map, read=True)
    refused = await node.run("return failure(world.m.set('k', { n: 9 }))")
    assert (refused["status"], refused["code"]) == (403, 54007)
    assert objects.map.items["k"].data == {"n": 1, "more": 2}


async def test_a_stale_write_reads_and_tries_again(objects: Objects) -> None:
    world, node = objects.world, objects.node
    world.put(objects.map, "k", n=1)
    await objects.opened()
    world.edge.sync.notification_faults.set([NotificationFault(NotificationFaultKind.DROP, "map_item_updated", times=1)])
    world.put(objects.map, "k", n=5)
    changed = "return (await world.m.mutate('k', (now) => ({ n: now.n + 1 }))).data"
    assert await node.run(changed) == {"n": 6}


async def test_limits(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    world.twilio.set_faults(FaultRule(FaultKind.TOO_MANY, path="^/cds/v3/Maps", times=1))
    refused = await node.run("return failure(world.m.set('k', { n: 1 }))")
    assert (refused["status"], refused["code"]) == (429, 20429), "writes are not repeated"
    world.twilio.settings.sync.message_bytes = 100
    refused = await node.run("return failure(world.s.publishMessage({ text: 'x'.repeat(200) }))")
    assert (refused["status"], refused["code"]) == (413, 54006)
    world.twilio.settings.sync.messages = Rate(1)
    code = "return Promise.all([1, 2, 3].map((n) => failure(world.s.publishMessage({ n }))))"
    codes = [one and one["code"] for one in await node.run(code)]
    assert sorted(codes, key=str) == [54009, 54009, None]


async def test_a_throttled_read_is_repeated_by_the_client(world: World, node: Node) -> None:
    found = world.make(Kind.MAP, "M")
    world.put(found, "a", n=1)
    world.twilio.set_faults(FaultRule(FaultKind.TOO_MANY, path="^/cds/v3/Maps", method="GET", times=1))
    began = asyncio.get_running_loop().time()
    code = "const m = await open(args.token).map({ id: 'M', mode: 'open_existing' }); return (await m.getItems()).items.length"
    assert await node.run(code, token=world.token()) == 1
    assert asyncio.get_running_loop().time() - began > 3


async def test_throttled_subscriptions_are_asked_for_until_they_are_granted(objects: Objects) -> None:
    world, node = objects.world, objects.node
    rules = [FaultRule(FaultKind.TOO_MANY, path="^/cds/v4/Subscriptions", times=3)]
    world.twilio.set_faults(*rules)
    await objects.opened()
    assert world.twilio.faults.fired == [3]
    world.put(objects.map, "a", n=1)
    await node.told("map", "itemAdded")


async def test_notifications_come_late_twice_or_never(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    kind = NotificationFaultKind
    world.edge.sync.notification_faults.set(
        [
            NotificationFault(kind.DOUBLE, "map_item_added", times=1),
            NotificationFault(kind.DOUBLE, "stream_message_published", times=1),
            NotificationFault(kind.DROP, "map_item_added", times=1),
            NotificationFault(kind.DELAY, "stream_message_published", times=1, seconds=0.5),
        ]
    )
    world.put(objects.map, "twice", n=1)
    world.put(objects.map, "never", n=1)
    for number in range(3):
        world.publish(objects.stream, n=number)
    await node.told("stream", "messagePublished", {"n": 1})
    await settled()
    assert node.of("map") == [["itemAdded", ["twice", {"n": 1}]]], "the client knows an event by its number"
    assert [words[1]["n"] for words in node.of("stream")] == [0, 0, 2, 1], "messages are told as often and when they come"


async def test_a_deaf_socket_looks_alive(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened()
    node.forget()
    assert world.edge.sync.deafen() == 1
    world.put(objects.map, "a", n=1)
    await settled(1.0)
    assert node.said == []
    assert await node.run("return world.c.connectionState") == "connected"
    world.edge.sync.cut()
    await node.told("map", "itemAdded", ["a", {"n": 1}])


async def test_what_follows_a_subscription_may_come_before_its_answer(objects: Objects) -> None:
    objects.world.edge.sync.behaviour.subscriptions.events_first = True
    await objects.opened()
    objects.world.put(objects.map, "a", n=1)
    await objects.node.told("map", "itemAdded")


async def test_subscriptions_are_renewed_when_the_service_wants_it(objects: Objects) -> None:
    objects.world.edge.sync.behaviour.subscriptions.ttl_seconds = 1
    await objects.opened()
    objects.node.forget()
    await objects.subscribed()
    objects.world.put(objects.map, "a", n=1)
    await objects.node.told("map", "itemAdded")


async def test_big_sets_are_subscribed_in_batches(world: World, node: Node) -> None:
    world.edge.sync.behaviour.subscriptions.max_batch_size = 2
    for number in range(5):
        world.make(Kind.MAP, f"M{number}")
    code = """
    world.c = open(args.token); const id = (n) => ({ id: `M${n}`, mode: 'open_existing' })
    watch(await world.c.map(id(0)), 'M0'); await sleep(500)
    for (let n = 1; n < 5; n++) watch(await world.c.map(id(n)), `M${n}`)"""
    await node.run(code, token=world.token())
    for number in range(5):
        await node.told(f"M{number}", "_subscriptionStateChanged", "established")
