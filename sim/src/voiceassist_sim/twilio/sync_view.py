"""What the holder of an access token sees of Sync: the vendor's access rules applied to one reader; pure.

With ``AclEnabled`` documents, lists and maps need a read permission for the token's identity. Streams have no permissions: whoever holds a
token of the service and knows the name sees every message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .access_tokens import SyncGrant
from .errors import TwilioError
from .sids import is_sid
from .sync_model import Change, Item, Kind, Service, SyncObject
from .sync_store import SyncStore, revision_text


def may_read(service: Service, found: SyncObject, identity: str) -> bool:
    """Whether ``identity`` may read the object."""
    if found.kind is Kind.STREAM or not service.acl_enabled:
        return True
    grant = found.permissions.get(identity)
    return grant is not None and grant.read


def may_write(service: Service, found: SyncObject, identity: str) -> bool:
    """Whether ``identity`` may write to the object."""
    if found.kind is Kind.STREAM or not service.acl_enabled:
        return True
    grant = found.permissions.get(identity)
    return grant is not None and grant.write


def may_see(store: SyncStore, grant: SyncGrant, service_sid: str, sid: str) -> bool:
    """Whether the holder of ``grant`` would be told of a change of an object (of one that is gone: only where nothing is guarded)."""
    service = store.services.get(service_sid)
    if service is None or service_sid != grant.service_sid:
        return False
    found = service.objects.get(sid)
    if found is None:
        return is_sid(sid, Kind.STREAM.prefix) or not service.acl_enabled
    return may_read(service, found, grant.identity)


class SyncView:
    """One reader's view. ``messages`` are the messages that are still remembered, oldest first."""

    def __init__(self, store: SyncStore, grant: SyncGrant, service_sid: str, messages: Iterable[Change], now: float) -> None:
        if grant.service_sid != service_sid:
            raise TwilioError(403, 20106, "The token's grant is for another Sync service")
        self._store = store
        self._grant = grant
        self._service = store.service(service_sid)
        self._messages = messages
        self._now = now

    def read(self, kind: Kind, ref: str) -> dict[str, Any]:
        """The object's content; 404 as for REST, 403/54007 if the identity has no read permission. Raises TwilioError."""
        found = self._store.find(self._service, kind, ref, self._now)
        if not may_read(self._service, found, self._grant.identity):
            raise TwilioError(403, 54007, "Access forbidden for identity")
        shown: dict[str, Any] = {"sid": found.sid, "uniqueName": found.unique_name, "expires": found.life.expires}
        if kind is Kind.DOCUMENT:
            return shown | {"data": found.data, "revision": revision_text(found.revision)}
        if kind is Kind.STREAM:
            heard = [change for change in self._messages if change.sid == found.sid]
            return shown | {"messages": [{"sid": one.message_sid, "at": one.at, "data": one.data} for one in heard]}
        items = self._store.items(found, self._now)
        return shown | {"items": [_item_json(item) for item in items]}


def _item_json(item: Item) -> dict[str, Any]:
    return {"key": item.key, "data": item.data, "revision": revision_text(item.revision), "updated": item.life.updated}
