"""The real twilio-sync 4.0.1 and its tokens: renewed, at their end, no good, of another service; and a socket that refuses."""

from __future__ import annotations

import pytest

from clients.node import Node
from clients.objects import Objects
from contract.twilio_browser.raw_client import World
from voiceassist_sim.twilio import FaultKind, FaultRule, Kind


async def test_a_token_is_renewed_before_its_end(objects: Objects) -> None:
    world, node = objects.world, objects.node
    world.edge.sync.behaviour.notice = 3590
    await objects.opened(world.token(ttl=3600))
    world.edge.sync.behaviour.notice = 3605
    await node.told("tokenAboutToExpire")
    node.forget()
    await node.run("await world.c.updateToken(args.token)", token=world.token(ttl=7200))
    (socket,) = world.edge.sync.sockets()
    assert socket.connection.holder is not None
    assert socket.connection.holder.expires - world.twilio.clock() > 7000
    world.put(objects.map, "a", n=1)
    await node.told("map", "itemAdded")
    assert node.of("connectionStateChanged") == []


async def test_at_its_end_a_token_closes_the_socket_and_a_new_one_opens_it(objects: Objects) -> None:
    world, node = objects.world, objects.node
    await objects.opened(world.token(ttl=4))
    await node.told("tokenExpired")
    await node.told("connectionStateChanged", "disconnected")
    world.put(objects.map, "a", n=1)
    node.forget()
    await node.run("await world.c.updateToken(args.token)", token=world.token())
    await node.told("map", "itemAdded", ["a", {"n": 1}])


@pytest.mark.parametrize(
    ("ttl", "identity", "expired"),
    [(-5, None, True), (3600, "", False)],
)
async def test_a_token_that_is_no_good_is_denied(world: World, node: Node, ttl: float, identity: str | None, expired: bool) -> None:
    world.make(Kind.MAP, "M")
    token = world.token(ttl=ttl) if identity is None else "no.such.token"
    await node.run("world.c = open(args.token)", token=token)
    await node.told("connectionStateChanged", "denied")
    if expired:
        await node.told("tokenExpired")
    code = "await world.c.updateToken(args.token); return (await world.c.map({ id: 'M', mode: 'open_existing' })).uniqueName"
    assert await node.run(code, token=world.token()) == "M"
    assert any(words[0] == "tokenExpired" for words in node.said) is expired


async def test_a_token_of_another_service_finds_nothing(world: World, node: Node) -> None:
    world.make(Kind.MAP, "M")
    other = world.twilio.sync.create_service(world.twilio.clock())
    refused = await node.run(
        "return failure(open(args.token).map({ id: 'M', mode: 'open_existing' }))", token=world.token(service=other.sid)
    )
    assert (refused["status"], refused["code"]) == (404, 54300)


async def test_an_update_with_a_bad_token_is_refused(objects: Objects) -> None:
    node = objects.node
    await objects.opened()
    refused = await node.run("return failure(world.c.updateToken('no.such.token'))")
    assert (refused["status"], refused["code"]) == (400, 51130)
    await node.told("connectionStateChanged", "denied")
    await node.run("await world.c.updateToken(args.token)", token=objects.world.token())
    node.forget()
    objects.world.put(objects.map, "a", n=1)
    await node.told("map", "itemAdded")


async def test_the_socket_itself_may_refuse(world: World, node: Node) -> None:
    world.make(Kind.MAP, "M")
    world.twilio.set_faults(
        FaultRule(FaultKind.SERVER_ERROR, path="^/tsock/wsconnect", times=1),
        FaultRule(FaultKind.TOO_MANY, path="^/tsock/init", retry_after=1, times=1),
    )
    await node.run("world.c = open(args.token)", token=world.token())
    await node.told("connectionStateChanged", "connected")
    assert world.twilio.faults.fired == [1, 1]
    assert await node.run("return (await world.c.map({ id: 'M', mode: 'open_existing' })).uniqueName") == "M"
    world.twilio.set_faults(FaultRule(FaultKind.SERVER_ERROR, path="^/cds/", status=500, transport=True))
    refused = await node.run("return failure(world.c.map({ id: 'N', mode: 'open_existing' }))")
    assert (refused["status"], refused["code"]) == (0, 0)


async def test_the_client_of_flex_from_before_gets_along(world: World, node: Node) -> None:
    """twilio-sync 2.0.1 with a Flex token, as Flex UI 2.17.1 has it: it connects, and is told kindly what is not there."""
    token = world.twilio.flex_token(world.worker.sid)
    code = "return failure(open(args.token, { productId: 'flex_insights' }, OldClient).map({ id: 'M', mode: 'open_existing' }))"
    assert (await node.run(code, token=token))["status"] == 404
    assert [one.connection.product for one in world.edge.sync.sockets(product=None)] == ["flex_insights"]
