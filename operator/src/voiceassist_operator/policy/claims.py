"""Which VoiceAssist claims which address, and which queues in Flex; the oldest claim stands. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..twilio.model.desired import Neighbours
from ..twilio.model.flex import DEFAULT, EarlierClaim

K = TypeVar("K", bound=Hashable)


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
        self._by_address: dict[tuple[str, str], dict[str, Claim]] = {}
        self._by_account: dict[str, dict[str, Claim]] = {}
        self._keys: dict[str, frozenset[str]] = {}
        """Keys of all objects of an account, as long as none has come or gone: a thousand objects ask for the same ones."""
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
            self._keys.pop(claim.account, None)
            return changed
        before = self._by_uid.get(claim.uid)
        if before == claim:
            return set()
        if before is not None:
            self._remove(before)
        self._by_uid[claim.uid] = claim
        self._by_address.setdefault(claim.address, {})[claim.uid] = claim
        self._by_account.setdefault(claim.account, {})[claim.uid] = claim
        self._keys.pop(claim.account, None)
        return self._affected(claim) | (self._affected(before) if before else set())

    def drop(self, uid: str) -> set[str]:
        """Forgets an object that is gone. Returns the uids of the objects that this may affect."""
        if (deleted := self._deleted.pop(uid, None)) is not None:
            self._keys.pop(deleted.account, None)
        claim = self._by_uid.get(uid)
        if claim is None:
            return set()
        self._remove(claim)
        return self._affected(claim)

    def conflicting(self, uid: str) -> str:
        """Returns the object that has this one's address before it, as namespace/name; empty where there is none."""
        mine = self._by_uid.get(uid)
        if mine is None:
            return ""
        first = min(self._by_address[mine.address].values())
        return "" if first is mine else f"{first.namespace}/{first.name}"

    def neighbours(self, uid: str) -> Neighbours:
        """Returns the objects of this one's Twilio account: those that claim queues before it, and all of them, one set for them all."""
        mine = self._by_uid.get(uid)
        if mine is None:
            return Neighbours()
        same = self._by_account[mine.account].values() if mine.queues else ()
        before = sorted(one for one in same if one.queues & mine.queues and one < mine)
        earlier = tuple(EarlierClaim(one.key, one.queues & mine.queues) for one in before)
        return Neighbours(earlier, self._keys_of(mine.account))

    def _keys_of(self, account: str) -> frozenset[str]:
        if account not in self._keys:
            there = (*self._by_account.get(account, {}).values(), *self._deleted.values())
            self._keys[account] = frozenset(one.key for one in there if one.account == account)
        return self._keys[account]

    def _remove(self, claim: Claim) -> None:
        del self._by_uid[claim.uid]
        _take_out(self._by_address, claim.address, claim.uid)
        _take_out(self._by_account, claim.account, claim.uid)
        self._keys.pop(claim.account, None)

    def _affected(self, claim: Claim) -> set[str]:
        by_address = self._by_address.get(claim.address, {}).keys()
        same = self._by_account.get(claim.account, {}).values() if claim.queues else ()
        return {*by_address, *(one.uid for one in same if one.queues & claim.queues)} - {claim.uid}


def _take_out(index: dict[K, dict[str, Claim]], key: K, uid: str) -> None:
    of = index[key]
    del of[uid]
    if not of:
        del index[key]


def _queues(flex: Mapping[str, Any]) -> frozenset[str]:
    if not flex.get("configure", True):
        return frozenset()
    return frozenset(flex.get("queues") or [DEFAULT])
