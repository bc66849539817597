"""Secrets that a VoiceAssist may use, and their values, read as the relays read the files that the kubelet makes of them. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from voiceassist_crds.names import CREDENTIALS_LABEL
from voiceassist_crds.secret_text import secret_text

from .kinds import Selection

RELEASED = (Selection(labels=CREDENTIALS_LABEL), Selection(fields=f"type={CREDENTIALS_LABEL}"))
"""All that say, by a label or by their type, that they may be used."""


def is_released(secret: Mapping[str, Any]) -> bool:
    """Whether a Secret says that a VoiceAssist may use it."""
    return secret.get("type") == CREDENTIALS_LABEL or CREDENTIALS_LABEL in (secret["metadata"].get("labels") or {})


def secret_value(secret: Mapping[str, Any], key: str) -> str:
    """Returns the value under a key, "" where there is none. Raises ValueError whose text may be shown to anybody."""
    try:
        raw = base64.b64decode((secret.get("data") or {}).get(key) or "")
    except binascii.Error:
        raise ValueError("the value is not base64") from None
    return secret_text(raw)
