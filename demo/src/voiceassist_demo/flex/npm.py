"""npm packages of a lock file, installed once and kept outside of the tree; and commands of Node.js with a time-out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from voiceassist_demo.errors import DemoError

from .kept import ensure, place

LOCKED = ("package.json", "package-lock.json", ".npmrc")
INSTALL_SECONDS = 1800.0
STEP_SECONDS = 1.0

Say = Callable[[str], None]
"""Told how far something is, in one short line each time."""


def missing() -> str:
    """What of Node.js is not on this machine, in one line; empty when all is there."""
    lacking = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(lacking)} missing (Debian: apt-get install nodejs npm)" if lacking else ""


def contents(folder: Path, *names: str) -> tuple[bytes, ...]:
    """Files of a folder, as inputs of what is kept."""
    return tuple((folder / name).read_bytes() for name in names)


async def packages(name: str, sources: Path, note: str, say: Say) -> Path:
    """The folder node_modules as `sources` lock it, installed if need be; `note` says for people how much it is. Raises DemoError."""
    if lacking := missing():
        raise DemoError(f"Flex: {lacking}")

    async def install(folder: Path) -> None:
        for one in LOCKED:
            shutil.copy(sources / one, folder / one)
        wanted = [path for path in json.loads((folder / "package-lock.json").read_text())["packages"] if path]

        def told() -> None:
            there = sum((folder / path / "package.json").exists() for path in wanted)
            say(f"Flex: {note}, {there} of {len(wanted)} npm packages")

        await run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder, INSTALL_SECONDS, told)

    return await ensure(place(name, *contents(sources, *LOCKED)), install) / "node_modules"


async def run(command: Sequence[str], folder: Path, seconds: float, told: Callable[[], None]) -> None:
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
        raise DemoError(f"Flex: {' '.join(Path(part).name for part in command[:2])} {why}")
