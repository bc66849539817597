"""Sync's REST operations on services, documents, streams, lists and maps: from a request to the store and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .api import Answer, ApiRequest, Route, route
from .errors import TwilioError, bad_parameter
from .fields import boolean, integer
from .paging import page
from .settings import Settings
from .sids import is_sid
from .sync_items import ItemRoutes
from .sync_model import Kind, Service, SyncObject
from .sync_payload import object_json, read_data, read_ttl, required_data, service_json
from .sync_permissions import PermissionRoutes
from .sync_store import SyncStore, revision_text

_SERVICE_FIELDS: Final = (
    "FriendlyName",
    "WebhookUrl",
    "AclEnabled",
    "WebhooksFromRestEnabled",
    "ReachabilityWebhooksEnabled",
    "ReachabilityDebouncingEnabled",
    "ReachabilityDebouncingWindow",
)
_CREATE_FIELDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.DOCUMENT: ("UniqueName", "Data", "Ttl"),
    Kind.STREAM: ("UniqueName", "Ttl"),
    Kind.LIST: ("UniqueName", "Ttl", "CollectionTtl"),
    Kind.MAP: ("UniqueName", "Ttl", "CollectionTtl"),
}
NOTHING_GIVEN: Final = (400, 54010, "No parameters specified")


class SyncRoutes:
    """The operations of the product ``sync``."""

    def __init__(self, account_sid: str, store: SyncStore, settings: Settings) -> None:
        self._account_sid = account_sid
        self._store = store
        self._settings = settings

    def routes(self) -> list[Route]:
        """All operations, as in the vendor's specification."""
        table = [
            route("GET", "/v1/Services", self.list_services),
            route("POST", "/v1/Services", self.create_service, *_SERVICE_FIELDS),
            route("GET", "/v1/Services/{Sid}", self.fetch_service),
            route("POST", "/v1/Services/{Sid}", self.update_service, *_SERVICE_FIELDS),
            route("DELETE", "/v1/Services/{Sid}", self.delete_service),
            route("POST", "/v1/Services/{ServiceSid}/Streams/{StreamSid}/Messages", self.publish, "Data"),
        ]
        for kind in Kind:
            table += self._object_routes(kind)
            if kind in (Kind.LIST, Kind.MAP):
                table += ItemRoutes(self._account_sid, self._store, self._settings, kind).routes()
            if kind is not Kind.STREAM:
                table += PermissionRoutes(self._account_sid, self._store, kind).routes()
        return table

    def _object_routes(self, kind: Kind) -> list[Route]:
        at = f"/v1/Services/{{ServiceSid}}/{kind.segment}"
        create = _CREATE_FIELDS[kind]
        return [
            route("GET", at, lambda request: self.list_objects(request, kind)),
            route("POST", at, lambda request: self.create(request, kind), *create),
            route("GET", f"{at}/{{Sid}}", lambda request: self.fetch(request, kind)),
            route("POST", f"{at}/{{Sid}}", lambda request: self.update(request, kind), *create[1:]),
            route("DELETE", f"{at}/{{Sid}}", lambda request: self.delete(request, kind)),
        ]

    # Services

    def list_services(self, request: ApiRequest) -> Answer:
        """A page of services."""
        rows = [service_json(request, self._account_sid, service) for service in self._store.services.values()]
        return Answer(200, page(request, "services", rows))

    def create_service(self, request: ApiRequest) -> Answer:
        """A new service."""
        changes = _service_changes(request.form)
        service = self._store.create_service(request.now)
        _apply(service, changes)
        return Answer(201, service_json(request, self._account_sid, service))

    def fetch_service(self, request: ApiRequest) -> Answer:
        """A service."""
        return Answer(200, service_json(request, self._account_sid, self._store.service(request.params["Sid"])))

    def update_service(self, request: ApiRequest) -> Answer:
        """Change settings of a service; 54010 if none is given. Raises TwilioError."""
        service = self._store.service(request.params["Sid"])
        changes = _service_changes(request.form)
        if not changes:
            raise TwilioError(*NOTHING_GIVEN)
        _apply(service, changes)
        service.life.updated = request.now
        return Answer(200, service_json(request, self._account_sid, service))

    def delete_service(self, request: ApiRequest) -> Answer:
        """Delete a service with everything in it."""
        self._store.delete_service(request.params["Sid"], request.now)
        return Answer(204)

    # Objects

    def _find(self, request: ApiRequest, kind: Kind) -> tuple[Service, SyncObject]:
        service = self._store.service(request.params["ServiceSid"])
        return service, self._store.find(service, kind, request.params["Sid"], request.now)

    def _answer(self, status: int, request: ApiRequest, found: SyncObject) -> Answer:
        headers = {"ETag": revision_text(found.revision)} if found.kind is Kind.DOCUMENT else {}
        return Answer(status, object_json(request, self._account_sid, found), headers)

    def list_objects(self, request: ApiRequest, kind: Kind) -> Answer:
        """A page of the objects of one kind."""
        service = self._store.service(request.params["ServiceSid"])
        rows = [object_json(request, self._account_sid, found) for found in self._store.objects(service, kind, request.now)]
        return Answer(200, page(request, kind.segment.lower(), rows))

    def create(self, request: ApiRequest, kind: Kind) -> Answer:
        """A new object."""
        service = self._store.service(request.params["ServiceSid"])
        data = read_data(request.form, kind, self._settings)
        ttl = read_ttl(request.form, self._settings, "CollectionTtl", "Ttl")
        found = self._store.create(service, kind, request.now, unique_name=request.form.get("UniqueName"), ttl=ttl, data=data)
        return self._answer(201, request, found)

    def fetch(self, request: ApiRequest, kind: Kind) -> Answer:
        """An object."""
        _, found = self._find(request, kind)
        self._store.check_read(found, request.now)
        return self._answer(200, request, found)

    def update(self, request: ApiRequest, kind: Kind) -> Answer:
        """Replace a document's data, or set an object's lifetime; 54010 if neither is given. Raises TwilioError."""
        _, found = self._find(request, kind)
        data = read_data(request.form, kind, self._settings)
        ttl = read_ttl(request.form, self._settings, "CollectionTtl", "Ttl")
        if kind is Kind.DOCUMENT and (data is not None or ttl is not None):
            self._store.update_document(found, data, ttl, request.if_match, request.now)
        elif ttl is not None:
            self._store.set_ttl(found, ttl, request.now)
        else:
            raise TwilioError(*NOTHING_GIVEN)
        return self._answer(200, request, found)

    def delete(self, request: ApiRequest, kind: Kind) -> Answer:
        """Delete an object."""
        service, found = self._find(request, kind)
        self._store.delete(service, found, request.now)
        return Answer(204)

    def publish(self, request: ApiRequest) -> Answer:
        """Publish a message on a stream, addressed by SID (the specification names no other way). Raises TwilioError."""
        service = self._store.service(request.params["ServiceSid"])
        ref = request.params["StreamSid"]
        if not is_sid(ref, Kind.STREAM.prefix) and not self._settings.lenient.message_by_stream_name:
            raise TwilioError(404, 20404, "Messages are published to a stream's SID, not to its unique name")
        found = self._store.find(service, Kind.STREAM, ref, request.now)
        data = required_data(request.form, Kind.STREAM, self._settings)
        sid = self._store.publish(found, data, request.now)
        return Answer(201, {"sid": sid, "data": data.value})


def _service_changes(form: Mapping[str, str]) -> dict[str, Any]:
    changes = {
        "acl_enabled": boolean(form, "AclEnabled"),
        "webhooks_from_rest_enabled": boolean(form, "WebhooksFromRestEnabled"),
        "reachability_webhooks_enabled": boolean(form, "ReachabilityWebhooksEnabled"),
        "reachability_debouncing_enabled": boolean(form, "ReachabilityDebouncingEnabled"),
        "reachability_debouncing_window": integer(form, "ReachabilityDebouncingWindow", low=1000, high=30_000),
        "friendly_name": form.get("FriendlyName"),
        "webhook_url": form.get("WebhookUrl"),
    }
    url = changes["webhook_url"]
    if url and not str(url).startswith(("http://", "https://")):
        raise bad_parameter("WebhookUrl must be an absolute http or https URL")
    return {name: value for name, value in changes.items() if value is not None}


def _apply(service: Service, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(service, name, value)
    service.webhook_url = service.webhook_url or None
