"""An account's Sync services as typed operations, by the `twilio` package; only what the operator uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client import TwilioClient
from ..model.errors import TwilioRefused
from ..model.refusals import Refusal
from ..model.sync_service import SyncService, SyncSettings

PAGE_SIZE = 100
MAX_SERVICES = 5000


class SyncOperations:
    """The Sync services of an account, by the `twilio` package."""

    def __init__(self, client: TwilioClient) -> None:
        self._services = client.sdk.sync.v1.services

    async def named(self, friendly_name: str) -> tuple[SyncService, ...]:
        """Returns all services of this name; names are not unique. One request for each 100 services of the account."""
        found = await self._services.list_async(limit=MAX_SERVICES, page_size=PAGE_SIZE)
        return tuple(_service(one) for one in found if one.friendly_name == friendly_name)

    async def fetch(self, sid: str) -> SyncService | None:
        """Returns a service; None where the account has none of this SID."""
        try:
            return _service(await self._services(sid).fetch_async())
        except TwilioRefused as error:
            if error.kind is Refusal.NOT_FOUND:
                return None
            raise

    async def create(self, friendly_name: str) -> SyncService:
        """Creates a service with our settings. After an unclear answer it may be there: list before it is asked for again."""
        return _service(await self._services.create_async(friendly_name=friendly_name, **_given(SyncSettings())))

    async def update(self, sid: str, changes: Mapping[str, Any]) -> None:
        """Changes `friendly_name` or settings of a service."""
        await self._services(sid).update_async(**changes)

    async def delete(self, sid: str) -> None:
        """Deletes a service with all that is in it; one that is gone is no error."""
        try:
            await self._services(sid).delete_async()
        except TwilioRefused as error:
            if error.kind is not Refusal.NOT_FOUND:
                raise

    async def empty(self, sid: str) -> bool:
        """Returns whether there is nothing in a service; one that is gone is empty. Four requests at most."""
        service = self._services(sid)
        try:
            for kind in (service.documents, service.sync_maps, service.sync_lists, service.sync_streams):
                if await kind.list_async(limit=1):
                    return False
        except TwilioRefused as error:
            if error.kind is not Refusal.NOT_FOUND:
                raise
        return True


def _given(settings: SyncSettings) -> dict[str, Any]:
    """Settings as a new service is given them: what is empty is left out."""
    return {name: getattr(settings, name) for name in SyncSettings.__slots__ if getattr(settings, name) != ""}


def _service(one: Any) -> SyncService:
    settings = SyncSettings(
        bool(one.acl_enabled), one.webhook_url or "", bool(one.webhooks_from_rest_enabled), bool(one.reachability_webhooks_enabled)
    )
    return SyncService(one.sid, one.friendly_name or "", settings, one.date_created.timestamp() if one.date_created else 0.0)
