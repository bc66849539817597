"""How long a suggestion took to an agent's screen (pure), from what a browser reports of it.

The browser's clock is not trusted, only its intervals: how long ago it painted when it asked. The rest is the suggestion's own item in
Sync, written by a relay's clock. What a browser says may be made up: what cannot be is left out.
"""

from __future__ import annotations

from typing import Final

LONGEST_SECONDS: Final = 60.0
"""Nobody waits longer for a suggestion; a page that was asleep paints later, which says nothing."""
SKEW_SECONDS: Final = 0.25
"""By so much two relays' clocks may differ."""


def painted_seconds(finished_ms: int, latency_ms: int | None, ago_ms: int, now: float) -> float | None:
    """Seconds from the customer's last syllable to the paint; None where that is not known or cannot be.

    `finished_ms` (epoch milliseconds) and `latency_ms` as the suggestion's item has them, `ago_ms` as the browser says, `now` in epoch
    seconds.
    """
    if latency_ms is None:
        return None
    since_finished = now - ago_ms / 1000 - finished_ms / 1000
    if since_finished < -SKEW_SECONDS:
        return None
    seconds = max(0.0, since_finished) + latency_ms / 1000
    return seconds if seconds <= LONGEST_SECONDS else None
