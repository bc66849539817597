"""What the watches bring goes into the store, and wakes the reconcilers that it concerns; whether the watches still deliver."""

from __future__ import annotations

import asyncio
import time

import httpx2
import structlog

from ..errors import Forbidden, NotThere, OperatorError, UnknownKind
from ..kubernetes.client import Cluster
from ..kubernetes.kinds import (
    CONFIG_MAP,
    KINDS,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    MANAGER,
    OPTIONAL,
    SECRET,
    VOICEASSIST,
    Kind,
    Manifest,
    Selection,
)
from ..kubernetes.secrets import RELEASED
from ..kubernetes.store import Shelf, Store
from ..kubernetes.watch import LIST_SECONDS, Receiver, Watch
from .workers import Workers

ASK_KINDS_SECONDS = 20.0
"""Between two questions whether the cluster knows a kind, and what it has of it."""
ASK_AGAIN_SECONDS = 5.0
"""The same after an answer that said nothing."""

log = structlog.get_logger("voiceassist.watches")


def _receiver(shelf: Shelf, workers: Workers) -> Receiver:
    """Returns where the events of a kind go: into the store, and on to those that they concern, if they are news."""
    kind = shelf.kind

    def wake(namespace: str, name: str, *labels: str) -> None:
        if kind is SECRET:
            workers.wake_referring(namespace, secret=name)
        elif kind is CONFIG_MAP:
            workers.wake_referring(namespace, config_map=name)
        if not any(labels):
            workers.wake_needing(namespace, name)
        for label in {*labels} - {""}:
            workers.wake_named(namespace, label)

    def known(item: Manifest) -> str:
        held = shelf.held.get((item["metadata"].get("namespace") or "", item["metadata"]["name"]))
        return held.entry.label if held is not None else ""

    def _told(item: Manifest) -> tuple[str, str, str]:
        metadata = item["metadata"]
        labels = metadata.get("labels") or {}
        label = labels.get(LABEL_NAME, "") if labels.get(LABEL_MANAGED_BY) == MANAGER else ""
        return metadata.get("namespace") or "", metadata["name"], label

    def changed(item: Manifest) -> None:
        before = known(item)
        if shelf.take(item):
            wake(*_told(item), before)

    def listed(item: Manifest) -> None:
        before = known(item)
        if shelf.take(item, listed=True):
            wake(*_told(item), before)

    def deleted(item: Manifest) -> None:
        label = known(item)
        if shelf.drop(item):
            namespace, name, _ = _told(item)
            wake(namespace, name, label)

    def end() -> None:
        labels = {key: one.entry.label for key, one in shelf.held.items()}
        for namespace, name in shelf.end_listing():
            wake(namespace, name, labels[namespace, name])

    return Receiver(changed, deleted, shelf.begin_listing, listed, end)


def _announcing(workers: Workers) -> Receiver:
    """Returns where the metadata of VoiceAssists goes: it tells what kopf has to deliver."""
    listed: set[str] = set()

    def one_listed(item: Manifest) -> None:
        listed.add(item["metadata"]["uid"])
        workers.object_listed(item)

    return Receiver(
        workers.object_announced,
        lambda item: workers.object_gone(item["metadata"]["uid"]),
        listed.clear,
        one_listed,
        lambda: workers.objects_are(listed),
    )


class OptionalKinds:
    """Kinds that the cluster may or may not know; asked again every 20 s, as somebody may bring them later.

    They are not watched: the same answer tells what is there of ours.
    """

    def __init__(self, cluster: Cluster, namespace: str, store: Store) -> None:
        self.undecided = frozenset(OPTIONAL)
        """Those of which the API server has not said yet whether it knows them."""
        self.known: frozenset[Kind] = frozenset()
        """Those that the cluster knows and lets us list. What is known stays known until the API server itself says that it is not: an
        answer that failed says nothing of the kind."""
        self._cluster, self._namespace, self._store = cluster, namespace, store
        self.answered = asyncio.Event()
        """Set when all were asked once."""

    async def run(self, workers: Workers) -> None:
        """Asks until it is cancelled."""
        receivers = {kind: _receiver(self._store.shelf(kind), workers) for kind in OPTIONAL}
        while True:
            before, said_nothing = (self.known, self.undecided), False
            for kind in OPTIONAL:
                said_nothing |= not await self.ask(kind, receivers[kind])
            self.answered.set()
            if (self.known, self.undecided) != before:
                workers.wake_all()
            await asyncio.sleep(ASK_AGAIN_SECONDS if said_nothing else ASK_KINDS_SECONDS)

    async def ask(self, kind: Kind, receiver: Receiver) -> bool:
        """Asks for one. Returns whether the API server's answer says anything."""
        receiver.begin()
        try:
            found = await self._cluster.list(kind, self._namespace, {LABEL_MANAGED_BY: MANAGER})
        except (UnknownKind, NotThere):
            self.known -= {kind}
            receiver.end()
        except Forbidden:
            pass  # a right that was never there; or one that is away, and comes back with the next release of the chart
        except OperatorError as error:
            log.warning("whether the cluster knows a kind could not be asked", kind=kind.name, error=str(error))
            return False
        else:
            for item in found:
                receiver.listed(item)
            receiver.end()
            self.known |= {kind}
        self.undecided -= {kind}
        return True


class Watches:
    """All watches of this replica, while it leads."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        namespace: str,
        store: Store,
        workers: Workers,
        optional: OptionalKinds,
        *,
        any_secret: bool = False,
        list_seconds: float = LIST_SECONDS,
    ) -> None:
        """`namespace` "*" is every one; `any_secret`: Secrets are used that do not say that they may be."""
        self._workers, self._optional = workers, optional

        def receiver(kind: Kind, selection: Selection) -> Receiver:
            return _announcing(workers) if kind is VOICEASSIST else _receiver(store.shelf(kind, selection), workers)

        self._watches = [
            Watch(http, kind, namespace, selection, receiver(kind, selection), list_seconds)
            for kind in KINDS
            for selection in (RELEASED if kind is SECRET and not any_secret else kind.watched)
        ]

    async def run(self) -> None:
        """Follows until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())
            group.create_task(self._optional.run(self._workers))
            group.create_task(self._begin())

    async def _begin(self) -> None:
        """Lets the reconcilers begin when all listings have ended or were refused; which of them it needs, each pass knows."""
        for watch in self._watches:
            await watch.answered.wait()
        await self._optional.answered.wait()
        self._workers.begin()

    def silent_seconds(self) -> float:
        """Returns for how long the watch that is the worst off has heard nothing."""
        return time.monotonic() - min(watch.alive_at for watch in self._watches)

    def overdue_seconds(self) -> float:
        """Returns for how long kopf has owed us a VoiceAssist's change; 0 where it owes none."""
        return self._workers.overdue_seconds(time.monotonic())
