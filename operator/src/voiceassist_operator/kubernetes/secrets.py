"""Reads a value of a Secret, as the relays read the files that the kubelet makes of it. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from voiceassist_crds.secret_text import secret_text


def secret_value(secret: Mapping[str, Any], key: str) -> str:
    """Returns the value under a key, "" where there is none. Raises ValueError whose text may be shown to anybody."""
    try:
        raw = base64.b64decode((secret.get("data") or {}).get(key) or "")
    except binascii.Error:
        raise ValueError("the value is not base64") from None
    return secret_text(raw)
