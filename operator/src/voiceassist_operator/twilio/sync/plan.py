"""The Sync service of a VoiceAssist (pure): which one is ours, what is to be done to it, and what was not as we left it.

A service that the object names (adopted): AclEnabled is kept on, as without it any token opens the whole service; everything else
is left alone, and it is never deleted. Otherwise one is made whose FriendlyName carries the object's uid, so that one made before
a crash is found again. Names are not unique: where two bear ours, the one that the status names stays, else the oldest, and the
others are deleted if nothing is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voiceassist_crds.reasons import Reason

from ..model.outcome import Problem, SyncRecord
from ..model.sync_service import SyncDesired, SyncService, SyncSettings


@dataclass(frozen=True, slots=True)
class SyncSeen:
    """What the account has."""

    known: SyncService | None = None
    """The service that the object or the status names, or that was made just now."""
    named: tuple[SyncService, ...] = ()
    """All that bear our name; not looked for where the object names one."""
    empty: frozenset[str] = frozenset()
    """Those in which nothing is."""
    asked_empty: frozenset[str] = frozenset()
    """Those of which that was asked."""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What is to be done; with nothing to do, `use` is the service."""

    use: SyncRecord = field(default_factory=SyncRecord)
    create: bool = False
    update: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the service in use."""
    ask_empty: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    """What was not as we left it, and what is done about it."""
    problem: Problem | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.create or self.update or self.ask_empty or self.delete)


def plan_sync(desired: SyncDesired, record: SyncRecord, seen: SyncSeen) -> SyncPlan:
    """Returns the plan."""
    return _adopted(desired, seen) if desired.given_sid else _made(desired, record, seen)


def _adopted(desired: SyncDesired, seen: SyncSeen) -> SyncPlan:
    sid = desired.given_sid
    if seen.known is None:
        text = f"the account has no Sync service {sid}; check twilio.sync.serviceSid, accountSid and region, or leave serviceSid out"
        return SyncPlan(SyncRecord(sid), problem=Problem(Reason.SYNC_NOT_FOUND, text))
    if seen.known.settings.acl_enabled:
        return SyncPlan(SyncRecord(sid))
    text = f"AclEnabled of Sync service {sid} was off, so that any token opened all of it: switched on"
    return SyncPlan(SyncRecord(sid), update={"acl_enabled": True}, drift=(text,))


def _made(desired: SyncDesired, record: SyncRecord, seen: SyncSeen) -> SyncPlan:
    remembered = record.sid if record.made else ""
    ours = {one.sid: one for one in seen.named}
    if seen.known is not None and (remembered == seen.known.sid or seen.known.friendly_name == desired.friendly_name):
        ours[seen.known.sid] = seen.known
    gone = (
        (f"Sync service {remembered} was deleted by hand, with what calls had stored in it",)
        if remembered and remembered not in ours
        else ()
    )
    if not ours:
        return SyncPlan(create=True, drift=tuple(f"{text}: another one is made" for text in gone))
    first = min(ours.values(), key=lambda one: (one.sid != remembered, one.created, one.sid))
    changes, repairs = _changes(desired, first)
    others = sorted(set(ours) - {first.sid})
    deletable = tuple(sid for sid in others if sid in seen.empty)
    drift = [f"{text}: {first.sid} takes its place" for text in gone] + repairs
    drift += [f"Sync service {sid} bore the name of {first.sid}, with nothing in it: deleted" for sid in deletable]
    return SyncPlan(
        SyncRecord(first.sid, made=True),
        update=changes,
        ask_empty=tuple(sid for sid in others if sid not in seen.asked_empty),
        delete=deletable,
        drift=tuple(drift),
    )


def _changes(desired: SyncDesired, service: SyncService) -> tuple[dict[str, Any], list[str]]:
    changes: dict[str, Any] = {}
    repairs = []
    if service.friendly_name != desired.friendly_name:
        changes["friendly_name"] = desired.friendly_name
        repairs.append(f"FriendlyName of Sync service {service.sid} was {service.friendly_name[:100]!r}: put back")
    right = SyncSettings()
    for name in SyncSettings.__slots__:
        value, good = getattr(service.settings, name), getattr(right, name)
        if value != good:
            changes[name] = good
            shown = repr(value[:100]) if isinstance(value, str) else str(value).lower()
            repairs.append(f"{name} of Sync service {service.sid} was {shown}: put back")
    return changes, repairs
