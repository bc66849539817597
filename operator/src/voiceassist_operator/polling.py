"""Asks relay pods for their status on the private port; keeps the last answers. Secrets never travel here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
from pydantic import ValidationError

from voiceassist_crds.names import PRIVATE_PORT
from voiceassist_crds.status import RelayStatus

TIMEOUT_SECONDS = 1.5
AT_ONCE = 50
MAX_BYTES = 64 * 1024


class RelayPoller:
    """One pool of connections for all pods."""

    def __init__(self, http: aiohttp.ClientSession, port: int = PRIVATE_PORT) -> None:
        self._http, self._port = http, port
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def ask(self, ip: str) -> RelayStatus | None:
        """A pod's status; None where it does not answer with one in time."""
        host = f"[{ip}]" if ":" in ip else ip
        try:
            async with (
                self._gate,
                asyncio.timeout(TIMEOUT_SECONDS),
                self._http.get(f"http://{host}:{self._port}/status", allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    return None
                return RelayStatus.model_validate_json(await answer.content.read(MAX_BYTES))
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError):
            return None

    async def ask_all(self, ips: Sequence[str]) -> list[RelayStatus | None]:
        """The status of each, in order."""
        return list(await asyncio.gather(*(self.ask(ip) for ip in ips)))
