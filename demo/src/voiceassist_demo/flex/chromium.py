"""A Chromium with a profile of its own for which Twilio's hosts are on loopback, and no other host is anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from voiceassist_demo.errors import DemoError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
END_SECONDS = 10.0


def program() -> str:
    """The browser's path: $CHROMIUM, else the first that is installed; empty if there is none."""
    return os.environ.get("CHROMIUM") or next((path for name in PROGRAMS if (path := shutil.which(name))), "")


def missing() -> str:
    """What this machine lacks to show a window, in one line; empty when nothing is missing."""
    if not program():
        return "Chromium missing (Debian: apt-get install chromium)"
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "no display to open Chromium's window on (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return ""


def arguments() -> list[str]:
    """What a browser for Flex needs besides being led to the stand-in: it asks nothing, calls nobody, and has a microphone in name only."""
    return [
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        *(["--no-sandbox"] if sys.platform == "linux" and os.geteuid() == 0 else []),
    ]


class Window:
    """One Chromium without tabs, that ends with us. Whoever closes its window ends it."""

    def __init__(self, profile: Path, arguments: Sequence[str]) -> None:
        self._profile, self._arguments = profile, arguments
        self._process: asyncio.subprocess.Process | None = None

    @property
    def open(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def show(self, url: str) -> None:
        """Opens the window. Raises DemoError if the browser cannot be started."""
        self._profile.mkdir(parents=True, exist_ok=True)
        with (self._profile / "chromium.log").open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(program(), f"--user-data-dir={self._profile}", "--window-size=1440,960", *self._arguments, f"--app={url}"),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise DemoError(f"Flex: {program()} cannot be started ({error.strerror})") from None

    async def closed(self) -> None:
        """Waits until it is closed."""
        if self._process is not None:
            await self._process.wait()

    async def close(self) -> None:
        """Ends it, with all its processes."""
        process = self._process
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
                    return
