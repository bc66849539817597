"""Where things are: the repository's folders, and the cache outside of it."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
RECIPE = REPOSITORY / "tests" / "cluster" / "recipe"
KEPT = REPOSITORY / ".cluster"  # what `make cluster` leaves running is written here; ignored by git


def cache_root() -> Path:
    """The folder of built programs and images: $VOICEASSIST_CACHE, else voiceassist in $XDG_CACHE_HOME, else in ~/.cache."""
    given = os.environ.get("VOICEASSIST_CACHE")
    if given:
        return Path(given).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "voiceassist"
