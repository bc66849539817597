"""What may be asked of Twilio for a VoiceAssist: nothing without leave to, else what its spec says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceassist_crds.errors import ContractError
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_crds.status import PeerReason

from ..twilio.model.desired import Neighbours, TwilioDesired, twilio_desired
from .blockers import custom_endpoints_are_allowed, host_is_free, twilio_credentials_are_complete
from .observed import Observed
from .rollout import current_pods

CHECKS = (host_is_free, custom_endpoints_are_allowed, twilio_credentials_are_complete)


def desired_at_twilio(seen: Observed, neighbours: Neighbours, grace_seconds: float) -> TwilioDesired | None:
    """Returns what the object wants of Twilio; None while nothing may be asked there.

    `grace_seconds`: how long functions that are no longer wanted are kept.
    """
    owner = seen.owner
    if owner.spec.paused or any(check(seen) is not None for check in CHECKS):
        return None
    return twilio_desired(
        owner.namespace, owner.name, owner.uid, seen.created, owner.spec, seen.credentials.version, neighbours, grace_seconds
    )


def desired_at_last(body: Mapping[str, Any], *, custom_endpoints: bool) -> TwilioDesired | None:
    """Returns what an object that is being deleted had wanted of Twilio; None where Twilio may not be asked for it."""
    metadata = body["metadata"]
    try:
        spec = VoiceAssistSpec.read(body["spec"])
    except ContractError:
        return None
    if spec.twilio.api_url and not custom_endpoints:
        return None
    return twilio_desired(metadata["namespace"], metadata["name"], metadata["uid"], metadata["creationTimestamp"], spec, "", Neighbours())


def sync_is_reported_gone(seen: Observed) -> bool:
    """Returns whether a relay says that Sync is not as the last look found it."""
    reported = [pod.status.sync for pod in current_pods(seen) if pod.status is not None]
    return any(one.reason is PeerReason.MISCONFIGURED for one in reported)
