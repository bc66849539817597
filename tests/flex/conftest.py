"""One stage and one Chromium for the whole tier, and agents' Flex pages that tests share. No test fails because of an earlier one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from voiceassist_demo.flex.preparing import prepare
from voiceassist_demo.stage import Stage, sample_calls

from .desks import FAILED, Chromium, Desks
from .rig import PATIENCE, Desk, control, silence

expect.set_options(timeout=1000 * PATIENCE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets fixtures know whether their test has failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A relay and the stand-ins, with the Flex configuration's entry as the operator writes it."""
    files = await prepare(print)
    slowly = ("--delta-ms", "80")  # so that a draft can be seen to grow
    async with Stage(tmp_path_factory.mktemp("flex"), calls=sample_calls(), flex=files, model_arguments=slowly) as running:
        await running.configure_flex()
        await control(running, "PUT", "browser/behaviour", {"acknowledge": PATIENCE})  # its time is for tests/clients to see
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def stage(whole_stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The stage, on which nothing is recorded yet; twilio-sync must keep the socket's protocol."""
    if gone := whole_stage.gone():
        pytest.exit(f"the tier cannot go on: {'; '.join(gone)}", returncode=1)
    await control(whole_stage, "DELETE", "browser/violations")
    yield whole_stage
    if not request.node.stash.get(FAILED, False):
        assert (await control(whole_stage, "GET", "browser"))["violations"]["counts"] == {}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(whole_stage: Stage) -> AsyncIterator[Chromium]:
    """Chromium, for all tests."""
    async with async_playwright() as playwright:
        running = Chromium(playwright, whole_stage)
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Chromium) -> Browser:
    """Chromium, running."""
    return await chromium.running()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def desks(whole_stage: Stage, chromium: Chromium) -> AsyncIterator[Desks]:
    """All Flex pages."""
    all_of_them = Desks(whole_stage, chromium)
    yield all_of_them
    await all_of_them.close()


@pytest_asyncio.fixture(loop_scope="session")
async def desk(desks: Desks, stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """An agent's Flex without a call. What a test leaves running is ended."""
    async with desks.lent(request.node, "agent") as lent:
        yield lent


@pytest_asyncio.fixture(loop_scope="session")
async def colleague(desks: Desks, stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """Another agent's."""
    async with desks.lent(request.node, "colleague") as lent:
        yield lent


@pytest_asyncio.fixture(loop_scope="session")
async def supervisor(desks: Desks, stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A supervisor's."""
    async with desks.lent(request.node, "supervisor", "supervisor", reduced_motion="reduce") as lent:
        yield lent


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
