"""Which VoiceAssist claims which address, and which queues in Flex; the oldest claim stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..twilio.model.desired import Neighbours
from ..twilio.model.flex import DEFAULT, EarlierClaim


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
    """The claims of all VoiceAssists that the watch has delivered."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Claim] = {}
        self._deleted: dict[str, Claim] = {}
        """Objects that are being deleted: what is left of them in Flex counts no more."""

    def note(self, body: Mapping[str, Any]) -> set[str]:
        """Takes an object as it is now; one that is being deleted claims nothing. Returns the uids of the objects that this may affect."""
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
            self._deleted[claim.uid] = claim
            return changed
        before = self._by_uid.get(claim.uid)
        if before == claim:
            return set()
        self._by_uid[claim.uid] = claim
        return self._affected(claim) | (self._affected(before) if before else set())

    def drop(self, uid: str) -> set[str]:
        """Forgets an object that is gone. Returns the uids of the objects that this may affect."""
        self._deleted.pop(uid, None)
        claim = self._by_uid.pop(uid, None)
        return self._affected(claim) if claim else set()

    def conflicting(self, uid: str) -> str:
        """Returns the object that has this one's address before it, as namespace/name; empty where there is none."""
        mine = self._by_uid.get(uid)
        if mine is None:
            return ""
        first = min(claim for claim in self._by_uid.values() if claim.address == mine.address)
        return "" if first is mine else f"{first.namespace}/{first.name}"

    def neighbours(self, uid: str) -> Neighbours:
        """Returns the other objects of this one's Twilio account: those that claim queues before it, and all of them."""
        mine = self._by_uid.get(uid)
        if mine is None:
            return Neighbours()
        same = [one for one in self._by_uid.values() if one.account == mine.account and one is not mine]
        earlier = tuple(EarlierClaim(one.key, one.queues & mine.queues) for one in sorted(same) if one < mine and one.queues & mine.queues)
        return Neighbours(earlier, frozenset(one.key for one in (*same, *self._deleted.values()) if one.account == mine.account))

    def _affected(self, claim: Claim) -> set[str]:
        return {
            one.uid
            for one in self._by_uid.values()
            if one.uid != claim.uid and (one.address == claim.address or (one.account == claim.account and one.queues & claim.queues))
        }


def _queues(flex: Mapping[str, Any]) -> frozenset[str]:
    if not flex.get("configure", True):
        return frozenset()
    return frozenset(flex.get("queues") or [DEFAULT])
