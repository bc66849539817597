"""Sync's state and rules: unique names, revisions, lifetimes, payload bounds and rates; pure, with the time passed in.

Every refusal is a `TwilioError` with the vendor's code. An accepted write calls ``emit`` with a `Change`. A write is checked in this order:
the object exists, the values are allowed, the rate, the revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from .errors import TwilioError, precondition_failed, too_many_requests
from .limits import Buckets, Rate, write_cost
from .settings import Settings
from .sids import is_sid
from .sync_model import SYSTEM, Change, Item, Key, Kind, Lifetime, Payload, Permission, Service, SyncObject

RATE_LIMIT_CODE: Final = 54009
MAX_PERMISSIONS: Final = 10_000


class SyncStore:
    """All Sync services of an account. ``new_sid`` makes identifiers for a prefix; ``settings`` are read at each use."""

    def __init__(self, new_sid: Callable[[str], str], settings: Settings, emit: Callable[[Change], None]) -> None:
        self._new_sid = new_sid
        self._settings = settings
        self._emit = emit
        self._buckets = Buckets()
        self.services: dict[str, Service] = {}

    # Services

    def create_service(self, now: float) -> Service:
        """A new, empty service with the vendor's default settings."""
        service = Service(self._new_sid("IS"), Lifetime(now, now))
        self.services[service.sid] = service
        return service

    def service(self, sid: str) -> Service:
        """The service; 404/54050 if there is none. Raises TwilioError."""
        try:
            return self.services[sid]
        except KeyError:
            raise TwilioError(404, 54050, "Service Instance not found") from None

    def delete_service(self, sid: str, now: float) -> None:
        """Delete a service and everything in it."""
        service = self.service(sid)
        for found in list(service.objects.values()):
            self._remove(service, found, now)
        del self.services[sid]

    # Objects

    def create(
        self,
        service: Service,
        kind: Kind,
        now: float,
        *,
        unique_name: str | None = None,
        ttl: int | None = None,
        data: Payload | None = None,
        created_by: str = SYSTEM,
    ) -> SyncObject:
        """A new object; 54302 for a name that is not allowed, 409/54301 for one that is taken, 429/54009 above the rate of creations.

        Raises TwilioError.
        """
        if unique_name is not None:
            self._check_name(unique_name)
            for other in [kind] if self._settings.lenient.names_per_kind else Kind:
                if self._holds(service, other, unique_name, now):
                    raise TwilioError(409, 54301, "Unique name already exists")
        self._take(("create", service.sid), self._settings.sync.creations, now)
        found = SyncObject(kind, self._new_sid(kind.prefix), service.sid, unique_name, Lifetime(now, now), created_by)
        found.life.set_ttl(ttl, now)
        if kind is Kind.DOCUMENT:
            found.data = data.value if data else {}
        service.objects[found.sid] = found
        if unique_name is not None:
            service.names[kind, unique_name] = found.sid
        self._tell(found, "created", now, data=found.data)
        return found

    def find(self, service: Service, kind: Kind, ref: str, now: float) -> SyncObject:
        """The object by SID or unique name; 404 with the kind's code for a SID, 404/54300 for a name. Raises TwilioError."""
        by_sid = is_sid(ref, kind.prefix)
        sid = ref if by_sid else service.names.get((kind, ref), "")
        found = service.objects.get(sid)
        if found is not None and found.life.over(now):
            self._remove(service, found, now)
            found = None
        if found is None:
            code, what = (kind.not_found, kind.word.title()) if by_sid else (54300, "Unique name")
            raise TwilioError(404, code, f"{what} not found")
        return found

    def objects(self, service: Service, kind: Kind, now: float) -> list[SyncObject]:
        """The live objects of one kind, oldest first."""
        self.expire(now, service)
        return [found for found in service.objects.values() if found.kind is kind]

    def delete(self, service: Service, found: SyncObject, now: float) -> None:
        """Delete an object with its items and permissions."""
        self.check_write(found, 0, now)
        self._remove(service, found, now)

    def check_read(self, found: SyncObject, now: float) -> None:
        """Count a read; 429/54009 above the rate."""
        self._take(("read", found.sid), self._settings.sync.reads, now)

    def check_write(self, found: SyncObject, size: int, now: float) -> None:
        """Count a write of ``size`` bytes to the object (item writes count on their list or map); 429/54009 above the rate."""
        self._take(("write", found.sid), self._settings.sync.writes, now, write_cost(size))

    def set_ttl(self, found: SyncObject, ttl: int, now: float) -> None:
        """Let the object end ``ttl`` seconds from now (0: never)."""
        self.check_write(found, 0, now)
        found.life.set_ttl(ttl, now)
        found.life.updated = now
        self._tell(found, "updated", now, data=found.data)

    def update_document(self, found: SyncObject, data: Payload | None, ttl: int | None, if_match: str | None, now: float) -> None:
        """Replace a document's data and set its life; 412/54103 if ``if_match`` names another revision than the current one."""
        self.check_write(found, data.size if data else 0, now)
        self._match(if_match, found.revision, found.kind)
        if data is not None:
            found.data = data.value
        found.life.set_ttl(ttl, now)
        found.touch(now)
        self._tell(found, "updated", now, data=found.data)

    def publish(self, found: SyncObject, data: Payload, now: float) -> str:
        """Publish a message on a stream; its SID. 429/54009 above the rate of messages."""
        self._take(("message", found.sid), self._settings.message_rate(), now)
        sid = self._new_sid("TZ")
        found.last_event += 1
        place = (found.service_sid, found.kind, found.sid, found.unique_name)
        self._emit(Change(now, "message", *place, data=data.value, message_sid=sid, event_id=found.last_event))
        return sid

    # Items

    def add_item(
        self,
        found: SyncObject,
        key: str | None,
        data: Payload,
        now: float,
        *,
        ttl: int | None = None,
        collection_ttl: int | None = None,
        created_by: str = SYSTEM,
    ) -> Item:
        """A new item: at the next index of a list (``key`` ``None``), or under ``key`` in a map; 409/54208 if the map has that key.

        Raises TwilioError.
        """
        if key is not None and not 1 <= len(key) <= self._settings.sync.name_characters:
            raise TwilioError(400, 54209, f"Invalid Map Item key: 1 to {self._settings.sync.name_characters} characters")
        self.check_write(found, data.size, now)
        self._purge_items(found, now)
        if key in found.items:
            raise TwilioError(409, 54208, "An Item with given key already exists in the Map")
        place: Key = found.next_index if key is None else key
        if key is None:
            found.next_index += 1
        item = Item(place, data.value, found.touch(now), Lifetime(now, now), created_by=created_by)
        item.life.set_ttl(ttl, now)
        found.life.set_ttl(collection_ttl, now)
        found.items[place] = item
        self._tell(found, "item_added", now, item)
        return item

    def item(self, found: SyncObject, key: Key, now: float) -> Item:
        """The item; 404 with the kind's code. Raises TwilioError."""
        self._purge_items(found, now)
        try:
            return found.items[key]
        except KeyError:
            raise TwilioError(404, found.kind.item_not_found, f"{found.kind.word.title()} Item not found") from None

    def items(self, found: SyncObject, now: float) -> list[Item]:
        """The items by index or by key, ascending."""
        self._purge_items(found, now)
        return [found.items[key] for key in sorted(found.items, key=lambda key: (isinstance(key, str), key))]

    def update_item(
        self,
        found: SyncObject,
        key: Key,
        data: Payload | None,
        if_match: str | None,
        now: float,
        *,
        ttl: int | None = None,
        collection_ttl: int | None = None,
    ) -> Item:
        """Replace an item's data and set its life; 412/54155 (list) or 54205 (map) if ``if_match`` names another revision."""
        item = self.item(found, key, now)
        self.check_write(found, data.size if data else 0, now)
        self._match(if_match, item.revision, found.kind)
        if data is not None:
            item.data = data.value
        item.life.set_ttl(ttl, now)
        found.life.set_ttl(collection_ttl, now)
        item.revision, item.life.updated = found.touch(now), now
        self._tell(found, "item_updated", now, item)
        return item

    def delete_item(self, found: SyncObject, key: Key, if_match: str | None, now: float) -> None:
        """Delete an item, under the same condition as an update."""
        item = self.item(found, key, now)
        self.check_write(found, 0, now)
        self._match(if_match, item.revision, found.kind)
        del found.items[key]
        found.touch(now)
        self._tell(found, "item_removed", now, item)

    # Permissions

    def set_permission(self, found: SyncObject, permission: Permission, now: float) -> None:
        """Grant one identity what it may do with the object. Raises TwilioError. Raises TwilioError."""
        self._take_permission(found, permission.identity, now)
        if permission.identity not in found.permissions and len(found.permissions) >= MAX_PERMISSIONS:
            raise TwilioError(400, 20001, f"More than {MAX_PERMISSIONS} permissions on one object")
        found.permissions[permission.identity] = permission

    def permission(self, found: SyncObject, identity: str, now: float) -> Permission:
        """The grant; 404/54354 if there is none."""
        self._take_permission(found, identity, now)
        try:
            return found.permissions[identity]
        except KeyError:
            raise TwilioError(404, 54354, "Permission not found") from None

    def delete_permission(self, found: SyncObject, identity: str, now: float) -> None:
        """Take a grant back; 404/54354 if there is none."""
        self.permission(found, identity, now)
        del found.permissions[identity]

    # Time

    def expire(self, now: float, service: Service | None = None) -> None:
        """Remove what has come to its end (in one service or in all)."""
        for each in [service] if service else list(self.services.values()):
            for found in [found for found in each.objects.values() if found.life.over(now)]:
                self._remove(each, found, now)
            for found in each.objects.values():
                self._purge_items(found, now)

    def all_objects(self, now: float) -> Iterator[tuple[Service, SyncObject]]:
        """Every live object of every service."""
        self.expire(now)
        for service in self.services.values():
            for found in service.objects.values():
                yield service, found

    # Inside

    def _check_name(self, name: str) -> None:
        longest = self._settings.sync.name_characters
        if not 1 <= len(name) <= longest or is_sid(name):
            raise TwilioError(400, 54302, f"Invalid unique name: 1 to {longest} characters that are not in the form of a SID")

    def _holds(self, service: Service, kind: Kind, name: str, now: float) -> bool:
        holder = service.objects.get(service.names.get((kind, name), ""))
        if holder is not None and holder.life.over(now):
            self._remove(service, holder, now)
            return False
        return holder is not None

    def _purge_items(self, found: SyncObject, now: float) -> None:
        for item in [item for item in found.items.values() if item.life.over(now)]:
            del found.items[item.key]
            found.touch(now)
            self._tell(found, "item_removed", now, item)

    def _remove(self, service: Service, found: SyncObject, now: float) -> None:
        del service.objects[found.sid]
        if found.unique_name is not None:
            del service.names[found.kind, found.unique_name]
        self._tell(found, "removed", now)

    def _match(self, if_match: str | None, revision: int, kind: Kind) -> None:
        if if_match is None:
            return
        given = if_match[1:-1] if len(if_match) > 2 and if_match[0] == if_match[-1] == '"' else if_match
        if not given or not all(char in "0123456789abcdef" for char in given):
            raise TwilioError(400, 54003, "Invalid If-Match header: the revision of the resource is expected")
        if given != revision_text(revision):
            raise precondition_failed(f"The revision of the {kind.word} does not match the expected revision", kind.mismatch)

    def _take_permission(self, found: SyncObject, identity: str, now: float) -> None:
        self._take(("permission", found.sid, identity), self._settings.sync.permissions, now)

    def _take(self, key: tuple[str, ...], rate: Rate, now: float, cost: float = 1.0) -> None:
        wait = self._buckets.take(key, rate, now, cost)
        if wait:
            retry_after = max(1, round(wait)) if self._settings.lenient.retry_after else None
            raise too_many_requests(f"Rate limit exceeded ({key[0]})", RATE_LIMIT_CODE, retry_after)

    def _tell(self, found: SyncObject, event: str, now: float, item: Item | None = None, *, data: object = None) -> None:
        gone = item is not None and event == "item_removed"
        found.last_event += event != "created"
        if item is not None:
            item.event = found.last_event
        change = Change(
            now,
            event,
            found.service_sid,
            found.kind,
            found.sid,
            found.unique_name,
            item.key if item else None,
            data if item is None else None if gone else item.data,
            None if found.kind is Kind.STREAM else item.revision if item else found.revision,
            event_id=found.last_event,
            previous=item.data if item is not None and gone else None,
            object_revision=found.revision,
            expires=(item or found).life.expires,
        )
        if found.kind is not Kind.STREAM and event != "created":
            found.history.append(change)
        self._emit(change)


def revision_text(revision: int) -> str:
    """A revision as it is written in answers and in ``If-Match``."""
    return format(revision, "x")
