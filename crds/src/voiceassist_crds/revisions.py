"""Revisions: short digests of content, the same on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .names import Revision


def digest(content: Any) -> Revision:
    """The first 10 hex digits of the SHA-256 of `content` as canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Revision(hashlib.sha256(text.encode()).hexdigest()[:10])
