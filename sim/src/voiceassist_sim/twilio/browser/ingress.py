"""The ingress of those who serve browsers in their own name: requests to it go on to where the name is, in plain HTTP, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp import web

_OF_THE_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade", "host"})
SECONDS: Final = 60.0
BODY_BYTES: Final = 1 << 20


class Ingress:
    """``routes`` are names and where they are (host, port); it may be changed live."""

    def __init__(self, routes: Mapping[str, tuple[str, int]]) -> None:
        self._routes = routes
        self._session: aiohttp.ClientSession | None = None

    @property
    def hosts(self) -> list[str]:
        """The names that it serves."""
        return sorted(self._routes)

    def start(self) -> None:
        """Open for requests; needs a running event loop."""
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Let go of its connections."""
        if self._session is not None:
            await self._session.close()

    async def pass_on(self, request: web.Request, host: str) -> web.Response:
        """The answer of the server behind a name; 502 where there is none, 504 when it takes too long. Raises RuntimeError."""
        if self._session is None:
            raise RuntimeError("the ingress is not open")
        address, port = self._routes[host]
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OF_THE_HOP]
        headers += [("Host", request.host), ("X-Forwarded-For", request.remote or ""), ("X-Forwarded-Proto", "https")]
        authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        url = f"http://{authority}{request.raw_path}"
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False, skip_auto_headers=("User-Agent",)
            ) as answer:
                told = [(name, value) for name, value in answer.headers.items() if name.lower() not in _OF_THE_HOP]
                return web.Response(status=answer.status, headers=told, body=await answer.read())
        except TimeoutError:
            return web.Response(status=504, text="The server behind this name takes too long")
        except aiohttp.ClientError:
            return web.Response(status=502, text="There is no server behind this name")
