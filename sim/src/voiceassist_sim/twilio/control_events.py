"""The live feed over HTTP: server-sent events of Sync changes, messages, calls and media streams, or of what a token shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from aiohttp import web

from .access_tokens import verify
from .account import Account
from .errors import TwilioError
from .events import Event
from .sync_view import may_see

KEEP_ALIVE_SECONDS: Final = 15.0
WRITE_SECONDS: Final = 10.0
"""A listener that takes nothing for so long is dropped."""


async def live_feed(account: Account, request: web.Request) -> web.StreamResponse:
    """Events as ``data: {json}`` until the listener leaves, falls behind or the stand-in stops.

    ``?type=sync,call,stream`` picks kinds; ``?service=IS…`` one Sync service; ``?token=JWT`` only what its holder may see of Sync.

    Raises TwilioError.
    """
    wants = _filter(account, request)
    try:
        listener = account.feed.subscribe(wants)
    except RuntimeError as error:
        raise TwilioError(503, 20503, str(error)) from None
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    try:
        await response.prepare(request)
        await _write(response, b": listening\n\n")
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    event = await listener.next()
            except TimeoutError:
                await _write(response, b": still here\n\n")
                continue
            if event is None:
                break
            await _write(response, b"data: " + json.dumps(event).encode() + b"\n\n")
        if listener.dropped:
            await _write(response, b'event: dropped\ndata: {"reason": "too far behind"}\n\n')
    except (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    finally:
        account.feed.unsubscribe(listener)
    return response


def _filter(account: Account, request: web.Request) -> Callable[[Event], bool]:
    types = {name for name in request.query.get("type", "").split(",") if name}
    service = request.query.get("service")
    token = request.query.get("token")
    grant = None if token is None else verify(token, account.account_sid, account.credentials.keys, account.clock())

    def wants(event: Event) -> bool:
        if types and event["type"] not in types:
            return False
        if event["type"] != "sync":
            return grant is None
        if service is not None and event["service"] != service:
            return False
        return grant is None or (grant.expires > event["at"] and may_see(account.sync, grant, event["service"], event["sid"]))

    return wants


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(data)
