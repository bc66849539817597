"""Sync on the wire: reads ``Data`` and the lifetimes from forms, and writes services, objects, items and permissions as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .api import ApiRequest
from .dates import iso
from .errors import TwilioError
from .fields import integer, loads_strict
from .settings import Settings
from .sync_model import Item, Kind, Lifetime, Payload, Permission, Service, SyncObject
from .sync_store import revision_text


def read_data(form: Mapping[str, str], kind: Kind, settings: Settings) -> Payload | None:
    """The ``Data`` field, ``None`` if absent.

    Refused: null (the kind's code), what is not a JSON object (54008), more bytes than the kind may hold (413/54006; counted as sent).

    Raises TwilioError.
    """
    text = form.get("Data")
    if text is None:
        return None
    size = len(text.encode())
    limit = settings.sync.message_bytes if kind is Kind.STREAM else settings.sync.data_bytes
    if size > limit:
        raise TwilioError(413, 54006, f"Request entity too large: Data has {size} bytes, {limit} are allowed")
    try:
        value = loads_strict(text)
    except (ValueError, RecursionError):
        raise TwilioError(400, 54008, "Invalid JSON in Data") from None
    if value is None:
        raise no_data(kind)
    if not isinstance(value, dict) and not settings.lenient.any_json_data:
        raise TwilioError(400, 54008, "Invalid JSON in Data: an object is expected")
    return Payload(value, size)


def required_data(form: Mapping[str, str], kind: Kind, settings: Settings) -> Payload:
    """The ``Data`` field of an operation that must have one."""
    data = read_data(form, kind, settings)
    if data is None:
        raise no_data(kind)
    return data


def no_data(kind: Kind) -> TwilioError:
    """400 with the kind's code: there is no data."""
    return TwilioError(400, kind.no_data, "The 'Data' parameter cannot be null")


def read_ttl(form: Mapping[str, str], settings: Settings, *names: str) -> int | None:
    """A lifetime in seconds from the first of ``names`` that is given; 400/54011 out of bounds. An empty value counts as absent."""
    longest = settings.sync.max_ttl
    refusal = TwilioError(400, 54011, f"Invalid TTL: an integer between 0 and {longest}")
    values = [integer(form, name, low=0, high=longest, error=refusal) for name in names if form.get(name)]
    return values[0] if values else None


def service_json(request: ApiRequest, account_sid: str, service: Service) -> dict[str, Any]:
    """A service as its resource."""
    url = request.url(f"/v1/Services/{service.sid}")
    return {
        "sid": service.sid,
        "unique_name": None,
        "account_sid": account_sid,
        "friendly_name": service.friendly_name,
        "date_created": iso(service.life.created),
        "date_updated": iso(service.life.updated),
        "url": url,
        "webhook_url": service.webhook_url,
        "webhooks_from_rest_enabled": service.webhooks_from_rest_enabled,
        "reachability_webhooks_enabled": service.reachability_webhooks_enabled,
        "acl_enabled": service.acl_enabled,
        "reachability_debouncing_enabled": service.reachability_debouncing_enabled,
        "reachability_debouncing_window": service.reachability_debouncing_window,
        "links": {kind.segment.lower(): f"{url}/{kind.segment}" for kind in Kind},
    }


def object_json(request: ApiRequest, account_sid: str, found: SyncObject) -> dict[str, Any]:
    """A document, list, map or stream as its resource."""
    url = request.url(f"/v1/Services/{found.service_sid}/{found.kind.segment}/{found.sid}")
    links = {
        Kind.DOCUMENT: ("permissions",),
        Kind.LIST: ("items", "permissions"),
        Kind.MAP: ("items", "permissions"),
        Kind.STREAM: ("messages",),
    }[found.kind]
    shown: dict[str, Any] = {
        "sid": found.sid,
        "unique_name": found.unique_name,
        "account_sid": account_sid,
        "service_sid": found.service_sid,
        "url": url,
        "links": {name: f"{url}/{name.title()}" for name in links},
        "created_by": found.created_by,
        **_life_json(found.life),
    }
    if found.kind is not Kind.STREAM:
        shown["revision"] = revision_text(found.revision)
    if found.kind is Kind.DOCUMENT:
        shown["data"] = found.data
    return shown


def item_json(request: ApiRequest, account_sid: str, found: SyncObject, item: Item) -> dict[str, Any]:
    """An item of a list or map as its resource."""
    of_list = found.kind is Kind.LIST
    collection = f"/v1/Services/{found.service_sid}/{found.kind.segment}/{found.sid}"
    return {
        "index" if of_list else "key": item.key,
        "account_sid": account_sid,
        "service_sid": found.service_sid,
        "list_sid" if of_list else "map_sid": found.sid,
        "url": request.url(f"{collection}/Items/{quote(str(item.key), safe='')}"),
        "revision": revision_text(item.revision),
        "data": item.data,
        "created_by": item.created_by,
        **_life_json(item.life),
    }


def permission_json(request: ApiRequest, account_sid: str, found: SyncObject, permission: Permission) -> dict[str, Any]:
    """A grant as its resource."""
    path = f"/v1/Services/{found.service_sid}/{found.kind.segment}/{found.sid}/Permissions/{quote(permission.identity, safe='')}"
    return {
        "account_sid": account_sid,
        "service_sid": found.service_sid,
        f"{found.kind.word}_sid": found.sid,
        "identity": permission.identity,
        "read": permission.read,
        "write": permission.write,
        "manage": permission.manage,
        "url": request.url(path),
    }


def _life_json(life: Lifetime) -> dict[str, str | None]:
    return {
        "date_created": iso(life.created),
        "date_updated": iso(life.updated),
        "date_expires": None if life.expires is None else iso(life.expires),
    }
