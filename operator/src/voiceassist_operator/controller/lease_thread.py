"""Keeps the Lease in a thread with a loop and a client of its own: no number of requests and no long computation delays a renewal.

A process whose own loop hangs goes on holding the Lease; the liveness probe, which that loop answers, ends it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ..kubernetes.client import Cluster
from .leader_election import LeaderElection

STOP_SECONDS = 5.0


class LeaseThread:
    """A LeaderElection as another thread's loop may wait for it. To be closed."""

    def __init__(self, election: LeaderElection, connect: Callable[[], Cluster]) -> None:
        """`connect` makes the client, which nothing else uses. Raises what it raises."""
        self._election, self._cluster = election, connect()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="Lease", daemon=True)
        self._thread.start()

    async def acquire(self) -> None:
        """Returns when the Lease is ours."""
        await self._there(self._election.acquire(self._cluster))

    async def hold(self) -> None:
        """Renews until the Lease is lost; then returns."""
        await self._there(self._election.hold(self._cluster))

    async def release(self) -> None:
        """Gives the Lease up."""
        await self._there(self._election.release(self._cluster))

    def close(self) -> None:
        """Ends the thread, and what is still under way in it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(_end_all())
        self._loop.run_until_complete(self._cluster.close())
        self._loop.close()

    async def _there(self, work: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


async def _end_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
