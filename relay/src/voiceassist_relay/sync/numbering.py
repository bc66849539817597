"""A suggestion's number in the Map: where a writer begins, and what it does when its number is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

_ID = re.compile(r"g([1-9][0-9]{0,8})-")
_KEY = re.compile(r"[0-9]{6,9}")


class OnConflict(Enum):
    """What to do when an item of the wanted key exists."""

    DONE = "done"
    """It is our own: an earlier attempt was stored although its answer said otherwise."""
    NEXT = "next"
    """It is somebody's who may write here: take a higher number."""
    SUPERSEDED = "superseded"
    """A newer generation writes here: stop."""


def on_conflict(found: Mapping[str, Any], own_id: str, generation: int) -> OnConflict:
    """Decides by the item that was found under the wanted key."""
    found_id = found.get("id")
    if found_id == own_id:
        return OnConflict.DONE
    return OnConflict.SUPERSEDED if (generation_of(found_id) or 0) > generation else OnConflict.NEXT


def generation_of(identifier: object) -> int | None:
    """The generation in a message's id; None if it is no id of ours."""
    if not isinstance(identifier, str):
        return None
    match = _ID.match(identifier)
    return int(match[1]) if match else None


def number_of(key: str) -> int | None:
    """The number that a Map's key stands for; None for the status item and whatever else."""
    return int(key) if _KEY.fullmatch(key) else None
