"""How long an object that is being deleted waits, for its calls and for Twilio. Pure; epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from voiceassist_crds import names

from .resources.deployment import CLOSE_SECONDS

FINALIZER = f"{names.GROUP}/finalizer"
RELEASE_ANNOTATION = f"{names.GROUP}/let-go"
"""With the value "true" an object that is being deleted does not wait for Twilio."""
FLEX_SECONDS = 30.0
"""How long the relays wait for the Flex entry to go before them."""
EXTRA_SECONDS = 30
DRAIN_SECONDS = 3600
"""The default of `relay.drainTimeoutSeconds`, for an object that cannot be read."""


def release_at(body: Mapping[str, Any]) -> float:
    """Returns the time after which the relays are not waited for any longer, whatever is left of them."""
    asked = datetime.fromisoformat(body["metadata"]["deletionTimestamp"]).astimezone(UTC).timestamp()
    drain = ((body.get("spec") or {}).get("relay") or {}).get("drainTimeoutSeconds", DRAIN_SECONDS)
    return float(asked + drain + CLOSE_SECONDS + EXTRA_SECONDS)


def waits_for_twilio(body: Mapping[str, Any], waited: float, patience: float, now: float) -> bool:
    """Returns whether an object that has waited for `waited` seconds still waits for Twilio; `patience` is the most, in seconds.

    With an operator that was started again and again, the time of the deletion itself says when it is enough.
    """
    if (body["metadata"].get("annotations") or {}).get(RELEASE_ANNOTATION) == "true":
        return False
    return waited < patience and now < release_at(body) + patience
