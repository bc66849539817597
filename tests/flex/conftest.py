"""One stage and one Chromium for the whole tier, and an agent's Flex that most tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from voiceassist_demo.flex import chromium
from voiceassist_demo.flex.preparing import prepare
from voiceassist_demo.stage import Stage, sample_calls

from .rig import Desk, control

expect.set_options(timeout=20_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A relay and the stand-ins, with the Flex configuration's entry as the operator writes it."""
    files = await prepare(print)
    async with Stage(tmp_path_factory.mktemp("flex"), calls=sample_calls(), flex=files) as running:
        await running.configure_flex()
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(stage: Stage) -> AsyncIterator[Browser]:
    """Chromium for which Twilio's hosts and the relay's name are on loopback, and nothing else is anywhere."""
    path = chromium.program()
    assert path, "Debian's chromium is not installed"
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=path, args=[*stage.browser["chromiumArguments"], *chromium.arguments(), "--disable-gpu"]
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_desk(stage: Stage, browser: Browser) -> AsyncIterator[Desk]:
    """Flex of one agent, loaded once."""
    desk = await Desk.open(stage, browser)
    yield desk
    await desk.close()


@pytest_asyncio.fixture(loop_scope="session")
async def desk(shared_desk: Desk, stage: Stage) -> AsyncIterator[Desk]:
    """An agent's Flex without a call; what a test leaves running is ended, and nothing may have been said on the console."""
    shared_desk.said.clear()
    yield shared_desk
    await control(stage, "PUT", "faults", {"rules": []})
    assert shared_desk.said == []
