"""Ends what runs when the terminal or the system says so: SIGINT, SIGTERM and SIGHUP cancel it, and it cleans up once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_told(work: Coroutine[Any, Any, int]) -> int | None:
    """What `work` gives, or None if a signal came first. More signals while it cleans up change nothing."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            return await working
        working.cancel()
        (outcome,) = await asyncio.gather(working, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome
        return None
    finally:
        stopped.cancel()
