"""What else the machine has to do: times that are asserted are those of a machine of its own."""

from __future__ import annotations

import os


def slowdown() -> float:
    """How many times as long as on a quiet machine something may take: who wants a core, for each core, of late; 1 at least."""
    return max(1.0, max(os.getloadavg()[:2]) / (os.cpu_count() or 1))
