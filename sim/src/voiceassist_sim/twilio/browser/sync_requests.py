"""What the Sync client asks upstream: maps, documents, streams and lists by name or SID, their items, and writes; pure, on the REST store.

Everything is refused that the token's identity may not do: 403/54007. Rates, bounds and revisions are the store's, as for REST.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ..access_tokens import SyncGrant
from ..dates import iso_millis
from ..errors import TwilioError
from ..settings import Settings
from ..sync_model import Item, Key, Kind, Lifetime, Payload, Permission, Service, SyncObject
from ..sync_payload import read_ttl, required_data
from ..sync_store import SyncStore, revision_text
from ..sync_view import may_read, may_write
from .behaviour import SocketBehaviour
from .upstream import Downstream, Improper, Upstream
from .violations import Rule

_KINDS: Final = {kind.segment: kind for kind in Kind}
_WITH_ITEMS: Final = (Kind.MAP, Kind.LIST)
_WORDS: Final = frozenset({"v3", "v4", "Items", "Messages", "Permissions", "Subscriptions", *_KINDS})
MAX_PAGE_SIZE: Final = 1000


class SyncRequests:
    """The operations under ``/v3``."""

    def __init__(self, store: SyncStore, settings: Settings, behaviour: SocketBehaviour) -> None:
        self._store = store
        self._settings = settings
        self._behaviour = behaviour

    def answer(self, request: Upstream, grant: SyncGrant, now: float) -> Downstream:
        """The answer; raises TwilioError for what is refused, `Improper` for what no client should ask."""
        try:
            version, segment, *rest = request.segments
            kind = _KINDS[segment]
        except (ValueError, KeyError):
            raise _no_route(request) from None
        if version != "v3" or len(rest) > 3:
            raise _no_route(request)
        service = self._store.service(grant.service_sid)
        match (request.method, rest):
            case ("POST", []):
                return self._create(request, service, kind, grant, now)
            case ("GET", [ref]):
                return self._root(request, self._readable(service, kind, ref, grant, now), now)
            case ("POST", [ref]):
                return self._update(request, self._writable(service, kind, ref, grant, now), now)
            case ("DELETE", [ref]):
                self._store.delete(service, self._writable(service, kind, ref, grant, now), now)
                return Downstream(204)
            case ("GET", [ref, "Items"]) if kind in _WITH_ITEMS:
                return self._page(request, self._readable(service, kind, ref, grant, now), now)
            case ("POST", [ref, "Items"]) if kind is Kind.LIST:
                return self._append(request, self._writable(service, kind, ref, grant, now), grant, now)
            case ("PUT", [ref, "Items", key]) if kind is Kind.MAP:
                return self._put(request, self._writable(service, kind, ref, grant, now), key, grant, now)
            case ("POST", [ref, "Items", index]) if kind is Kind.LIST:
                return self._put(request, self._writable(service, kind, ref, grant, now), _index(index), grant, now)
            case ("DELETE", [ref, "Items", key]) if kind in _WITH_ITEMS:
                return self._delete_item(request, self._writable(service, kind, ref, grant, now), key, now)
            case ("POST", [ref, "Messages"]) if kind is Kind.STREAM:
                return self._publish(request, self._writable(service, kind, ref, grant, now), now)
            case _:
                raise _no_route(request)

    # Whole objects

    def _create(self, request: Upstream, service: Service, kind: Kind, grant: SyncGrant, now: float) -> Downstream:
        _takes(request, params=(), fields=("unique_name", "ttl", "data") if kind is Kind.DOCUMENT else ("unique_name", "ttl"))
        name = request.body.get("unique_name")
        if name is not None and not isinstance(name, str):
            raise Improper(Rule.UNKNOWN_PARAMETER, "unique_name must be a text")
        data = self._data(request, kind) if request.body.get("data") is not None else None
        found = self._store.create(service, kind, now, unique_name=name, ttl=self._ttl(request), data=data, created_by=grant.identity)
        if kind is not Kind.STREAM:
            found.permissions[grant.identity] = Permission(grant.identity, read=True, write=True, manage=True)
        return Downstream(201, self._root_json(request, found))

    def _root(self, request: Upstream, found: SyncObject, now: float) -> Downstream:
        _takes(request, params=("Include",) if found.kind in _WITH_ITEMS else ())
        self._store.check_read(found, now)
        shown = self._root_json(request, found)
        if found.kind is Kind.DOCUMENT:
            shown["data"] = found.data
        if request.params.get("Include") == "items":
            rows = self._store.items(found, now)[: self._behaviour.page_size]
            shown["items"] = [self._item_json(request, found, item) for item in rows]
        return Downstream(200, shown)

    def _update(self, request: Upstream, found: SyncObject, now: float) -> Downstream:
        _takes(request, params=(), fields=("data", "ttl") if found.kind is Kind.DOCUMENT else ("ttl",))
        ttl = self._ttl(request)
        if found.kind is Kind.DOCUMENT:
            data = self._data(request, found.kind) if request.body.get("data") is not None else None
            self._store.update_document(found, data, ttl, request.if_match, now)
        elif ttl is not None:
            self._store.set_ttl(found, ttl, now)
        return Downstream(200, self._root_json(request, found))

    def _publish(self, request: Upstream, found: SyncObject, now: float) -> Downstream:
        _takes(request, params=(), fields=("data",))
        return Downstream(201, {"sid": self._store.publish(found, self._data(request, found.kind), now)})

    # Items

    def _page(self, request: Upstream, found: SyncObject, now: float) -> Downstream:
        key_name = "Index" if found.kind is Kind.LIST else "Key"
        _takes(request, params=("HideExpired", "From", "PageSize", "Order", key_name))
        if request.params.get("HideExpired") != "true":
            raise Improper(Rule.HIDE_EXPIRED, "items are listed with HideExpired=true")
        descending = _choice(request, "Order", "asc", "desc") == "desc"
        size = min(_page_size(request), self._behaviour.page_size)
        self._store.check_read(found, now)
        items = self._store.items(found, now)
        if found.kind is Kind.MAP:
            items.sort(key=lambda item: str(item.key).encode("utf-16-be"))  # as JavaScript orders strings
        if descending:
            items.reverse()
        begin = 0
        if key_name in request.params:
            items = [item for item in items if item.key == _key(found.kind, request.params[key_name])]
        elif "From" in request.params:
            begin = _place(items, _key(found.kind, request.params["From"]), descending)
        rows = items[begin : begin + size]
        meta = {
            "key": "items",
            "direct_token": None,
            "previous_token": "previous" if begin else None,
            "next_token": "next" if begin + size < len(items) else None,
        }
        return Downstream(200, {"items": [self._item_json(request, found, item) for item in rows], "meta": meta})

    def _put(self, request: Upstream, found: SyncObject, key: Key, grant: SyncGrant, now: float) -> Downstream:
        _takes(request, params=(), fields=("data", "ttl"))
        data, ttl, if_match = self._data(request, found.kind), self._ttl(request), request.if_match
        self._store.items(found, now)
        there = key in found.items
        if there and if_match == "-1":
            raise TwilioError(412, found.kind.mismatch, "The item exists already")
        if there or found.kind is Kind.LIST:
            item = self._store.update_item(found, key, data, if_match, now, ttl=ttl)
        elif if_match in (None, "-1"):
            item = self._store.add_item(found, str(key), data, now, ttl=ttl, created_by=grant.identity)
        else:
            raise TwilioError(404, found.kind.item_not_found, "Map Item not found")
        return Downstream(200 if there else 201, self._written(request, found, item))

    def _append(self, request: Upstream, found: SyncObject, grant: SyncGrant, now: float) -> Downstream:
        _takes(request, params=(), fields=("data", "ttl"))
        data, ttl = self._data(request, found.kind), self._ttl(request)
        item = self._store.add_item(found, None, data, now, ttl=ttl, created_by=grant.identity)
        return Downstream(201, self._written(request, found, item))

    def _delete_item(self, request: Upstream, found: SyncObject, key: str, now: float) -> Downstream:
        _takes(request, params=())
        self._store.delete_item(found, _key(found.kind, key), request.if_match, now)
        return Downstream(200, {"last_event_id": found.last_event, "date_updated": iso_millis(now)})

    # Inside

    def _readable(self, service: Service, kind: Kind, ref: str, grant: SyncGrant, now: float) -> SyncObject:
        found = self._store.find(service, kind, ref, now)
        if not may_read(service, found, grant.identity):
            raise forbidden()
        return found

    def _writable(self, service: Service, kind: Kind, ref: str, grant: SyncGrant, now: float) -> SyncObject:
        found = self._store.find(service, kind, ref, now)
        if not may_write(service, found, grant.identity):
            raise forbidden()
        return found

    def _data(self, request: Upstream, kind: Kind) -> Payload:
        text = json.dumps(request.body.get("data"), separators=(",", ":"), ensure_ascii=False)
        return required_data({"Data": text}, kind, self._settings)

    def _ttl(self, request: Upstream) -> int | None:
        ttl = request.body.get("ttl")
        return read_ttl({} if ttl is None else {"Ttl": str(ttl)}, self._settings, "Ttl")

    def _root_json(self, request: Upstream, found: SyncObject) -> dict[str, Any]:
        url = _url(request, found)
        links = {Kind.STREAM: ("messages",), Kind.DOCUMENT: ("permissions",)}.get(found.kind, ("items", "permissions"))
        shown: dict[str, Any] = {
            "sid": found.sid,
            "unique_name": found.unique_name,
            "service_sid": found.service_sid,
            "url": url,
            "links": {name: f"{url}/{name.title()}" for name in links},
            "created_by": found.created_by,
            **_life(found.life),
        }
        if found.kind is not Kind.STREAM:
            shown |= {"revision": revision_text(found.revision), "last_event_id": found.last_event}
        return shown

    def _item_json(self, request: Upstream, found: SyncObject, item: Item) -> dict[str, Any]:
        return self._written(request, found, item) | {"data": item.data}

    @staticmethod
    def _written(request: Upstream, found: SyncObject, item: Item) -> dict[str, Any]:
        return {
            "index" if found.kind is Kind.LIST else "key": item.key,
            f"{found.kind.word}_sid": found.sid,
            "url": item_url(_url(request, found), item.key),
            "revision": revision_text(item.revision),
            "last_event_id": item.event,
            "created_by": item.created_by,
            **_life(item.life),
        }


def forbidden() -> TwilioError:
    """403/54007: the identity has no permission for this."""
    return TwilioError(403, 54007, "Access forbidden for identity")


def item_url(collection: str, key: Key) -> str:
    """The URL of an item of the map or list at ``collection``."""
    return f"{collection}/Items/{quote(str(key), safe='')}"


def _no_route(request: Upstream) -> Improper:
    shape = "/".join(part if part in _WORDS else "…" for part in request.segments)
    return Improper(Rule.UNKNOWN_PATH, f"Sync has no {request.method} /{shape[:80]}", status=404, code=20404)


def _takes(request: Upstream, *, params: tuple[str, ...], fields: tuple[str, ...] = ()) -> None:
    unknown = sorted(set(request.params) - set(params))
    if request.method in ("POST", "PUT"):
        if not isinstance(request.body, dict):
            raise Improper(Rule.UNKNOWN_PARAMETER, "the body must be a JSON object")
        unknown += sorted(set(request.body) - set(fields))
    if unknown:
        raise Improper(Rule.UNKNOWN_PARAMETER, f"unknown: {', '.join(name[:40] for name in unknown)}")


def _choice(request: Upstream, name: str, *allowed: str) -> str:
    value = request.params.get(name, allowed[0])
    if value not in allowed:
        raise Improper(Rule.UNKNOWN_PARAMETER, f"{name} must be one of {', '.join(allowed)}")
    return value


def _page_size(request: Upstream) -> int:
    text = request.params.get("PageSize", "50")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PAGE_SIZE):
        raise Improper(Rule.UNKNOWN_PARAMETER, f"PageSize must be a number between 1 and {MAX_PAGE_SIZE}")
    return int(text)


def _key(kind: Kind, text: str) -> Key:
    return _index(text) if kind is Kind.LIST else text


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Improper(Rule.UNKNOWN_PARAMETER, "a list item's index must be a number")
    return int(text)


def _place(items: list[Item], start: Key, descending: bool) -> int:
    def comes(key: Key) -> bool:
        one, other = (key, start) if isinstance(key, int) else (str(key).encode("utf-16-be"), str(start).encode("utf-16-be"))
        return bool(one <= other if descending else one >= other)  # type: ignore[operator]

    return next((place for place, item in enumerate(items) if comes(item.key)), len(items))


def _url(request: Upstream, found: SyncObject) -> str:
    return f"https://{request.host}/v3/{found.kind.segment}/{found.sid}"


def _life(life: Lifetime) -> Mapping[str, str | None]:
    return {
        "date_created": iso_millis(life.created),
        "date_updated": iso_millis(life.updated),
        "date_expires": None if life.expires is None else iso_millis(life.expires),
    }
