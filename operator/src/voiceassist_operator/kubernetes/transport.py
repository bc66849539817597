"""aiohttp's connections under the client library: a request costs half the CPU that it does over httpx's own (docs/adr/0014).

Errors are httpx's, as the client library and its callers know them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import httpx2
from yarl import URL

MOST_CONNECTIONS = 100
"""At one time, of one transport; further requests wait for one."""
ROUNDS = 3
"""Of the loop before a request, so that what the other end has closed by then is seen: asyncio's own needs two, and three under TLS."""


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """Whatever aiohttp raises becomes what httpx would."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout("no connection in time") from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout("no answer in time") from error
    except (aiohttp.ClientConnectorError, UnicodeError) as error:  # a name that cannot be one in DNS
        raise httpx2.ConnectError("no connection") from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, aiohttp.ServerDisconnectedError) as error:
        raise httpx2.RemoteProtocolError(type(error).__name__) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError(type(error).__name__) from error


class _Body(httpx2.AsyncByteStream):
    """An answer's body as it comes, still encoded."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._answer.content.iter_any():
                yield part

    async def aclose(self) -> None:
        self._answer.close()  # a connection whose answer was read to its end is back in the pool by then


class Transport(httpx2.AsyncBaseTransport):
    """A pool of connections without proxies. Belongs to the loop of its first request; to be closed there."""

    def __init__(self, tls: ssl.SSLContext | bool, most: int = MOST_CONNECTIONS) -> None:
        self._tls, self._most = tls, most
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._most, ssl=self._tls)
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False, trust_env=False)
            # Else it repeats PUT and DELETE by itself, perhaps when the Lease is another's.
            self._session._retry_connection = False
        return self._session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends one request. Raises httpx2.TransportError."""
        given: dict[str, Any] = request.extensions.get("timeout", {})
        # Waiting for a place in the pool and for the connection is one time here.
        timeout = aiohttp.ClientTimeout(connect=given.get("pool"), sock_connect=given.get("connect"), sock_read=given.get("read"))
        # aiohttp bounds no writing of a body: where the other end reads nothing, only all together ends.
        all_together: list[Any] = [given.get(each) for each in ("pool", "connect", "write", "read")]
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
        with _as_httpx():
            async with asyncio.timeout(sum(all_together) if None not in all_together else None):
                answer = await self._opened().request(
                    request.method,
                    URL(str(request.url), encoded=True),
                    data=await request.aread() or None,
                    headers=request.headers.multi_items(),
                    skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                    allow_redirects=False,
                    timeout=timeout,
                )
        return httpx2.Response(answer.status, headers=list(answer.raw_headers), stream=_Body(answer), request=request)

    async def aclose(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
