"""Holds the Lease: waits for it, renews it, gives it up at once at the end."""

from __future__ import annotations

import asyncio
import time

import structlog

from ..errors import Contended, NotLeading, OperatorError
from ..kubernetes.client import Cluster
from ..kubernetes.kinds import LEASE, Manifest
from ..kubernetes.lease import USUAL, LeaseTimes, Seen, Step, lease_spec, may_write, next_step, note

LOOK_EVERY = 1.0
"""Of a replica that waits."""
RELEASE_SECONDS = 10.0

log = structlog.get_logger("voiceassist.lease")


class LeaderElection:
    """One replica's claim to the Lease `name` in `namespace`. Its coroutines are for one loop; the rest may be asked by any thread."""

    def __init__(self, name: str, namespace: str, me: str, times: LeaseTimes = USUAL) -> None:
        self._name, self._namespace, self._me = name, namespace, me
        self.times = times
        self._renewed: float | None = None
        self._seen: Seen | None = None
        self._held: Manifest | None = None
        """The Lease as we wrote it last: it is renewed without being read."""
        self._ended = False
        self._one = asyncio.Lock()
        self.heard_at = float("-inf")
        """When the API server last said who holds the Lease; monotonic seconds."""

    def may_write(self) -> None:
        """Raises NotLeading unless the Lease is surely ours."""
        if not may_write(self._renewed, time.monotonic(), self.times):
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
        due = (self._renewed or 0.0) + self.times.renew_every
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            renewed = await self._try(cluster)
            at = self._renewed
            if not renewed and not may_write(at, time.monotonic(), self.times):
                log.error("the Lease is lost", holder=self._seen.holder if self._seen else "")
                return
            due = at + self.times.renew_every if renewed and at is not None else time.monotonic() + self.times.try_again

    async def release(self, cluster: Cluster) -> None:
        """Gives the Lease up, so that another replica leads at once. It is not taken again."""
        held, self._renewed, self._ended = self._renewed is not None, None, True
        if not held:
            return
        try:
            async with self._one, asyncio.timeout(RELEASE_SECONDS):  # a renewal that is under way has ended
                lease = await cluster.get(LEASE, self._name, self._namespace)
                if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self._me:
                    await cluster.replace({**lease, "spec": lease_spec(lease, "", time.time(), self.times)})
                    log.info("the Lease is given up")
        except (OperatorError, TimeoutError) as error:
            log.warning("the Lease could not be given up; it runs out by itself", error=str(error) or "no answer in time")

    async def _try(self, cluster: Cluster) -> bool:
        try:
            async with self._one, asyncio.timeout(self.times.attempt):
                return await self._try_once(cluster)
        except TimeoutError:
            log.warning("the Lease could not be read or written in time", seconds=self.times.attempt)
        except OperatorError as error:
            log.warning("the Lease could not be read or written", error=str(error))
        return False

    async def _try_once(self, cluster: Cluster) -> bool:
        """Renews or takes the Lease, if that may be. Raises OperatorError."""
        asked, made = time.monotonic(), None
        if self._held is not None and may_write(self._renewed, asked, self.times):  # else somebody may have taken it
            try:
                made = await self._write(cluster, self._held)
            except Contended:  # it is another one by now; perhaps by a renewal of ours whose answer did not come
                self._held = None
        if made is None:
            asked = time.monotonic()
            lease = await cluster.get(LEASE, self._name, self._namespace)
            self._seen, self.heard_at = note(self._seen, lease, asked), asked
            if next_step(self._seen, self._me, asked) is Step.WAIT:
                self._renewed = None  # whoever holds it may write, and we may not
                return False
            if self._ended:
                return False
            made = await self._write(cluster, lease)
        self._seen, self.heard_at, self._held = note(self._seen, made, asked), asked, made
        if not self._ended:
            self._renewed = asked
        return True

    async def _write(self, cluster: Cluster, lease: Manifest | None) -> Manifest:
        spec = lease_spec(lease, self._me, time.time(), self.times)
        if lease is not None:
            return await cluster.replace({**lease, "spec": spec})
        metadata = {"name": self._name, "namespace": self._namespace}
        return await cluster.create_unguarded({"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": spec})
