"""The things that Sync keeps: services, objects of four kinds, items, permissions; and the change that every write leaves behind."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final


class Kind(Enum):
    """The four kinds of Sync objects, with the path segment, the SID prefix and the vendor's error codes of each."""

    DOCUMENT = ("document", "Documents", "ET", 54100)
    LIST = ("list", "Lists", "ES", 54150)
    MAP = ("map", "Maps", "MP", 54200)
    STREAM = ("stream", "Streams", "TO", 54250)

    def __init__(self, word: str, segment: str, prefix: str, not_found: int) -> None:
        self.word = word
        self.segment = segment
        self.prefix = prefix
        self.not_found = not_found

    @property
    def item_not_found(self) -> int:
        """Error code for an item that is not there (lists and maps)."""
        return self.not_found + 1

    @property
    def mismatch(self) -> int:
        """Error code for an ``If-Match`` that names an old revision: of the document, or of the item of a list or map."""
        return 54103 if self is Kind.DOCUMENT else self.not_found + 5

    @property
    def no_data(self) -> int:
        """Error code for ``Data`` that is missing or null."""
        return {Kind.DOCUMENT: 54101, Kind.LIST: 54156, Kind.MAP: 54206, Kind.STREAM: 54251}[self]


SYSTEM: Final = "system"
"""``created_by`` of everything made through REST."""
EVENTS_KEPT: Final = 1_000
"""Events that an object remembers for subscribers who were away."""

Key = str | int
"""A map item's key or a list item's index."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The JSON of a ``Data`` field and the bytes it took as it was sent."""

    value: Any
    size: int


@dataclass(slots=True)
class Lifetime:
    """When something was made and changed, and when it ends; times in seconds since the epoch, ``expires`` ``None`` is never."""

    created: float
    updated: float
    expires: float | None = None

    def over(self, now: float) -> bool:
        """Whether the end has come."""
        return self.expires is not None and self.expires <= now

    def set_ttl(self, ttl: int | None, now: float) -> None:
        """``ttl`` seconds from now; 0 is for ever; ``None`` changes nothing, as plain writes do not extend a life."""
        if ttl is not None:
            self.expires = now + ttl if ttl else None


@dataclass(slots=True)
class Item:
    """One item of a list or map."""

    key: Key
    data: Any
    revision: int
    life: Lifetime
    event: int = 0
    """The number of the latest event of its object that was about it."""
    created_by: str = SYSTEM
    """As of its object."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What one identity may do with one object."""

    identity: str
    read: bool
    write: bool
    manage: bool


@dataclass(slots=True)
class SyncObject:
    """A document, list, map or stream."""

    kind: Kind
    sid: str
    service_sid: str
    unique_name: str | None
    life: Lifetime
    created_by: str = SYSTEM
    """The identity of the token with which it was made, or `system`: made through REST."""
    revision: int = 0
    data: Any = None
    items: dict[Key, Item] = field(default_factory=dict)
    next_index: int = 0
    permissions: dict[str, Permission] = field(default_factory=dict)
    last_event: int = 0
    """The number of its latest event; the first one is 1."""
    history: deque[Change] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    """Its latest events (streams keep none): what a subscriber that was away is told."""

    def touch(self, now: float) -> int:
        """A new revision after a write."""
        self.revision += 1
        self.life.updated = now
        return self.revision


@dataclass(slots=True)
class Service:
    """A Sync service: its settings and its objects."""

    sid: str
    life: Lifetime
    friendly_name: str | None = None
    webhook_url: str | None = None
    webhooks_from_rest_enabled: bool = False
    reachability_webhooks_enabled: bool = False
    acl_enabled: bool = False
    reachability_debouncing_enabled: bool = False
    reachability_debouncing_window: int = 5000
    objects: dict[str, SyncObject] = field(default_factory=dict)
    names: dict[tuple[Kind, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What a subscriber of Sync would be told: one accepted write, message, or the end of something.

    ``event``: created, updated, removed, item_added, item_updated, item_removed, message. ``event_id`` counts the events of the object;
    ``previous`` is the data of an item that was removed; ``expires`` (of the item, or of the object) is in seconds since the epoch.
    """

    at: float
    event: str
    service_sid: str
    kind: Kind
    sid: str
    unique_name: str | None
    key: Key | None = None
    data: Any = None
    revision: int | None = None
    message_sid: str | None = None
    event_id: int = 0
    previous: Any = None
    object_revision: int = 0
    expires: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As the control API and the live feed give it."""
        shown: dict[str, Any] = {
            "type": "sync",
            "at": self.at,
            "event": self.event,
            "service": self.service_sid,
            "kind": self.kind.word,
            "sid": self.sid,
            "uniqueName": self.unique_name,
        }
        optional = {"key": self.key, "data": self.data, "revision": self.revision, "messageSid": self.message_sid}
        return shown | {name: value for name, value in optional.items() if value is not None}
