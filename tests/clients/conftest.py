"""The stand-in's endpoint for browsers, and Twilio's own clients in Node.js. A client that violates the protocol fails its test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from clients.node import Node
from clients.objects import Objects
from contract.twilio_browser.raw_client import World
from voiceassist_sim.twilio import TwilioServer
from voiceassist_sim.twilio.browser import BrowserEdge


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """One account, its endpoint for browsers, a worker, and a Sync service with access control."""
    async with TwilioServer() as twilio, BrowserEdge(twilio) as edge, aiohttp.ClientSession() as http:
        running = World(twilio, edge, http)
        yield running
        assert running.rules == running.expected


@pytest.fixture
async def node(world: World, tmp_path: Path) -> AsyncIterator[Node]:
    """Twilio's clients."""
    async with Node(world.edge, tmp_path) as running:
        yield running


@pytest.fixture
def objects(world: World, node: Node) -> Objects:
    return Objects(world, node)
