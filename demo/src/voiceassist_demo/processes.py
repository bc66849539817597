"""Child processes: started, ready when they say so in one JSON line, ended in order, their logs kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .errors import DemoError

READY_SECONDS = 120.0
END_SECONDS = 120.0


def program(name: str) -> str:
    """The path of one of our console scripts: beside this interpreter. Raises DemoError."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise DemoError(f"{name} is not installed beside {sys.executable}; run `make setup`")
    return str(path)


class Child:
    """One process that prints a JSON line on standard output when it is ready. Standard error goes to a log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, file: IO[bytes]) -> None:
        self.name, self.log = name, log
        self._process, self._file = process, file
        self.ready: dict[str, Any] = {}

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Child:
        """Starts it and waits until it is ready. Raises DemoError with the end of its log."""
        log = folder / f"{name}.log"
        file = log.open("ab")
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C goes to us, and we end the others in order
        )
        child = cls(name, process, log, file)
        assert process.stdout is not None  # noqa: S101 - asked for above
        line = b""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_SECONDS):
                    line = await process.stdout.readline()
        except BaseException:  # told to stop meanwhile: nobody else knows of this process yet
            await child.end()
            raise
        try:
            child.ready = json.loads(line)
        except ValueError:
            await child.end()
            raise DemoError(f"{name} did not start: {child.last_words()}") from None
        return child

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with {self._process.returncode} and said nothing"

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Waits until it has ended by itself."""
        return await self._process.wait()

    async def end(self, seconds: float = END_SECONDS) -> int:
        """Ends it: SIGTERM, and SIGKILL when that takes too long. Returns its exit code."""
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(seconds):
                    await self._process.wait()
            except TimeoutError:
                self.signal(signal.SIGKILL)
                await self._process.wait()
        self._file.close()
        return self._process.returncode or 0
