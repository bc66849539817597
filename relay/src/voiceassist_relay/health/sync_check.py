"""Checks Sync without a call: whether the configured service exists and lets us in."""

from __future__ import annotations

from voiceassist_crds.status import PeerReason

from ..config.snapshot import CurrentSnapshot, Snapshot
from ..errors import TwilioError, TwilioRefused
from ..sync.health import verdict
from ..twilio.rest import TwilioRest
from .peer_check import Unwell


def sync_relevant(snapshot: Snapshot) -> object:
    """What the answer depends on."""
    secrets = snapshot.secrets
    way_out = snapshot.config.network, snapshot.authorities
    return snapshot.config.twilio, secrets.auth_token, secrets.api_key_sid, secrets.api_key_secret, way_out


async def check_sync(rest: TwilioRest, current: CurrentSnapshot) -> None:
    """Fetches the service. Raises Unwell that says what to do."""
    service = current().config.twilio.sync_service_sid
    try:
        answer = await rest.request("sync_service_fetch", "sync", "GET", f"/v1/Services/{service}")
    except TwilioError as error:
        if isinstance(error, TwilioRefused) and error.status == 404:
            message = f"Sync service {service} does not exist in this account; check twilio.sync.serviceSid"
            raise Unwell(PeerReason.MISCONFIGURED, message) from None
        found = verdict(error)
        raise Unwell(*(found or (PeerReason.SERVER_ERROR, f"Sync answers with {error.status}/{error.code}"))) from None
    if not answer.body.get("acl_enabled"):
        message = f"Sync service {service} has AclEnabled off: every token opens every call's suggestions; turn it on"
        raise Unwell(PeerReason.MISCONFIGURED, message)
