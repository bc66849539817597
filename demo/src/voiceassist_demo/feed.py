"""Follows the Twilio stand-in's live feed: every Sync change, call and stream, as it happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp

Event = dict[str, Any]


async def follow(http: aiohttp.ClientSession, url: str, take: Callable[[Event], None], ready: asyncio.Event | None = None) -> None:
    """Hands every event to `take` until cancelled or the feed ends; `ready` is set once nothing can be missed any more."""
    async with http.get(url, timeout=aiohttp.ClientTimeout(total=None, sock_connect=5)) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            if ready is not None:
                ready.set()
            if line.startswith(b"data: "):
                take(json.loads(line[6:]))
