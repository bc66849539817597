"""What a VoiceAssist wants of its Twilio account, and what its status remembers of that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voiceassist_crds.reasons import ConditionType, Reason
from voiceassist_crds.resource import VoiceAssistSpec

from .address import Address
from .flex import EarlierClaim, FlexDesired
from .functions import GRACE_SECONDS, FunctionsDesired, FunctionsMode, FunctionsRecord, record_from_status
from .outcome import SyncRecord
from .sync_service import SyncDesired, friendly_name


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Other VoiceAssists of the account that the operator knows."""

    earlier: tuple[EarlierClaim, ...] = ()
    """Those that claim a queue, or the default, of this one's before it."""
    known: frozenset[str] = frozenset()
    """The keys of all, its own among them."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whose account, and which Secret opens it."""

    account_sid: str
    address: Address
    secret: str
    version: str = ""
    """The Secret's resourceVersion."""

    @property
    def place(self) -> tuple[str, Address]:
        """Which account, and where."""
        return self.account_sid, self.address


@dataclass(frozen=True, slots=True)
class TwilioDesired:
    """What the object asks for. A look is due as soon as it changes."""

    credentials: Credentials
    sync: SyncDesired
    functions: FunctionsDesired
    """Lacks what only a look finds: the Sync service that was made, and the URL in Flex."""
    flex: FlexDesired


@dataclass(frozen=True, slots=True)
class TwilioRecord:
    """What the status remembers."""

    sync: SyncRecord = field(default_factory=SyncRecord)
    functions: FunctionsRecord = field(default_factory=FunctionsRecord)
    functions_url: str = ""
    flex_right: bool = False
    """Whether our entry in Flex was as the object of this generation describes it."""
    flex_written: bool = False
    """Whether we wrote an entry that has to be removed."""


def twilio_desired(
    namespace: str,
    name: str,
    uid: str,
    created: str,
    spec: VoiceAssistSpec,
    secret_version: str,
    neighbours: Neighbours,
    grace_seconds: float = GRACE_SECONDS,
) -> TwilioDesired:
    """Returns what a spec asks for; `created` is RFC 3339.

    `grace_seconds`: how long functions that are no longer wanted are kept.
    """
    twilio = spec.twilio
    existing = twilio.functions.existing
    return TwilioDesired(
        Credentials(
            twilio.account_sid, Address(twilio.api_url, twilio.region, twilio.edge), twilio.credentials_secret_ref.name, secret_version
        ),
        SyncDesired(friendly_name(namespace, name, uid), twilio.sync.service_sid or ""),
        FunctionsDesired(
            mode=FunctionsMode(twilio.functions.mode),
            uid=uid,
            namespace=namespace,
            name=name,
            host=spec.host,
            path_prefix=spec.path_prefix,
            sync_service_sid="",
            existing_service_sid=existing.service_sid if existing else "",
            existing_environment_sid=existing.environment_sid if existing else "",
            grace_seconds=grace_seconds,
        ),
        FlexDesired(
            key=f"{namespace}/{name}",
            uid=uid,
            since=created,
            configure=twilio.flex.configure,
            queues=tuple(sorted(twilio.flex.queues)),
            earlier=neighbours.earlier,
            known=neighbours.known,
        ),
    )


def recorded(status: Mapping[str, Any], generation: int) -> TwilioRecord:
    """Returns what the status of an object of this generation says of Twilio."""
    sync = status.get("sync") or {}
    right = {
        entry["type"]
        for entry in status.get("conditions") or []
        if entry["status"] == "True" and entry["reason"] == Reason.CONFIGURED.value and entry.get("observedGeneration") == generation
    }
    functions = record_from_status(status.get("functions") or {})
    return TwilioRecord(
        SyncRecord(sync.get("serviceSid") or "", bool(sync.get("made"))),
        replace(functions, right=ConditionType.FUNCTIONS_CONFIGURED.value in right),
        (status.get("endpoints") or {}).get("functionsUrl") or "",
        ConditionType.FLEX_CONFIGURED.value in right,
        bool((status.get("flex") or {}).get("written")),
    )
