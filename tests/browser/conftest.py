"""A running demo and Debian's Chromium, both for the whole tier."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from .page_rig import Demo, start

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo with its three sample calls."""
    running = start(tmp_path_factory.mktemp("demo") / "stage")
    yield running
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(300) == 0


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; nothing of it leaves the machine."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "Debian's chromium is not installed"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not print an error, fail a request, or ask anybody but the demo."""
    made = browser.new_page(viewport={"width": 1440, "height": 1000})
    made.set_default_timeout(60_000)
    wrong: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not re.search(r"net::ERR|status of 400", message.text):
            wrong.append(message.text)

    made.on("console", said)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on(
        "request", lambda request: None if "//127.0.0.1:" in request.url or request.url.startswith("data:") else wrong.append(request.url)
    )
    yield made
    made.close()
    assert wrong == []
