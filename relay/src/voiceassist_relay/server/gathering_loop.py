"""The relay's event loop: uvloop's, which gathers wake-ups while it is busy: it waits a moment before it looks at its sockets again.

Being woken for each frame alone costs a third of what a frame costs (ADR 15). libuv calls what `call_soon` was given right before it looks
at the sockets; so a callback there that waits is a pause between two looks, if it is the last one. Whatever else there is to do is done
before: a chain of callbacks is never interrupted by pauses. What comes during a pause (a timer, a signal, an answer, a word of the
model) is late by what is left of it.

Addresses that are numbers are connected to without libuv's four threads. While four names are looked up of which no name server says
anything, no other relay could be asked for its calls else, for ten seconds and more.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple

import uvloop

from .pacing import Pacing

_Args = TypeVarTuple("_Args")


class GatheringLoop(uvloop.Loop):
    """Gathers once `gather` has set a bound, and only after frames, which `frame` tells of."""

    def __init__(self) -> None:
        super().__init__()
        self._pacing = Pacing()
        self._frames = 0  # since the pacing was last asked
        self._asking = True  # the pacing is about to be asked, or there is no bound to ask for
        self._quiet = True  # since the loop last came by here, nothing was scheduled, as far as it shows: uvloop itself schedules unseen
        self._latest = (0.0, 0.0)  # the latest pause's begin and end
        self.on_pause: Callable[[float], object] = float
        """Told of each pause, in seconds."""

    def gather(self, bound: float) -> None:
        """Sets the longest pause, in seconds; 0 ends the gathering."""
        if bound and not self._pacing.bound:
            self._asking, self._frames = False, 0
        self._pacing.bound = bound

    def frame(self) -> None:
        """A media frame came. The hot path."""
        self._frames += 1
        if not self._asking:
            self._asking, self._quiet = True, False
            uvloop.Loop.call_soon(self, self._ask)

    def meant(self, since: float) -> float:
        """How long the loop has paused on purpose since then; both in seconds, `since` by the monotonic clock, at most a pause ago."""
        begin, end = self._latest
        return max(0.0, end - max(begin, since))

    def call_soon(self, callback: Callable[[*_Args], Any], *args: *_Args, context: Context | None = None) -> asyncio.Handle:
        """As asyncio's; there is no pause before the callback was called."""
        self._quiet = False
        return uvloop.Loop.call_soon(self, callback, *args, context=context)

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002 - asyncio's name
        """Returns what `socket.getaddrinfo` does, of an address at once. Raises OSError, UnicodeError."""
        try:
            return socket.getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)

    def _ask(self) -> None:
        if not self._quiet:  # something may be behind this in the queue: behind that, then
            self._quiet = True
            uvloop.Loop.call_soon(self, self._ask)
            return
        self._asking = not self._pacing.bound
        frames, self._frames = self._frames, 0
        begin = time.monotonic()
        if pause := self._pacing.pause(begin, frames):
            time.sleep(pause)
            end = time.monotonic()
            self._latest = begin, end
            self.on_pause(end - begin)
