"""Which events of the cluster, besides kopf's, wake which reconciler, and whether the watches still deliver."""

from __future__ import annotations

import asyncio
import time

import httpx2

from ..kubernetes.kinds import CONFIG_MAP, KINDS, LABEL_MANAGED_BY, LABEL_NAME, MANAGER, SECRET, VOICEASSIST, Kind, Manifest
from ..kubernetes.secrets import RELEASED
from ..kubernetes.watch import Receiver, Watch
from .workers import Workers


def _receiver(kind: Kind, workers: Workers) -> Receiver:
    """Returns where the events of a kind go."""

    def gone(item: Manifest) -> None:
        workers.object_gone(item["metadata"]["uid"])

    def secret_changed(item: Manifest) -> None:
        workers.wake_referring(item["metadata"].get("namespace", ""), secret=item["metadata"]["name"])

    def config_map_changed(item: Manifest) -> None:
        workers.wake_referring(item["metadata"].get("namespace", ""), config_map=item["metadata"]["name"])
        named_changed(item)

    def named_changed(item: Manifest) -> None:
        labels = item["metadata"].get("labels") or {}
        if labels.get(LABEL_MANAGED_BY) == MANAGER:
            workers.wake_named(item["metadata"].get("namespace", ""), labels.get(LABEL_NAME, ""))

    if kind is VOICEASSIST:
        return Receiver(workers.object_announced, gone, workers.wake_all)
    changed = {SECRET: secret_changed, CONFIG_MAP: config_map_changed}.get(kind, named_changed)
    return Receiver(changed, changed, workers.wake_all)


class Watches:
    """All watches of this replica, while it leads."""

    def __init__(self, http: httpx2.AsyncClient, namespace: str, workers: Workers, *, any_secret: bool = False) -> None:
        """`namespace` "*" is every one; `any_secret`: Secrets are used that do not say that they may be."""
        self._workers = workers
        self._watches = [
            Watch(http, kind, namespace, selection, _receiver(kind, workers))
            for kind in KINDS
            for selection in (RELEASED if kind is SECRET and not any_secret else kind.watched)
        ]

    async def run(self) -> None:
        """Follows until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())

    def silent_seconds(self) -> float:
        """Returns for how long the watch that is the worst off has heard nothing; kopf's, that it owes us a VoiceAssist's change."""
        now = time.monotonic()
        return max(now - min(watch.alive_at for watch in self._watches), self._workers.overdue_seconds(now))
