"""A map, a document and a stream of Sync, and the client that opens them."""

from __future__ import annotations

from typing import Any

from clients.node import Node
from contract.twilio_browser.raw_client import World
from voiceassist_sim.twilio import Kind

OPEN = """
world.c = open(args.token, args.options || {})
world.m = watch(await world.c.map({ id: 'M', mode: 'open_existing' }), 'map')
world.d = watch(await world.c.document({ id: 'D', mode: 'open_existing' }), 'document')
world.s = watch(await world.c.stream({ id: 'S', mode: 'open_existing' }), 'stream')
const page = await world.m.getItems()
return page.items.map((item) => [item.key, item.data])
"""


class Objects:
    """A map, a document and a stream, opened by the client."""

    def __init__(self, world: World, node: Node) -> None:
        self.world, self.node = world, node
        self.map = world.make(Kind.MAP, "M", write=True)
        self.document = world.make(Kind.DOCUMENT, "D", write=True)
        self.stream = world.make(Kind.STREAM, "S")

    async def opened(self, token: str | None = None) -> Any:
        """The map's items, once everything is subscribed."""
        items = await self.node.run(OPEN, token=token or self.world.token())
        await self.subscribed()
        return items

    async def subscribed(self) -> None:
        for name in ("map", "document", "stream"):
            await self.node.told(name, "_subscriptionStateChanged", "established")
