"""Payloads as Sync gets them: compact JSON in UTF-8, its size, and text that can be written so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def encode(data: Mapping[str, Any]) -> str:
    """Compact JSON, characters as they are (the shortest form, so Sync's limits go furthest)."""
    return well_formed(_encode(data))


def size(data: Mapping[str, Any]) -> int:
    """Bytes of a payload, by which Sync's limits count."""
    return len(encode(data).encode())


def well_formed(text: str) -> str:
    """The text with halves of surrogate pairs joined, or replaced by U+FFFD where alone: those cannot be sent as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
