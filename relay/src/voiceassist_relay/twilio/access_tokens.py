"""Mints the access token with which a worker's browser reads Sync: for the worker's own identity, and for one hour."""

from __future__ import annotations

from typing import Any, Final

from voiceassist_crds.names import SECRET_API_KEY_SECRET, SECRET_API_KEY_SID

from ..auth import CLOCKS_SECONDS
from ..config.snapshot import Snapshot
from ..errors import RequestRefused

TTL_SECONDS: Final = 3600


def load() -> None:
    """Has the package there before the first token is asked for: it takes as long as a fifth of everything else at the start."""
    import twilio.jwt.access_token.grants  # noqa: F401, PLC0415 - off the loop, and after the process is up


def mint_sync_token(snapshot: Snapshot, identity: str, now: float) -> dict[str, Any]:
    """The answer of `/token`: token, identity, when it expires (epoch seconds), and the Sync service it is for.

    What may be read with it is decided by the permissions that `/stream` grants to the identity. Raises RequestRefused
    without an API key: a token can be signed with nothing else.
    """
    secrets, twilio = snapshot.secrets, snapshot.config.twilio
    if not secrets.api_key_sid or not secrets.api_key_secret:
        missing = [
            f"{key} (file {file})"
            for key, file, value in (
                ("apiKeySid", SECRET_API_KEY_SID, secrets.api_key_sid),
                ("apiKeySecret", SECRET_API_KEY_SECRET, secrets.api_key_secret),
            )
            if not value
        ]
        raise RequestRefused(
            500,
            "no_api_key",
            "The relay has no Twilio API key to sign a Sync token with.",
            f"An administrator has to set {' and '.join(missing)} in the Secret, with a Standard or Main API key.",
        )
    from twilio.jwt.access_token import AccessToken  # noqa: PLC0415 - see `load`
    from twilio.jwt.access_token.grants import SyncGrant  # noqa: PLC0415

    began = int(now)
    token = AccessToken(
        twilio.account_sid,
        secrets.api_key_sid,
        secrets.api_key_secret,
        identity=identity,
        nbf=began - CLOCKS_SECONDS,  # Twilio refuses what begins later than its own clock says
        valid_until=began + TTL_SECONDS,
        region=twilio.region,
        grants=[SyncGrant(service_sid=twilio.sync_service_sid)],
    )
    return {"token": token.to_jwt(), "identity": identity, "expires": began + TTL_SECONDS, "service_sid": twilio.sync_service_sid}
