"""What a VoiceAssist wants of /stream and /token at Twilio, what its status remembers of them, and what came of a look. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from voiceassist_crds.reasons import Reason

GRACE_SECONDS = 24 * 3600.0
"""How long functions that are no longer wanted are kept after Flex has the new URL: open tabs still have the old one. Seconds."""


class FunctionsMode(StrEnum):
    """Where the plugin finds /stream and /token. The relays serve them in every mode."""

    RELAY = "Relay"
    EXISTING = "Existing"
    SERVERLESS = "Serverless"


@dataclass(frozen=True, slots=True)
class FunctionsDesired:
    """What the object asks for, and what Flex has."""

    mode: FunctionsMode
    uid: str
    namespace: str
    name: str
    host: str
    path_prefix: str
    sync_service_sid: str
    """Empty while there is none yet: the variable SYNC_SERVICE_SID is then left as it is."""
    existing_service_sid: str = ""
    existing_environment_sid: str = ""
    url_in_flex: str | None = None
    """The functions URL that Flex's configuration has for this object, "" if it has none; None where Flex is configured by hand."""
    grace_seconds: float = GRACE_SECONDS

    @property
    def stream_url(self) -> str:
        """The variable STREAM_URL."""
        return f"wss://{self.host}{self.path_prefix}/ws"

    @property
    def relay_url(self) -> str:
        """The relays' own functions URL."""
        return f"https://{self.host}{self.path_prefix}"


@dataclass(frozen=True, slots=True)
class FunctionsRecord:
    """`status.functions`: Serverless things that we made, as last seen; and since when they are not wanted any more."""

    service_sid: str = ""
    environment_sid: str = ""
    build_sid: str = ""
    retire_at: float | None = None
    """Epoch seconds from which on the service, no longer desired, is deleted; in the status as RFC 3339 `retireAt`."""
    right: bool = False
    """The condition says that the functions were as this generation of the object wants them: what differs was changed by hand.

    Not in `status.functions`; it counts for the first look only.
    """


@dataclass(frozen=True, slots=True)
class FunctionsOutcome:
    """What came of one look at a VoiceAssist's functions."""

    configured: bool | None
    """Status of the condition FunctionsConfigured; None is Unknown."""
    reason: Reason
    message: str
    functions_url: str | None
    """Belongs in `status.endpoints.functionsUrl` and into Flex. None: leave what is there; where nothing is, the relays' own URL."""
    drift: tuple[str, ...] = ()
    """One sentence for each thing that was not as we had left it and was put right: worth an event."""
    next_look: float | None = None
    """Seconds after which to look again, sooner than the usual resync; None: at the usual resync."""
    record: FunctionsRecord = FunctionsRecord()
    """Belongs in `status.functions`, whatever else happened."""
    error: Exception | None = None
    """An error of the client that ended the look early: its condition is made like that of any other call to Twilio."""


def record_from_status(status: Mapping[str, Any]) -> FunctionsRecord:
    """Returns what `status.functions` says; what cannot be read is left out."""
    text = str(status.get("retireAt") or "")
    try:
        retire_at = datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        retire_at = None
    return FunctionsRecord(
        str(status.get("serviceSid") or ""), str(status.get("environmentSid") or ""), str(status.get("buildSid") or ""), retire_at
    )


def record_to_status(record: FunctionsRecord) -> dict[str, str]:
    """Returns `status.functions`: only what there is."""
    retire_at = None if record.retire_at is None else datetime.fromtimestamp(record.retire_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pairs = {
        "serviceSid": record.service_sid,
        "environmentSid": record.environment_sid,
        "buildSid": record.build_sid,
        "retireAt": retire_at,
    }
    return {key: value for key, value in pairs.items() if value}
