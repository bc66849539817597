"""One stage and one Chromium for the whole tier, and an agent's Flex that most tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from voiceassist_demo.flex import chromium
from voiceassist_demo.flex.preparing import prepare
from voiceassist_demo.stage import Stage, sample_calls

from .rig import Desk, control, faults, silence

expect.set_options(timeout=20_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A relay and the stand-ins, with the Flex configuration's entry as the operator writes it."""
    files = await prepare(print)
    slowly = ("--delta-ms", "25")  # so that a draft can be seen to grow
    async with Stage(tmp_path_factory.mktemp("flex"), calls=sample_calls(), flex=files, model_arguments=slowly) as running:
        await running.configure_flex()
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(stage: Stage) -> AsyncIterator[Browser]:
    """Chromium for which Twilio's hosts and the relay's name are on loopback, and nothing else is anywhere."""
    path = chromium.program()
    assert path, "Debian's chromium is not installed"
    arguments = [*stage.browser["chromiumArguments"], *chromium.arguments(), "--disable-gpu"]
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield running
        await running.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_desk(stage: Stage, browser: Browser) -> AsyncIterator[Desk]:
    """Flex of one agent, loaded once."""
    desk = await Desk.open(stage, browser)
    yield desk
    await desk.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def desk(shared_desk: Desk, stage: Stage) -> AsyncIterator[Desk]:
    """An agent's Flex without a call. What a test leaves running is ended; Flex must be whole, and the socket's protocol kept."""
    shared_desk.said.clear()
    yield shared_desk
    await faults(stage)
    await control(stage, "PUT", "browser/notification-faults", {"rules": []})
    await shared_desk.clear()
    assert shared_desk.said == []
    assert (await control(stage, "GET", "browser"))["violations"]["counts"] == {}


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording in which nobody speaks: suggestions are then the test's own."""
    return silence(tmp_path_factory.mktemp("quiet"))


@pytest_asyncio.fixture(loop_scope="session")
async def browser_for_pages(browser: Browser) -> AsyncIterator[Page]:
    """A page of its own, for what is no Flex."""
    page = await browser.new_page()
    yield page
    await page.close()
