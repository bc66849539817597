"""The gallery, bundled once, and one Chromium for the whole tier."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, sync_playwright

from voiceassist_demo.flex import chromium

from . import packages
from .rig import Panel

Result = TypeVar("Result")


def _apart(job: Coroutine[object, object, Result]) -> Result:
    """The job's result; in a thread of its own, because Playwright's loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, job).result()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery's page. VOICEASSIST_GALLERY names one that is there already."""
    made = os.environ.get("VOICEASSIST_GALLERY")
    return Path(made) if made else _apart(packages.gallery(tmp_path_factory.mktemp("gallery")))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe."""
    return _apart(packages.axe())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a network."""
    path = chromium.program()
    assert path, "Debian's chromium is not installed"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
        )
        yield running
        running.close()


@pytest.fixture
def panel(browser: Browser, page_file: Path) -> Iterator[Panel]:
    """A panel of 320 pixels in a page of its own."""
    made = Panel(browser, page_file)
    yield made
    made.close()
