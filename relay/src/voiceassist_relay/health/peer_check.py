"""Keeps a peer's health true while no call tells: asks at start, when what matters changes, and again while it is not well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from voiceassist_crds.status import PeerReason, PeerStatus

from ..config.snapshot import Snapshot
from ..peer_health import PeerHealth, Reporter

AGAIN = 30.0
"""Seconds between questions while the peer is not well."""

log = structlog.get_logger("voiceassist.peers")


class Unwell(Exception):
    """The peer does not take us. `message` says what to do, and holds no secret."""

    def __init__(self, reason: PeerReason, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


class PeerCheck:
    """Asks one peer. `relevant` picks from a snapshot what the answer depends on; `ask` raises Unwell, within a bounded time."""

    def __init__(
        self,
        peer: str,
        health: PeerHealth,
        relevant: Callable[[Snapshot], object],
        ask: Callable[[], Awaitable[None]],
        further: Callable[[], Awaitable[None]] | None = None,
        unfinished: Callable[[], bool] = lambda: False,
    ) -> None:
        """`further` is asked of a peer that is well, and raises Unwell too; `unfinished`: whether it is to be asked again all the same."""
        self._peer, self._health, self._relevant, self._ask = peer, health, relevant, ask
        self._further, self._unfinished = further, unfinished
        self._changed = asyncio.Event()

    def changed(self, old: Snapshot, new: Snapshot) -> None:
        """A new snapshot is in force."""
        if self._relevant(old) != self._relevant(new):
            self._health.changed(time.time())
            self._changed.set()

    async def run(self) -> None:
        """Asks until cancelled."""
        while True:
            self._changed.clear()
            before, reporter = self._health.status, self._health.reporter()
            try:
                await self._ask()
                reporter.worked(time.time())
                if not before.ok and reporter.counts:
                    log.info("peer is well", peer=self._peer)
                if self._further is not None:
                    await self._further()
            except Unwell as unwell:
                self._unwell(reporter, unwell, before)
            except Exception as error:  # a check that breaks is asked again, and must not leave the peer's state as it was for ever
                log.exception("check failed", peer=self._peer)
                broken = Unwell(PeerReason.UNKNOWN, f"the check itself failed ({type(error).__name__}); see the relay's log")
                self._unwell(reporter, broken, before)
            await self._until_next()

    def _unwell(self, reporter: Reporter, unwell: Unwell, before: PeerStatus) -> None:
        reporter.failed(unwell.reason, unwell.message, time.time())
        if reporter.counts and self._health.status is not before:
            log.error("peer is not well", peer=self._peer, reason=unwell.reason.value, problem=unwell.message)

    async def _until_next(self) -> None:
        while True:
            try:
                async with asyncio.timeout(AGAIN):
                    await self._changed.wait()
                return
            except TimeoutError:
                if not self._health.status.ok or self._unfinished():
                    return
