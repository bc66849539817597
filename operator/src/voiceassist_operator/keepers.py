"""All keepers of this replica: one for each VoiceAssist, woken by what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .cluster import Cluster
from .deletion import release
from .reconcile import Keeper
from .resources.common import label_value


class Keepers:
    """Finds keepers by object, by owned object, and by what they refer to."""

    def __init__(self, cluster: Cluster, make: Callable[[str, str], Keeper], heartbeat: str) -> None:
        self._cluster, self._make, self._heartbeat = cluster, make, heartbeat
        self._by_uid: dict[str, Keeper] = {}
        self.heard_at = time.monotonic()
        """When the watch last delivered our own heartbeat."""

    def __len__(self) -> int:
        return len(self._by_uid)

    async def keep(self, uid: str, name: str, namespace: str) -> None:
        """Keeps an object until it is gone or we are stopped."""
        keeper = self._make(name, namespace)
        self._by_uid[uid] = keeper
        try:
            await keeper.run()
        finally:
            if self._by_uid.get(uid) is keeper:
                del self._by_uid[uid]

    async def let_go(self, body: Mapping[str, Any], now: float) -> None:
        """An object is to be deleted. Raises OperatorError while that has to wait."""
        await release(self._cluster, body, now)

    def wake(self, uid: str) -> None:
        """The object itself changed."""
        keeper = self._by_uid.get(uid)
        if keeper is not None:
            keeper.wake()

    def wake_named(self, namespace: str, label: str) -> None:
        """Something with the label of an object changed."""
        for keeper in self._by_uid.values():
            if keeper.namespace == namespace and label_value(keeper.name) == label:
                keeper.wake()

    def wake_referring(self, namespace: str, *, secret: str = "", config_map: str = "") -> None:
        """A Secret or ConfigMap changed that objects may refer to."""
        for keeper in self._by_uid.values():
            if keeper.namespace == namespace and (secret in keeper.secrets or config_map in keeper.config_maps):
                keeper.wake()

    def heard(self, config_map: str) -> None:
        """The watch delivered a ConfigMap: if it is our heartbeat, the watch is alive."""
        if config_map == self._heartbeat:
            self.heard_at = time.monotonic()
