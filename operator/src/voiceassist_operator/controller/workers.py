"""All keepers of this replica: one task for each VoiceAssist, woken by what happened; and who has which address and queues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..policy.resources.metadata import label_value
from ..twilio.flex.plan import DEFAULT, Older
from ..twilio.model.desired import Neighbours
from .reconciler import Keeper


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A VoiceAssist's claim to its address; the smallest wins: the oldest, of equal age the first by name."""

    created: str
    namespace: str
    name: str
    uid: str
    address: tuple[str, str]
    """Host and path prefix."""
    account: str = ""
    """Twilio account."""
    queues: frozenset[str] = frozenset()
    """What it claims in the account's Flex configuration: queues, or the default; nothing where that is configured by hand."""

    @property
    def key(self) -> str:
        """Its key in the Flex configuration."""
        return f"{self.namespace}/{self.name}"


class Claims:
    """Which VoiceAssist claims which address, and which queues in Flex, as the watch tells it."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Claim] = {}
        self._leaving: dict[str, Claim] = {}
        """Objects that are being deleted: what is left of them in Flex counts no more."""

    def note(self, body: Mapping[str, Any]) -> set[str]:
        """An object as it is now; one that is being deleted claims nothing. Gives the uids whose lot may have changed."""
        metadata, spec = body["metadata"], body.get("spec") or {}
        address = (spec.get("host") or "", spec.get("pathPrefix") or "")
        twilio = spec.get("twilio") or {}
        claim = Claim(
            metadata["creationTimestamp"],
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            address,
            twilio.get("accountSid") or "",
            _queues(twilio.get("flex") or {}) if twilio.get("accountSid") else frozenset(),
        )
        if "deletionTimestamp" in metadata:
            changed = self.drop(claim.uid)
            self._leaving[claim.uid] = claim
            return changed
        before = self._by_uid.get(claim.uid)
        if before == claim:
            return set()
        self._by_uid[claim.uid] = claim
        return self._others(claim) | (self._others(before) if before else set())

    def drop(self, uid: str) -> set[str]:
        """An object is gone. Gives the uids whose lot may have changed."""
        self._leaving.pop(uid, None)
        claim = self._by_uid.pop(uid, None)
        return self._others(claim) if claim else set()

    def rival(self, uid: str) -> str:
        """The object that has this one's address before it, as namespace/name; empty where there is none."""
        mine = self._by_uid.get(uid)
        if mine is None:
            return ""
        first = min(claim for claim in self._by_uid.values() if claim.address == mine.address)
        return "" if first is mine else f"{first.namespace}/{first.name}"

    def neighbours(self, uid: str) -> Neighbours:
        """The objects of this one's Twilio account: which of them claim queues before it, and which there are at all."""
        mine = self._by_uid.get(uid)
        if mine is None:
            return Neighbours()
        same = [one for one in self._by_uid.values() if one.account == mine.account and one is not mine]
        older = tuple(Older(one.key, one.queues & mine.queues) for one in sorted(same) if one < mine and one.queues & mine.queues)
        return Neighbours(older, frozenset(one.key for one in (*same, *self._leaving.values()) if one.account == mine.account))

    def _others(self, claim: Claim) -> set[str]:
        return {
            one.uid
            for one in self._by_uid.values()
            if one.uid != claim.uid and (one.address == claim.address or (one.account == claim.account and one.queues & claim.queues))
        }


def _queues(flex: Mapping[str, Any]) -> frozenset[str]:
    if not flex.get("configure", True):
        return frozenset()
    return frozenset(flex.get("queues") or [DEFAULT])


class Keepers:
    """Makes and ends keepers, and finds them by object, by owned object, and by what they refer to."""

    def __init__(self, make: Callable[[str, str, str, Claims], Keeper], heartbeat: tuple[str, str]) -> None:
        self._make, self._heartbeat = make, heartbeat
        self._claims = Claims()
        self._by_uid: dict[str, Keeper] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self.heard_at = time.monotonic()
        """When the watch last delivered our own heartbeat."""

    def there(self, body: Mapping[str, Any]) -> None:
        """An object is there, or has changed."""
        if self._closed:
            return
        metadata = body["metadata"]
        uid = metadata["uid"]
        for other in self._claims.note(body):
            self._wake(other)
        if uid not in self._by_uid:
            keeper = self._make(uid, metadata["name"], metadata["namespace"], self._claims)
            task = asyncio.get_running_loop().create_task(keeper.run(), name=f"keeper of {metadata['namespace']}/{metadata['name']}")
            self._by_uid[uid], self._tasks[uid] = keeper, task
            task.add_done_callback(lambda _: self._ended(uid))
        self._wake(uid)

    def gone(self, uid: str) -> None:
        """An object is gone; its keeper finds that out and ends."""
        for other in self._claims.drop(uid):
            self._wake(other)
        self._wake(uid)

    async def close(self) -> None:
        """Ends all keepers, and waits until they have ended; no other ones are made after that."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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

    def heard(self, namespace: str, config_map: str) -> None:
        """The watch delivered a ConfigMap: if it is our heartbeat, the watch is alive."""
        if (namespace, config_map) == self._heartbeat:
            self.heard_at = time.monotonic()

    def _wake(self, uid: str) -> None:
        keeper = self._by_uid.get(uid)
        if keeper is not None:
            keeper.wake()

    def _ended(self, uid: str) -> None:
        self._by_uid.pop(uid, None)
        self._tasks.pop(uid, None)
