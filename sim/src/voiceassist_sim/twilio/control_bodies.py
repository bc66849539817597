"""Reads the control API's request bodies, and turns what is wrong with them into Twilio's error body."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from .errors import TwilioError, bad_parameter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def read_json(request: web.Request, limit: int = 1 << 20) -> dict[str, Any]:
    """The body as an object; an empty body is an empty one. Raises TwilioError."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > limit:
            raise TwilioError(413, 20001, f"A body may have {limit} bytes")
    if not body:
        return {}
    if request.content_type != "application/json":
        raise bad_parameter("Content-Type must be application/json")
    given = json.loads(bytes(body))
    if not isinstance(given, dict):
        raise bad_parameter("The body must be a JSON object")
    return given


def known(given: Mapping[str, Any], *names: str) -> None:
    """400/20001 for a field with another name."""
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise bad_parameter(f"Unknown field {', '.join(unknown)}; there are: {', '.join(names)}")


def one_of(given: Mapping[str, Any], name: str, *allowed: str) -> str:
    """A field of a closed set; the first value allowed is the default."""
    value = given.get(name, allowed[0])
    if value not in allowed:
        raise bad_parameter(f"{name} must be one of {', '.join(allowed)}")
    return str(value)


def guarded(handler: Handler) -> Handler:
    """The handler with its refusals as answers."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except TwilioError as refusal:
            return web.json_response(refusal.body(), status=refusal.status)
        except (ValueError, TypeError, OSError) as error:
            return web.json_response(bad_parameter(str(error)).body(), status=400)

    return guarded
