"""The stand-in with its endpoint for browsers, and a client that speaks the socket's protocol word by word, so that it can break it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from contract.twilio_browser.raw_client import World
from voiceassist_sim.twilio import TwilioServer
from voiceassist_sim.twilio.browser import BrowserEdge


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """One account, its endpoint for browsers, a worker, and a Sync service with access control."""
    async with TwilioServer() as twilio, BrowserEdge(twilio) as edge, aiohttp.ClientSession() as http:
        yield World(twilio, edge, http)
