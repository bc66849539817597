"""The objectives as Prometheus sees them: what the page's panel shows, from Prometheus's own answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from voiceassist_monitoring.rulefile import plain
from voiceassist_monitoring.rules import groups
from voiceassist_monitoring.slo import Slo, read_slos

from .errors import DemoError
from .prometheus import Prometheus

WINDOW = "5m"
SHOWN_SECONDS = 600.0
STEP_SECONDS = 10.0
EVERY_SECONDS = 2.0


def sample_slos() -> tuple[Slo, ...]:
    """The objectives in the source tree's docs/slo.md that relays alone can tell of. Raises DemoError."""
    path = Path(__file__).resolve().parents[3] / "docs" / "slo.md"
    if not path.is_file():
        raise DemoError(f"{path} is not there; the demo runs from the source tree")
    return tuple(slo for slo in read_slos(path.read_text()) if slo.page)


def rules(slos: tuple[Slo, ...], interval: float) -> str:
    """The shipped rules, evaluated every `interval` seconds."""
    return plain(groups(slos, interval=interval))


class Objectives:
    """Asks Prometheus again and again, and tells each time what it answered."""

    def __init__(self, prometheus: Prometheus, slos: tuple[Slo, ...], tell: Callable[[dict[str, Any]], None]) -> None:
        self._prometheus, self._slos, self._tell = prometheus, slos, tell

    async def run(self) -> None:
        """Runs until cancelled; an answer that does not come is asked for again."""
        while True:
            try:
                self._tell({"url": self._prometheus.url, "objectives": [await self._one(slo) for slo in self._slos]})
            except (aiohttp.ClientError, OSError, TimeoutError, DemoError) as error:
                self._tell({"url": self._prometheus.url, "trouble": str(error) or type(error).__name__, "objectives": []})
            await asyncio.sleep(EVERY_SECONDS)

    async def _one(self, slo: Slo) -> dict[str, Any]:
        """Title, objective, and the share of good events over the last minutes: `points` are pairs of seconds ago and share."""
        now = time.time()
        found = await self._prometheus.series(f"1 - {slo.recorded(WINDOW)}", now - SHOWN_SECONDS, now, STEP_SECONDS)
        values = found[0]["values"] if found else []
        points = [[round(now - at), float(value)] for at, value in values if value != "NaN"]
        return {"title": slo.title, "objective": slo.objective, "window": WINDOW, "points": points}
