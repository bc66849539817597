"""The two ways in which Twilio writes a time: ISO 8601 in the newer products, RFC 2822 in the 2010 API."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime


def iso(seconds: float) -> str:
    """Seconds since the epoch as ``2026-07-30T20:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_millis(seconds: float) -> str:
    """Seconds since the epoch as ``2026-07-30T20:00:00.000Z``."""
    return datetime.fromtimestamp(round(seconds, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc2822(seconds: float) -> str:
    """Seconds since the epoch as ``Thu, 30 Jul 2026 20:00:00 +0000``."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC))
