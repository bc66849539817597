"""Waiting, in tests that block, for what a cluster brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from lightkube.core.exceptions import ApiError

from cluster.lab import Lab
from cluster.lab.errors import CommandError

T = TypeVar("T")
PATIENCE = 180.0
"""Seconds: a hundred times what a quiet machine takes. A time that is a feature is measured and asserted by its test."""
LONGEST_PAUSE, LONG_PAUSE = 0.5, 0.3
_NOT_YET = (AssertionError, ApiError, CommandError, LookupError, OSError, StopIteration)


def eventually(what: str, look: Callable[[], T], seconds: float = PATIENCE, every: float = 0.1) -> T:
    """The first true thing that `look()` gives; fails, with what was seen last, when there is none in so many seconds.

    That a command or a request fails, an object or a key is missing, or an assertion does not hold, is not yet true. Between two looks
    there are `every` seconds, or an eighth of what it has taken so far, and half a second where a look takes as long: each costs the API
    server and this process some CPU time, on which others wait.
    """
    first = time.monotonic()
    deadline = first + seconds
    while True:
        begin = time.monotonic()
        seen: Any
        try:
            if found := look():
                return found
            seen = found
        except _NOT_YET as error:
            seen = error
        if (now := time.monotonic()) > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; last seen: {str(seen)[:2000] or repr(seen)}")
        time.sleep(max(every, min(now - begin, LONGEST_PAUSE), min((now - first) / 8, LONG_PAUSE)))


def established(lab: Lab, *names: str) -> None:
    """Waits until kinds are served. `kubectl wait` fails at once while the API server has not yet said anything of a new one."""
    for name in names:

        def served(name: str = name) -> bool:
            conditions = (lab.get(f"crd/{name}").get("status") or {}).get("conditions") or []
            return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

        eventually(f"the kind {name}", served)
