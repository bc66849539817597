"""What the tier's tests share: one Chromium, and agents' Flex pages; what has gone wrong in one test is not there for the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Error, Playwright

from voiceassist_demo.flex import chromium
from voiceassist_demo.stage import Stage

from .rig import STARTED_MS, Desk, calm

CLOSE_SECONDS = 30.0
FAILED = pytest.StashKey[bool]()
"""Of a test: whether it has failed so far."""


class Chromium:
    """Chromium for which Twilio's hosts and the relay's name are on loopback, and nothing else is anywhere; started again if it ends."""

    def __init__(self, playwright: Playwright, stage: Stage) -> None:
        self._playwright, self._stage = playwright, stage
        self._browser: Browser | None = None

    async def running(self) -> Browser:
        """The browser, which runs."""
        if self._browser is None or not self._browser.is_connected():
            path = chromium.program()
            assert path, "Debian's chromium is not installed"
            arguments = [*self._stage.browser["chromiumArguments"], *chromium.arguments(), "--disable-gpu"]
            self._browser = await self._playwright.chromium.launch(executable_path=path, args=arguments, timeout=STARTED_MS)
        return self._browser

    async def close(self) -> None:
        """Ends it."""
        if self._browser is not None:
            with contextlib.suppress(TimeoutError, Error):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._browser.close()
            self._browser = None


class Desks:
    """Flex pages of agents, each opened once and lent to one test after the other; one that a test has broken is thrown away."""

    def __init__(self, stage: Stage, browser: Chromium) -> None:
        self._stage, self._browser = stage, browser
        self._open: dict[str, Desk] = {}
        self._opened = 0

    @contextlib.asynccontextmanager
    async def lent(self, test: pytest.Item, name: str, *roles: str, **more: Any) -> AsyncIterator[Desk]:
        """A Flex without a call, for one test. `more` goes to the browser's context."""
        desk = await self._lend(name, *roles, **more)
        try:
            yield desk
        except BaseException:
            await self._take_back(name, desk, True)
            raise
        await self._take_back(name, desk, test.stash.get(FAILED, False))

    async def close(self) -> None:
        """Closes all."""
        for name in list(self._open):
            await self._throw_away(name)

    async def _lend(self, name: str, *roles: str, **more: Any) -> Desk:
        desk = self._open.get(name)
        if desk is not None and not desk.usable:
            await self._throw_away(name)
            desk = None
        if desk is None:
            self._opened += 1
            desk = await Desk.open(self._stage, await self._browser.running(), f"{name}{self._opened}@example.com", *roles, **more)
            self._open[name] = desk
        desk.said.clear()
        return desk

    async def _take_back(self, name: str, desk: Desk, failed: bool) -> None:
        """Ends what the test has left running. Flex must be whole; a page in which something went wrong is not lent again."""
        try:
            await calm(self._stage, failed)
            await desk.end_calls()
            if not failed:
                await desk.cleared()
                assert desk.said == []
        except BaseException:
            failed = True
            raise
        finally:
            if failed:
                await self._throw_away(name)

    async def _throw_away(self, name: str) -> None:
        desk = self._open.pop(name)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await desk.context.close()
        except (TimeoutError, Error):  # a page that hangs takes its browser with it
            await self._browser.close()
