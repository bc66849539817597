"""Waiting for what another task or process brings about."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def eventually(look: Callable[[], Any], what: str = "", *, seconds: float = 60.0, every: float = 0.02) -> Any:
    """The first true thing that `look()`, which may be a coroutine function, gives; fails when there is none in so many seconds.

    Seconds are the running loop's, so that they pass quickly in virtual time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert loop.time() < deadline, f"not within {seconds:g} s: {what or look}"
        await asyncio.sleep(every)
