"""The operator's event loop: uvloop's, whose lookups of names keep nothing waiting that needs none.

uvloop asks libuv's four threads for each address that aiohttp connects to, also where it is a number. While four names are looked up of
which no name server says anything, no relay can be asked and no connection to the API server be made, for ten seconds and more.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from concurrent.futures import Future
from typing import Any

import uvloop

LOOKUPS_AT_ONCE = 32


class EventLoop(uvloop.Loop):
    """Addresses that are numbers are taken as they are; names have threads of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._places = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002 - asyncio's name
        """Returns what `socket.getaddrinfo` does. Raises OSError, UnicodeError."""
        if _is_address(host):
            return socket.getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        await self._places.acquire()
        found: Future[Any] = Future()
        found.set_running_or_notify_cancel()

        def look_up() -> None:
            try:
                found.set_result(socket.getaddrinfo(host, port, family, type, proto, flags))
            except BaseException as error:  # whoever waits is told
                found.set_exception(error)
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self.call_soon_threadsafe(self._places.release)

        waited = asyncio.wrap_future(found, loop=self)
        try:  # a daemon, unlike an executor's: the process's end does not wait for it
            threading.Thread(target=look_up, name="lookup", daemon=True).start()
        except RuntimeError as error:
            self._places.release()
            raise OSError("no thread for a lookup") from error
        return await waited


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
