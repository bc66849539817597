"""The operator's event loop: uvloop's, whose lookups of names keep nothing waiting that needs none.

uvloop asks libuv's four threads for each address that aiohttp connects to, also where it is a number. While four names are looked up of
which no name server says anything, no relay can be asked and no connection to the API server be made, for ten seconds and more.
"""

from __future__ import annotations

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop

LOOKUPS_AT_ONCE = 32


class EventLoop(uvloop.Loop):
    """Addresses that are numbers are taken as they are; names have threads of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="lookup")

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002 - asyncio's name
        """Returns what `socket.getaddrinfo` does. Raises OSError, UnicodeError."""
        if _is_address(host):
            return socket.getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        return await self.run_in_executor(self._lookups, socket.getaddrinfo, host, port, family, type, proto, flags)

    def close(self) -> None:
        """Ends; a lookup that is under way is not waited for."""
        self._lookups.shutdown(wait=False, cancel_futures=True)
        super().close()


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
