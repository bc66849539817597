"""What watches, listings and our own writes have told of the cluster, of each object the newest; passes read here. Pure.

Of each object no more is kept than is used: of most their mark, by which a change is seen; of Secrets their version.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .applied import APPLIED_ANNOTATION, fields_of
from .kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HTTP_ROUTE,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    MANAGER,
    POD,
    SECRET,
    VOICEASSIST,
    Kind,
    Manifest,
    Ref,
    Selection,
)

_OTHERS_ANNOTATIONS = frozenset({"deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"})
"""Written by the cluster itself, or as long as an object: neither is kept, nor seen as a change."""
RELAY_ENDING = "-relay"
"""With this the names of all objects end of which others may have one; of ConfigMaps all are known, as they are referred to."""
MOST_GONE = 4096
"""Deletions of one shelf that are remembered; of more the newest."""
_ALIKE = frozenset({"apiVersion", "kind", "manager", "message", "reason", "status", "type"})
"""Fields whose texts are much the same in many objects."""
_METADATA = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "labels", "finalizers")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object."""

    version: str
    """Its resourceVersion."""
    uid: str = ""
    mark: str = ""
    """Changes when somebody changes the object, its status apart; empty where it is not ours."""
    label: str = ""
    """Name of the VoiceAssist that it belongs to, as a label's value."""
    owners: tuple[str, ...] = ()
    """Uids of its owners."""
    holder: str = ""
    """Whose it is, as far as it says."""
    item: Manifest | None = None
    """The object, as far as it is used; None where nothing but the above is."""
    applied: str = ""
    """What was applied last, as its annotation says."""
    fields: bytes = b""
    """Which fields are ours, as the API server counts them (JSON); of what was listed, until it was compared with what is wanted."""


@dataclass(slots=True)
class _Held:
    entry: Entry
    serial: int


@dataclass(frozen=True, slots=True)
class _Gone:
    """An object that is not there any more: what comes late of it does not bring it back."""

    version: str
    """Of the deletion; where that is not known, the last that was seen."""
    serial: int


def newer(one: str, other: str) -> bool:
    """Returns whether one resourceVersion is newer than another of the same object; one that is no number counts as newer."""
    return int(one) > int(other) if one.isdigit() and other.isdigit() else one != other


class Shelf:
    """The objects of one kind that one selection brings."""

    def __init__(self, store: Store, kind: Kind) -> None:
        self._store, self.kind = store, kind
        self.held: dict[tuple[str, str], _Held] = {}
        self.complete = False
        """A listing has ended: what is not here is not there. Without one, nothing follows from what is missing."""
        self._gone: dict[tuple[str, str], _Gone] = {}
        """Deletions, until a listing that began after them has ended."""
        self._listed: set[tuple[str, str]] | None = None
        self._since = 0

    def begin_listing(self) -> None:
        """A listing begins: what is taken until its end was there in it."""
        self._listed, self._since = set(), self._store.serial

    def end_listing(self) -> list[tuple[str, str]]:
        """Returns what is gone, as it was not listed; what was written meanwhile stays. Namespace and name of each."""
        gone = [key for key, one in self.held.items() if self._listed is not None and key not in self._listed and one.serial <= self._since]
        self._listed, self.complete = None, True
        self._gone = {key: one for key, one in self._gone.items() if one.serial > self._since}
        for key in gone:
            self.forget(key)
        return gone

    def take(self, item: Mapping[str, Any], *, listed: bool = False) -> bool:
        """Takes an object as it is, unless it is known to be newer. Returns whether that is news."""
        key = _key(item)
        if not self._concerns(key[1], item):
            return False
        held, gone = self.held.get(key), self._gone.get(key)
        entry = _entry(self.kind, item, uncompared=listed or (held is not None and bool(held.entry.fields)))
        if listed and self._listed is not None:
            self._listed.add(key)
        known = gone if held is None else held
        doubtless = listed and self._listed is not None and known is not None and known.serial <= self._since  # not written since it began
        if held is not None and not (newer(entry.version, held.entry.version) or (doubtless and entry.version != held.entry.version)):
            return False
        if held is None and gone is not None and not (newer(entry.version, gone.version) or doubtless):
            return False
        self._store.serial += 1
        self._gone.pop(key, None)
        if held is not None:
            self._store._unindex(self.kind, key, held.entry)
        self.held[key] = _Held(entry, self._store.serial)
        self._store._index(self.kind, key, entry)
        return True

    def _concerns(self, name: str, item: Mapping[str, Any]) -> bool:
        """Whether more is to be known of an object than that it is there: of others' objects only where they have a name for our own."""
        return not self.kind.owned or self.kind is CONFIG_MAP or name.endswith(RELAY_ENDING) or is_ours(item)

    def drop(self, item: Mapping[str, Any]) -> bool:
        """An object is gone, or selected no more. Returns whether that is news."""
        key, version = _key(item), str(item["metadata"].get("resourceVersion") or "")
        held, gone = self.held.get(key), self._gone.get(key)
        if held is None:
            if self._concerns(key[1], item) and (gone is None or newer(version, gone.version)):
                self._remember_gone(key, version)
            return False
        if newer(held.entry.version, version):
            return False
        self.forget(key, version)
        return True

    def forget(self, key: tuple[str, str], version: str = "") -> None:
        """An object is gone, by namespace and name; `version` is that of its deletion, where it is known."""
        entry = self.held.pop(key).entry
        self._store._unindex(self.kind, key, entry)
        self._remember_gone(key, version or entry.version)

    def mark_stale(self, key: tuple[str, str]) -> None:
        """What is known of an object, by namespace and name, is not believed any more: what is read next counts, be it older."""
        self._gone.pop(key, None)
        if (held := self.held.pop(key, None)) is not None:
            self._store._unindex(self.kind, key, held.entry)

    def _remember_gone(self, key: tuple[str, str], version: str) -> None:
        self._gone.pop(key, None)
        while len(self._gone) >= MOST_GONE:
            del self._gone[next(iter(self._gone))]
        self._store.serial += 1
        self._gone[key] = _Gone(version, self._store.serial)


class Store:
    """All that is known of the cluster; one for a process."""

    def __init__(self) -> None:
        self.serial = 0
        """Counts what was taken."""
        self._shelves: dict[Kind, dict[Selection, Shelf]] = {}
        self._of: dict[tuple[str, str], dict[Ref, Entry]] = {}

    def shelf(self, kind: Kind, selection: Selection | None = None) -> Shelf:
        """Returns the place of what a selection brings; without one, of what we write ourselves."""
        of_kind = self._shelves.setdefault(kind, {})
        wanted = selection if selection is not None else next(iter(kind.watched), Selection())
        return of_kind.setdefault(wanted, Shelf(self, kind))

    def take(self, item: Mapping[str, Any], kind: Kind) -> bool:
        """Takes what a read or a write of ours was answered with. Returns whether that is news."""
        return self.shelf(kind).take(item)

    def forget(self, ref: Ref, namespace: str) -> None:
        """What we deleted, or did not find, is not there any more."""
        for shelf in self._shelves.get(ref.kind, {}).values():
            if (namespace, ref.name) in shelf.held:
                shelf.forget((namespace, ref.name))

    def compared(self, kind: Kind, name: str, namespace: str) -> None:
        """It is known whether what was listed is as it is wanted: which fields are ours is not kept any longer."""
        for shelf in self._shelves.get(kind, {}).values():
            held = shelf.held.get((namespace, name))
            if held is not None and held.entry.fields:
                held.entry = replace(held.entry, fields=b"")
                self._index(kind, (namespace, name), held.entry)

    def entry(self, kind: Kind, name: str, namespace: str) -> Entry | None:
        """Returns an object; None where none is known."""
        for shelf in self._shelves.get(kind, {}).values():
            if (held := shelf.held.get((namespace, name))) is not None:
                return held.entry
        return None

    def of(self, namespace: str, label: str) -> Mapping[Ref, Entry]:
        """Returns what bears a VoiceAssist's name as a label and ours as the manager."""
        return self._of.get((namespace, label), {})

    def _index(self, kind: Kind, key: tuple[str, str], entry: Entry) -> None:
        if entry.label:
            self._of.setdefault((key[0], entry.label), {})[Ref(kind, key[1])] = entry

    def _unindex(self, kind: Kind, key: tuple[str, str], entry: Entry) -> None:
        place = (key[0], entry.label)
        if entry.label and (found := self._of.get(place)) is not None:
            found.pop(Ref(kind, key[1]), None)
            if not found:
                del self._of[place]


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("namespace") or "", item["metadata"]["name"]


def _entry(kind: Kind, item: Mapping[str, Any], *, uncompared: bool) -> Entry:
    """`uncompared`: nobody knows yet whether the object is as it is wanted."""
    metadata = item["metadata"]
    version, labels = str(metadata.get("resourceVersion") or ""), metadata.get("labels") or {}
    ours, name = is_ours(item), metadata["name"]
    if kind is SECRET or (kind is CONFIG_MAP and not ours and not name.endswith(RELAY_ENDING)):
        return Entry(version)
    if kind is VOICEASSIST:
        return Entry(version, metadata["uid"], item=_shared(_assist(item)))
    owners = owners_of(item)
    if not ours and kind.owned:
        return Entry(version, owners=owners, holder=holder_of(item))
    label = labels.get(LABEL_NAME, "") if ours else ""
    applied = (metadata.get("annotations") or {}).get(APPLIED_ANNOTATION, "") if kind.owned else ""
    fields = json.dumps(fields_of(metadata)).encode() if uncompared and applied else b""
    holder = f"{VOICEASSIST.name} {label}" if label else ""
    kept = _shared(_kept(kind, item))
    return Entry(version, metadata.get("uid") or "", mark_of(item), label, owners, holder, kept, applied, fields)


def is_ours(item: Mapping[str, Any]) -> bool:
    """Returns whether an object bears our label."""
    return bool((item["metadata"].get("labels") or {}).get(LABEL_MANAGED_BY) == MANAGER)


def owners_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the uids of an object's owners."""
    return tuple(owner.get("uid", "") for owner in item["metadata"].get("ownerReferences") or [])


def holder_of(item: Mapping[str, Any]) -> str:
    """Returns whose an object is, as far as its owner references say."""
    owners = item["metadata"].get("ownerReferences") or []
    return ", ".join(f"{one.get('kind')} {one.get('name')}" for one in owners)[:200] or "somebody else"


def mark_of(item: Mapping[str, Any]) -> str:
    """Returns a text that changes when anybody changes an object's spec, data, labels, annotations or owners."""
    metadata = item["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _OTHERS_ANNOTATIONS}
    what = (
        metadata.get("uid"),
        metadata.get("generation") or metadata.get("resourceVersion"),  # kinds without a status count no generations
        metadata.get("labels"),
        annotations,
        metadata.get("ownerReferences"),
        "deletionTimestamp" in metadata,
    )
    return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=12).hexdigest()


def _kept(kind: Kind, item: Mapping[str, Any]) -> Manifest | None:
    """The parts of an object that are used, for kinds of which more than the metadata is."""
    status = item.get("status") or {}
    if kind is DEPLOYMENT:
        keys = ("readyReplicas", "updatedReplicas", "replicas", "observedGeneration", "conditions")
        spec = {"replicas": (item.get("spec") or {}).get("replicas", 1)}
        return {"metadata": _some(item["metadata"], _METADATA), "spec": spec, "status": _some(status, keys)}
    if kind is POD:
        metadata = {**_some(item["metadata"], _METADATA), "annotations": dict(item["metadata"].get("annotations") or {})}
        conditions = [one for one in status.get("conditions") or [] if one.get("type") in {"Ready", "PodScheduled"}]
        containers = [_some(one, ("restartCount", "state")) for one in (status.get("containerStatuses") or [])[:1]]
        return {
            "metadata": metadata,
            "status": {**_some(status, ("phase", "podIP")), "conditions": conditions, "containerStatuses": containers},
        }
    if kind is CONFIG_MAP:  # prompts: those that are kept, and those that calls have
        data = _some(item.get("data") or {}, ("instructions", "relay.json"))
        return {"kind": CONFIG_MAP.name, "metadata": _some(item["metadata"], ("name", "annotations")), "data": data}
    if kind is HTTP_ROUTE:
        return {"metadata": _some(item["metadata"], _METADATA), "status": _some(status, ("parents",))}
    return None


def _assist(item: Mapping[str, Any]) -> Manifest:
    """A VoiceAssist without what makes it twice as long: of the field managers, who wrote the prompt and the annotations stays."""
    metadata = dict(item["metadata"])
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _OTHERS_ANNOTATIONS}
    managers = [
        {"manager": one.get("manager"), "time": one.get("time"), "fieldsV1": fields}
        for one in metadata.get("managedFields") or []
        if (fields := _of_writers(one.get("fieldsV1") or {}))
    ]
    return {**item, "metadata": {**metadata, "annotations": annotations, "managedFields": managers}}


def _of_writers(fields: Mapping[str, Any]) -> Manifest:
    kept: Manifest = {}
    if "f:prompt" in (fields.get("f:spec") or {}):
        kept["f:spec"] = {"f:prompt": {}}
    if annotations := (fields.get("f:metadata") or {}).get("f:annotations"):
        kept["f:metadata"] = {"f:annotations": annotations}
    return kept


def _shared(value: Any) -> Any:
    """JSON values with names of fields, and what is alike, once for all objects: each answer and event that is read brings its own."""
    if isinstance(value, dict):
        return {sys.intern(key): sys.intern(one) if key in _ALIKE and type(one) is str else _shared(one) for key, one in value.items()}
    return [_shared(one) for one in value] if isinstance(value, list) else value


def _some(given: Mapping[str, Any], keys: Iterable[str]) -> Manifest:
    return {key: given[key] for key in keys if key in given}
