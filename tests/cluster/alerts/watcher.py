"""Prometheus watched during the faults: which alerts fire for whom, at every moment."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from voiceassist_demo.prometheus import Prometheus

from .runbook import Follower

LOOK_SECONDS = 0.5
PREFIX = "VoiceAssist"


@dataclass(frozen=True)
class Row:
    """One fault of one object: how it is turned on and off, and exactly which alerts it fires. `after`: those that may follow its end."""

    fault: str
    on: Callable[[], Awaitable[object]]
    off: Callable[[], Awaitable[object]]
    fires: frozenset[str]
    after: frozenset[str] = frozenset()
    patience: float = 180.0


@dataclass
class Watcher:
    """What fires, looked at twice a second; `log` holds each moment's alerts by object (the operator's own under an empty name)."""

    prometheus: Prometheus
    follower: Follower
    log: list[tuple[float, dict[str, frozenset[str]]]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Watcher]:
        task = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            found: dict[str, set[str]] = {}
            for alert in await self.prometheus.alerts():
                labels = alert["labels"]
                if alert["state"] == "firing":
                    found.setdefault(labels.get("name", ""), set()).add(labels["alertname"].removeprefix(PREFIX))
            self.log.append((time.monotonic(), {name: frozenset(alerts) for name, alerts in found.items()}))
            await asyncio.sleep(LOOK_SECONDS)

    def firing(self, name: str) -> frozenset[str]:
        """What fires for an object now."""
        return self.log[-1][1].get(name, frozenset()) if self.log else frozenset()

    def seen(self, name: str, since: float) -> frozenset[str]:
        """Everything that fired for an object since a moment (monotonic seconds)."""
        return frozenset().union(*(alerts.get(name, frozenset()) for at, alerts in self.log if at >= since))

    async def until(self, name: str, wanted: frozenset[str], patience: float, what: str) -> None:
        """Waits until exactly these fire for an object."""
        deadline = time.monotonic() + patience
        while self.firing(name) != wanted:
            assert time.monotonic() < deadline, f"{what}: {sorted(self.firing(name))} fire, not {sorted(wanted)}, after {patience:.0f} s"
            await asyncio.sleep(LOOK_SECONDS / 2)

    async def follow(self, name: str, alerts: frozenset[str]) -> None:
        """The runbooks of alerts that fire for an object."""
        for alert in sorted(alerts):
            await self.follower.follow(alert, name)

    async def run(self, name: str, rows: list[Row]) -> dict[str, tuple[float, float]]:
        """Each fault in turn: exactly its alerts fire, no other at any moment, and they clear. Gives seconds to fire and to clear.

        While they fire, their runbooks are followed.
        """
        times = {}
        for row in rows:
            what, begin = f"{name}, {row.fault}", time.monotonic()
            await row.on()
            await self.until(name, row.fires, row.patience, what)
            fired = time.monotonic()
            assert self.seen(name, begin) <= row.fires, f"{what}: {sorted(self.seen(name, begin))} fired"
            await self.follow(name, row.fires)
            await row.off()
            await self.until(name, row.after, row.patience, f"{what}, lifted")
            await self.follow(name, row.after)
            await self.until(name, frozenset(), row.patience, f"{what}, cleared")
            assert self.seen(name, begin) <= row.fires | row.after, f"{what}: {sorted(self.seen(name, begin))} fired"
            times[row.fault] = (fired - begin, time.monotonic() - fired)
            print(f"{name}: {row.fault}: fired after {times[row.fault][0]:.1f} s, cleared after {times[row.fault][1]:.1f} s", flush=True)
        return times
