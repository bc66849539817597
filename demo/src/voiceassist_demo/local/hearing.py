"""The recogniser's packages, installed once outside of the tree, and its process: one ear for all sessions, in turn."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from voiceassist_demo.errors import DemoError
from voiceassist_demo.flex.kept import ensure, place

from .server import Ear

LOCK = Path(__file__).resolve().parents[4] / "requirements" / "local.lock"
EAR = Path(__file__).with_name("ear.py")
INSTALL_SECONDS = 1800.0
READY_SECONDS = 120.0
WORDS_SECONDS = 60.0
"""For the words of one stretch of speech, on a busy machine."""


async def installed() -> Path:
    """The interpreter that has the recogniser; its packages are fetched the first time. Raises DemoError."""
    if not LOCK.exists():
        raise DemoError(f"{LOCK} is not there; --local runs from the source tree")
    folder = place("demo-local", LOCK.read_bytes(), sys.version.encode())

    async def fill(folder: Path) -> None:
        print("installing a speech recogniser and its weights (500 MB on disk, once) ...", file=sys.stderr, flush=True)
        uv = Path(sys.executable).with_name("uv")
        python = folder / "bin" / "python"
        for command in (
            (uv, "venv", "--quiet", "--python", sys.executable, "--allow-existing", folder),
            (uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", "--only-binary", ":all:", LOCK),
        ):
            await _ran(*map(str, command))

    return await ensure(folder, fill) / "bin" / "python"


async def _ran(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(INSTALL_SECONDS):
            _, said = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise DemoError(f"the speech recogniser could not be installed: {lines[-1] if lines else command[0]}")


@contextlib.asynccontextmanager
async def listening(python: Path, log: Path) -> AsyncIterator[Ear]:
    """The recogniser as a process while the block lasts. Raises DemoError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            str(python), str(EAR), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, start_new_session=True
        )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - asked for above
    ask, told, one_at_a_time = process.stdin, process.stdout, asyncio.Lock()

    async def answer(seconds: float) -> dict[str, object]:
        async with asyncio.timeout(seconds):
            line = await told.readline()
        if not line:
            raise DemoError(f"the speech recogniser ended; see {log}")
        return dict(json.loads(line))

    async def ear(pcm: bytes, prompt: str) -> str:
        async with one_at_a_time:
            asked = {"pcm": base64.b64encode(pcm).decode(), **({"prompt": prompt} if prompt else {})}
            ask.write(json.dumps(asked).encode() + b"\n")
            await ask.drain()
            return str((await answer(WORDS_SECONDS))["text"])

    try:
        await answer(READY_SECONDS)
        yield ear
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
