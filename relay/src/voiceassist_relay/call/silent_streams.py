"""Streams that have fallen silent: whether the call is this relay's still, is looked up.

A relay whose node was cut off, or which was stopped for a while, does not hear that its streams were closed: packets that say so are lost.
Other relays have its calls by then. Twilio need not send frames all the time, so silence alone ends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from .registry import Registry

LOOK_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 8.0
"""Without a byte of the stream for so long, the call's Document is read."""
AGAIN_SECONDS: Final = 30.0
"""Between two such reads for one call, while it stays silent."""


class SilentStreams:
    """Looks at the calls of a registry until cancelled. `clock`: the loop's, in seconds."""

    def __init__(self, registry: Registry, clock: Callable[[], float]) -> None:
        self._registry, self._clock = registry, clock
        self._checked: dict[str, float] = {}

    async def run(self) -> None:
        """Looks again and again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Has each call checked whose stream is silent, at most once in `AGAIN_SECONDS` while it stays so."""
        now, before, self._checked = self._clock(), self._checked, {}
        for call in self._registry:
            if call.over or not call.in_force or now - call.heard_at < SILENT_SECONDS:
                continue
            sid = call.start.call_sid
            at = before.get(sid)
            if at is None or now - at >= AGAIN_SECONDS:
                at = now
                call.check_owner()
            self._checked[sid] = at
