"""Asks relays that did not answer again, until they do: a cut that was mended is not to be told of until the next call needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import structlog

from ..call.peer_relays import nothing_listens
from ..call.unreached_relays import UnreachedRelays

AGAIN = 10.0
"""Seconds between two questions."""

log = structlog.get_logger("voiceassist.peers")


class RelayCheck:
    """Asks `/healthz`, which needs no proof; only of addresses that calls' Documents named and that passed as a relay's."""

    def __init__(self, unreached: UnreachedRelays, http: aiohttp.ClientSession, now: Callable[[], float], seconds: float) -> None:
        """`seconds`: for an answer."""
        self._unreached, self._http, self._now, self._seconds = unreached, http, now, seconds

    async def run(self) -> None:
        """Asks until cancelled."""
        while True:
            await asyncio.sleep(AGAIN)
            await asyncio.gather(*(self._ask(address) for address in self._unreached.suspected))

    async def _ask(self, address: str) -> None:
        try:
            async with asyncio.timeout(self._seconds), self._http.get(f"http://{address}/healthz", allow_redirects=False):
                pass
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if not nothing_listens(error):
                self._unreached.silent(address, self._now(), needed=False)
                return
        if self._unreached.answered(address):
            log.info("relay reached again", relay=address)
