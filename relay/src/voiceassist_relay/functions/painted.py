"""How long a suggestion took to an agent's screen (pure), from what a browser reports of it.

The browser's clock is not trusted, only its intervals: how long ago it painted when it asked. The rest is the suggestion's own item in
Sync, written by a relay's clock, as the browser read it. A report may be made up: what cannot be is left out.
"""

from __future__ import annotations

from typing import Final

from .requests import FeedbackFields

LONGEST_SECONDS: Final = 60.0
"""Nobody waits longer for a suggestion; a page that was asleep paints later, which says nothing."""
SKEW_SECONDS: Final = 0.25
"""By so much two relays' clocks may differ."""


def painted_seconds(fields: FeedbackFields, now: float) -> float | None:
    """Seconds from the customer's last syllable to the paint; None where that is not known or cannot be. `now` in epoch seconds."""
    if fields.at is None or fields.ago_ms is None or fields.latency_ms is None:
        return None
    since_finished = now - fields.ago_ms / 1000 - fields.at / 1000
    if since_finished < -SKEW_SECONDS:
        return None
    seconds = max(0.0, since_finished) + fields.latency_ms / 1000
    return seconds if seconds <= LONGEST_SECONDS else None
