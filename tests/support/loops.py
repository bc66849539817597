"""Event loops by name.

The virtual one's clock runs ahead whenever nothing is to be done: minutes of a call pass in a second, over real sockets. Bytes on
loopback are given a moment to arrive before each leap, and no leap is longer than a second: what is under way is never overtaken by the
patience of whoever waits for it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

import uvloop

_MOMENT = 0.002
_LEAP = 1.0


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop's time is the machine's, and what was leapt over."""

    def __init__(self) -> None:
        self._ahead = 0.0
        selector = selectors.DefaultSelector()
        really = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is None or timeout <= _MOMENT:
                return really(timeout)
            ready = really(_MOMENT)
            if not ready:
                self._ahead += min(timeout, _LEAP) - _MOMENT
            return ready

        selector.select = select  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return super().time() + self._ahead


FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,  # what a relay runs on
    "virtual": VirtualTimeLoop,
}
"""The loop that a test asks for with `pytest.mark.loop(name)`."""
