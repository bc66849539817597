"""`make demo FLEX=1` and the button on its page: the window as people see it, and one line where something is missing."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from browser.page_rig import Demo, start
from voiceassist_demo.flex import chromium
from voiceassist_demo.flex.preparing import prepare
from voiceassist_demo.stage import free_port

from .rig import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]


def printed(demo: Demo) -> str:
    return (demo.folder.parent / f"{demo.folder.name}.out").read_text()


def stopped(demo: Demo) -> None:
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0


@pytest_asyncio.fixture(loop_scope="session")
async def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    """The demo's page and its Flex window, which here has no display but a port for us; all else is as the demo starts it."""
    await prepare(print)
    port = free_port()
    program = tmp_path / "chromium"
    program.write_text(f'#!/bin/sh\nexec {chromium.program()} --headless=new --remote-debugging-port={port} --disable-gpu "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    monkeypatch.setenv("DISPLAY", ":none")
    demo = start(tmp_path / "stage", "--calls", "1", "--flex")
    try:
        async with async_playwright() as playwright:
            await until(lambda: "Flex is open" in printed(demo), seconds=180)
            browser = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}", timeout=180_000)
            (page,) = await until(lambda: [one for one in browser.contexts[0].pages if one.url.endswith("/desk")])
            page.set_default_timeout(180_000)
            yield page
    finally:
        stopped(demo)


async def test_people_take_a_call(window: Page) -> None:
    """It rings, a click takes it, the recording is heard, suggestions come; the window says what is real; then the next call rings."""
    page = window
    await expect(page.locator("header")).to_contain_text("Real: Twilio's Flex UI, the VoiceAssist panel")
    await expect(page.locator("header")).to_contain_text("Stand-ins: Twilio's cloud and the model")
    flex = page.frame_locator("iframe")
    await flex.get_by_role("button", name=re.compile("^Accept")).first.click(timeout=180_000)
    await expect(flex.get_by_test_id("voice-assist-state")).to_have_attribute("data-state", "listening", timeout=180_000)
    await until(lambda: page.evaluate("(() => { const a = document.querySelector('audio'); return !a.paused && a.currentTime > 1 })()"))
    await expect(flex.get_by_test_id("voice-assist-suggestion").first).to_be_visible(timeout=180_000)
    if folder := os.environ.get("VOICEASSIST_SHOTS"):
        await page.set_viewport_size({"width": 1440, "height": 900})
        await expect(flex.locator("[data-testid=voice-assist-suggestion]:not([aria-busy])")).to_have_count(3, timeout=180_000)
        await page.screenshot(path=Path(folder) / "demo.png")
    await page.get_by_role("button", name="Mute").click()
    assert await page.evaluate("document.querySelector('audio').muted")
    await flex.get_by_role("button", name=re.compile("Hang Up", re.IGNORECASE)).first.click()
    await flex.get_by_role("button", name=re.compile("^Complete")).first.click()
    await expect(flex.get_by_role("button", name=re.compile("^Accept")).first).to_be_visible(timeout=180_000)
    assert await page.evaluate("document.querySelector('audio').paused")


@pytest.mark.parametrize("lacking", ["npm", "chromium", "display"])
async def test_what_is_missing_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    """The demo goes on with its plain page."""
    monkeypatch.setenv("CHROMIUM", "/bin/true")
    monkeypatch.setenv("DISPLAY", ":none")
    if lacking == "npm":
        monkeypatch.setenv("VOICEASSIST_CACHE", str(tmp_path / "empty"))
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        await prepare(print)
        for name in ("DISPLAY", "WAYLAND_DISPLAY") if lacking == "display" else ("CHROMIUM",):
            monkeypatch.delenv(name, raising=False)
        if lacking == "chromium":
            monkeypatch.setenv("PATH", str(tmp_path))
    demo = start(tmp_path / "stage", "--calls", "1", "--flex")
    try:
        await until(lambda: "Flex: " in printed(demo))
        (line,) = [one for one in printed(demo).splitlines() if "Flex: " in one]
        assert re.search({"npm": r"node and npm missing \(", "chromium": r"Chromium missing \(", "display": "no display"}[lacking], line)
        assert demo.process.poll() is None
    finally:
        stopped(demo)


async def test_the_button_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser_for_pages: Page) -> None:
    """It opens the window; what is missing is said beside it."""
    monkeypatch.setenv("CHROMIUM", "/bin/true")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    await prepare(print)
    demo = start(tmp_path / "stage", "--calls", "1")
    page = browser_for_pages
    try:
        await page.goto(demo.url)
        await page.get_by_role("button", name="Open Flex").click()
        await expect(page.locator("#flex output")).to_contain_text("no display to open Chromium's window on")
        await expect(page.get_by_role("button", name="Open Flex")).to_be_enabled()
    finally:
        stopped(demo)
