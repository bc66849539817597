"""Holds the Lease: waits for it, renews it, gives it up at once at the end."""

from __future__ import annotations

import asyncio
import time

import structlog

from ..errors import NotLeading, OperatorError
from ..kubernetes.client import Cluster
from ..kubernetes.kinds import LEASE
from ..kubernetes.lease import RENEW_EVERY, Seen, Step, lease_spec, may_write, next_step, note

LOOK_EVERY = 1.0
TRY_SECONDS = 4.0
"""For one renewal: two fit between the last renewal and the deadline."""

log = structlog.get_logger("voiceassist.lease")


class LeaderElection:
    """One replica's claim to the Lease `name` in `namespace`."""

    def __init__(self, name: str, namespace: str, me: str) -> None:
        self._name, self._namespace, self._me = name, namespace, me
        self._renewed: float | None = None
        self._seen: Seen | None = None
        self.heard_at = float("-inf")
        """When the API server last said who holds the Lease; monotonic seconds."""

    def may_write(self) -> None:
        """Raises NotLeading unless the Lease is surely ours."""
        if not may_write(self._renewed, time.monotonic()):
            raise NotLeading("the Lease is not held; nothing is written")

    async def acquire(self, cluster: Cluster) -> None:
        """Returns when the Lease is ours."""
        logged = False
        while not await self._try(cluster):
            if not logged:
                log.info("waiting for the Lease", holder=self._seen.holder if self._seen else "")
                logged = True
            await asyncio.sleep(LOOK_EVERY)
        log.info("leading", me=self._me)

    async def hold(self, cluster: Cluster) -> None:
        """Renews until the Lease is lost; then returns."""
        renewed = True
        while True:
            await asyncio.sleep(RENEW_EVERY if renewed else LOOK_EVERY)
            renewed = await self._try(cluster)
            if not renewed and not may_write(self._renewed, time.monotonic()):
                log.error("the Lease is lost", holder=self._seen.holder if self._seen else "")
                return

    async def release(self, cluster: Cluster) -> None:
        """Gives the Lease up, so that another replica leads at once."""
        if self._renewed is None:
            return
        self._renewed = None
        try:
            lease = await cluster.get(LEASE, self._name, self._namespace)
            if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self._me:
                await cluster.replace({**lease, "spec": lease_spec(lease, "", time.time())})
                log.info("the Lease is given up")
        except OperatorError as error:
            log.warning("the Lease could not be given up; it runs out by itself", error=str(error))

    async def _try(self, cluster: Cluster) -> bool:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                return await self._try_once(cluster)
        except TimeoutError:
            log.warning("the Lease could not be read or written in time", seconds=TRY_SECONDS)
            return False

    async def _try_once(self, cluster: Cluster) -> bool:
        asked = time.monotonic()
        try:
            lease = await cluster.get(LEASE, self._name, self._namespace)
            self._seen, self.heard_at = note(self._seen, lease, asked), asked
            step = next_step(self._seen, self._me, asked)
            if step is Step.WAIT:
                return False
            spec = lease_spec(lease, self._me, time.time())
            if lease is None:
                metadata = {"name": self._name, "namespace": self._namespace}
                made = await cluster.create_unguarded(
                    {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": spec}
                )
            else:
                made = await cluster.replace({**lease, "spec": spec})
        except OperatorError as error:
            log.warning("the Lease could not be read or written", error=str(error))
            return False
        self._seen = note(self._seen, made, asked)
        self._renewed = asked
        return True
