"""Asks relay pods for their status on the private port; an answer stands for a while. Secrets never travel here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import aiohttp
from pydantic import ValidationError

from voiceassist_crds.names import PRIVATE_PORT
from voiceassist_crds.status import RelayStatus

STANDS_SECONDS = 15.0
"""How long a relay's last answer stands while it gives no newer one: one lost answer is no news."""
TIMEOUT_SECONDS = 1.5
AT_ONCE = 50
MAX_BYTES = 64 * 1024


class RelayPoller:
    """One pool of connections for all pods."""

    def __init__(self, http: aiohttp.ClientSession, port: int = PRIVATE_PORT) -> None:
        self._http, self._port = http, port
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._answers: dict[tuple[str, str], tuple[RelayStatus, float]] = {}

    async def ask(self, pod: str, ip: str) -> RelayStatus | None:
        """Returns a pod's status, or its last one; None where it has given none for 15 s."""
        answer, now = await self._ask(ip), time.monotonic()
        if answer is not None:
            self._answers[pod, ip] = answer, now
            return answer
        last, at = self._answers.get((pod, ip), (None, now))
        return last if now - at < STANDS_SECONDS else None

    async def _ask(self, ip: str) -> RelayStatus | None:
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

    async def ask_all(self, pods: Sequence[tuple[str, str]]) -> dict[str, RelayStatus | None]:
        """Returns the status of each pod, given as name and address; those without an address are not asked."""
        now = time.monotonic()
        self._answers = {key: kept for key, kept in self._answers.items() if now - kept[1] < STANDS_SECONDS}
        asked = [(pod, ip) for pod, ip in pods if ip]
        return dict(zip((pod for pod, _ in asked), await asyncio.gather(*(self.ask(pod, ip) for pod, ip in asked)), strict=True))
