"""Prepares the Flex UI once: the npm packages of a lock file, bundled to the script that Twilio's own page loads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from voiceassist_demo.errors import DemoError

from .kept import ensure, place

SOURCES = Path(__file__).parent / "script"
INSTALL_SECONDS = 1800.0
BUNDLE_SECONDS = 600.0
STEP_SECONDS = 1.0
_LOCKED = ("package.json", "package-lock.json", ".npmrc")
_BUNDLED = ("entry.js", "bundle.mjs")

Say = Callable[[str], None]
"""Told how far the preparation is, in one short line each time."""


def missing() -> str:
    """What this machine lacks for the preparation, in one line; empty when it can be done, or is done."""
    if _script_place().is_dir():
        return ""
    lacking = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(lacking)} missing (Debian: apt-get install nodejs npm)" if lacking else ""


def prepared() -> bool:
    """Whether flex.js is there already."""
    return _script_place().is_dir()


async def flex_script(say: Say) -> Path:
    """The path of flex.js: Flex UI, React and Redux as one classic script with the globals of Twilio's own. Made if need be.

    The first time takes minutes: some 670 packages, 728 MB on the disk, then a bundling that takes half a minute. Raises DemoError.
    """

    async def bundle(folder: Path) -> None:
        modules = await packages(say)
        begin = time.monotonic()
        command = ["node", str(SOURCES / "bundle.mjs"), str(modules), str(SOURCES / "entry.js"), str(folder / "flex.js")]
        await _run(command, folder, BUNDLE_SECONDS, lambda: say(f"Flex: bundling, {time.monotonic() - begin:.0f} s (30 to 120 s)"))

    return await ensure(_script_place(), bundle) / "flex.js"


async def packages(say: Say) -> Path:
    """The folder node_modules as locked, installed if need be. Raises DemoError."""
    if lacking := missing():
        raise DemoError(f"Flex: {lacking}")

    async def install(folder: Path) -> None:
        for name in _LOCKED:
            shutil.copy(SOURCES / name, folder / name)
        wanted = [path for path in json.loads((folder / "package-lock.json").read_text())["packages"] if path]

        def told() -> None:
            there = sum((folder / path / "package.json").exists() for path in wanted)
            say(f"Flex: installing npm packages once, {there} of {len(wanted)} (728 MB on the disk, a minute or more)")

        await _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder, INSTALL_SECONDS, told)

    return await ensure(place("flex-packages", *_inputs(*_LOCKED)), install) / "node_modules"


class Progress:
    """Says how far something is: on a terminal in one line that is written over, elsewhere once for each kind of line."""

    def __init__(self) -> None:
        self._kind = ""
        self._open = False

    def __call__(self, text: str) -> None:
        """One line of progress."""
        kind = re.split(r"\d", text, maxsplit=1)[0]
        if sys.stdout.isatty():
            print(f"\r\033[K  {text}", end="", flush=True)
            self._open = True
        elif kind != self._kind:
            print(f"  {text}", flush=True)
        self._kind = kind

    def end(self) -> None:
        """The next thing that is printed begins a line of its own."""
        if self._open:
            print(flush=True)
            self._open = False


def _script_place() -> Path:
    return place("flex-script", *_inputs(*_LOCKED, *_BUNDLED))


def _inputs(*names: str) -> tuple[bytes, ...]:
    return tuple((SOURCES / name).read_bytes() for name in names)


async def _run(command: Sequence[str], folder: Path, seconds: float, told: Callable[[], None]) -> None:
    """Runs a command, and `told` each second. Raises DemoError with the end of its output; when cancelled, what it started has ended."""
    log = folder / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        deadline = time.monotonic() + seconds
        try:
            while process.returncode is None and time.monotonic() < deadline:
                told()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STEP_SECONDS):
                        await process.wait()
        finally:
            late = process.returncode is None
            if late:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
    if process.returncode:
        words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-6:]
        why = f"took longer than {seconds:.0f} s" if late else f"failed: {' | '.join(words)}"
        raise DemoError(f"Flex: {Path(command[0]).name} {Path(command[1]).name} {why}")
