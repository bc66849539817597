"""Sync's REST operations on permissions: who may read, write and manage a document, list or map. Streams have none."""

from __future__ import annotations

from .api import Answer, ApiRequest, Route, route
from .errors import bad_parameter
from .fields import boolean
from .paging import page
from .sync_model import Kind, Permission, SyncObject
from .sync_payload import permission_json
from .sync_store import SyncStore


class PermissionRoutes:
    """The permission operations of one kind."""

    def __init__(self, account_sid: str, store: SyncStore, kind: Kind) -> None:
        self._account_sid = account_sid
        self._store = store
        self._kind = kind

    def routes(self) -> list[Route]:
        """The operations of this kind, as in the vendor's specification."""
        at = f"/v1/Services/{{ServiceSid}}/{self._kind.segment}/{{Sid}}/Permissions"
        one = f"{at}/{{Identity}}"
        return [
            route("GET", at, self.list),
            route("GET", one, self.fetch),
            route("POST", one, self.update, "Read", "Write", "Manage"),
            route("DELETE", one, self.delete),
        ]

    def _find(self, request: ApiRequest) -> SyncObject:
        service = self._store.service(request.params["ServiceSid"])
        return self._store.find(service, self._kind, request.params["Sid"], request.now)

    def list(self, request: ApiRequest) -> Answer:
        """A page of the grants on an object."""
        found = self._find(request)
        rows = [permission_json(request, self._account_sid, found, grant) for grant in found.permissions.values()]
        return Answer(200, page(request, "permissions", rows))

    def fetch(self, request: ApiRequest) -> Answer:
        """What one identity may do."""
        found = self._find(request)
        grant = self._store.permission(found, request.params["Identity"], request.now)
        return Answer(200, permission_json(request, self._account_sid, found, grant))

    def update(self, request: ApiRequest) -> Answer:
        """Say what one identity may do; all three of Read, Write and Manage are needed."""
        found = self._find(request)
        flags = [boolean(request.form, name) for name in ("Read", "Write", "Manage")]
        if None in flags:
            raise bad_parameter("Read, Write and Manage are required")
        grant = Permission(request.params["Identity"], *(bool(flag) for flag in flags))
        self._store.set_permission(found, grant, request.now)
        return Answer(200, permission_json(request, self._account_sid, found, grant))

    def delete(self, request: ApiRequest) -> Answer:
        """Take a grant back."""
        self._store.delete_permission(self._find(request), request.params["Identity"], request.now)
        return Answer(204)
