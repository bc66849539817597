"""All reconcilers of this replica: one task for each VoiceAssist, woken by what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..kubernetes.kinds import VOICEASSIST, Ref
from ..kubernetes.store import Store, newer
from ..policy.claims import Claims
from ..policy.resources.metadata import label_value
from .reconciler import Reconciler

OVERDUE_SECONDS = 2.0
"""What kopf has not delivered by then is read."""


class Workers:
    """Starts and ends reconcilers, and finds them by object, by owned object, and by what they refer to."""

    def __init__(self, make: Callable[[str, str, str, Claims], Reconciler], store: Store) -> None:
        """`make` makes the reconciler of a uid, name and namespace."""
        self._make, self._store = make, store
        self._begun = asyncio.Event()
        self._claims = Claims()
        self._by_uid: dict[str, Reconciler] = {}
        self._by_label: dict[tuple[str, str], set[str]] = {}
        """Uids by namespace and the name as a label's value."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._delivered: dict[str, str] = {}
        """The resourceVersion by uid that kopf delivered last."""
        self._overdue: dict[str, float] = {}
        """Since when kopf owes a change, by uid; monotonic seconds."""
        self._closed = False

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(self._by_uid)

    @property
    def rolled_at_once(self) -> int:
        """To how many of them a configuration is on its way."""
        return sum(one.is_rolling for one in self._by_uid.values())

    def object_changed(self, body: Mapping[str, Any]) -> None:
        """An object is there, or has changed."""
        if self._closed:
            return
        metadata = body["metadata"]
        uid, version, before = metadata["uid"], metadata.get("resourceVersion", ""), self._delivered.get(metadata["uid"], "")
        self._delivered[uid] = version
        self._overdue.pop(uid, None)
        news = self._store.take(body, VOICEASSIST)
        for affected in self._claims.note(body):
            self._wake(affected)
        if uid not in self._by_uid:
            reconciler = self._make(uid, metadata["name"], metadata["namespace"], self._claims)
            name = f"reconciler of {metadata['namespace']}/{metadata['name']}"
            task = asyncio.get_running_loop().create_task(self._run(reconciler), name=name)
            self._by_uid[uid], self._tasks[uid] = reconciler, task
            self._by_label.setdefault(_place(reconciler), set()).add(uid)
            task.add_done_callback(lambda _: self._ended(uid))
        elif before and newer(before, version):  # kopf delivers in order: the cluster was put back to an earlier state
            self._read(uid)
        elif news:
            self._wake(uid)

    def begin(self) -> None:
        """All that there is was listed, as far as we may: passes may begin."""
        self._begun.set()

    async def _run(self, reconciler: Reconciler) -> None:
        await self._begun.wait()
        await reconciler.run()

    def object_deleted(self, uid: str) -> None:
        """An object is gone; its reconciler finds that out and ends."""
        self._delivered.pop(uid, None)
        self._overdue.pop(uid, None)
        for affected in self._claims.drop(uid):
            self._wake(affected)
        self._read(uid)

    def object_announced(self, item: Mapping[str, Any]) -> None:
        """The watch of metadata has an object's change: kopf owes us the same, and proves by that that it delivers."""
        uid, version = item["metadata"]["uid"], item["metadata"]["resourceVersion"]
        if self._delivered.get(uid) == version:
            self._overdue.pop(uid, None)
        elif uid not in self._overdue:
            self._overdue[uid] = time.monotonic()
            asyncio.get_running_loop().call_later(OVERDUE_SECONDS, self._read_overdue, uid)

    def object_listed(self, item: Mapping[str, Any]) -> None:
        """The listing of metadata has an object; where what is known is newer than that, the cluster may have been put back."""
        self.object_announced(item)
        metadata = item["metadata"]
        entry = self._store.entry(VOICEASSIST, metadata["name"], metadata["namespace"])
        if entry is not None and entry.uid == metadata["uid"] and newer(entry.version, metadata["resourceVersion"]):
            self._read(metadata["uid"])

    def object_gone(self, uid: str) -> None:
        """The watch of metadata says that an object is gone: nothing is owed any more."""
        self._delivered.pop(uid, None)
        self._overdue.pop(uid, None)
        self._read(uid)

    def objects_are(self, uids: set[str]) -> None:
        """A listing has these objects, and no others: those that are not in it are read, which says whether they are gone."""
        for uid in self._by_uid.keys() - uids:
            self._read(uid)
        for uid in self._delivered.keys() - self._by_uid.keys() - uids:
            del self._delivered[uid]

    def _read_overdue(self, uid: str) -> None:
        if uid in self._overdue:
            self._read(uid)

    def _read(self, uid: str) -> None:
        """The object itself is read anew, by a pass."""
        reconciler = self._by_uid.get(uid)
        if reconciler is not None:
            reconciler.wake(read=True)

    def overdue_seconds(self, now: float) -> float:
        """Returns for how long kopf has owed us a change, at monotonic `now`; 0 where it owes none."""
        return now - min(self._overdue.values(), default=now)

    def wake_all(self) -> None:
        """Events may have been missed."""
        for reconciler in self._by_uid.values():
            reconciler.wake()

    async def close(self) -> None:
        """Ends all reconcilers, and waits until they have ended; no other ones are made after that."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake_named(self, namespace: str, label: str) -> None:
        """Something that bears an object's name as a label has changed."""
        for uid in self._by_label.get((namespace, label), ()):
            self._wake(uid)

    def wake_needing(self, namespace: str, name: str) -> None:
        """An object of somebody else's has changed: those that wait for its name look again."""
        for reconciler in self._by_uid.values():
            if reconciler.namespace == namespace and reconciler.waits_for_name == name:
                reconciler.wake()

    def wake_referring(self, namespace: str, *, secret: str = "", config_map: str = "") -> None:
        """A Secret or ConfigMap that objects may refer to has changed."""
        for reconciler in self._by_uid.values():
            if reconciler.namespace == namespace and (secret in reconciler.secrets or config_map in reconciler.config_maps):
                reconciler.wake()

    def _wake(self, uid: str) -> None:
        reconciler = self._by_uid.get(uid)
        if reconciler is not None:
            reconciler.wake()

    def _ended(self, uid: str) -> None:
        self._tasks.pop(uid, None)
        reconciler = self._by_uid.pop(uid, None)
        if reconciler is None:
            return
        entry = self._store.entry(VOICEASSIST, reconciler.name, reconciler.namespace)
        if entry is not None and entry.uid == uid:
            self._store.forget(Ref(VOICEASSIST, reconciler.name), reconciler.namespace)
        place = _place(reconciler)
        self._by_label[place].discard(uid)
        if not self._by_label[place]:
            del self._by_label[place]
        self._overdue.pop(uid, None)  # what kopf delivered is kept: it may be there for another's finalizer
        if not self._closed:
            for affected in self._claims.drop(uid):
                self._wake(affected)


def _place(reconciler: Reconciler) -> tuple[str, str]:
    return reconciler.namespace, label_value(reconciler.name)
