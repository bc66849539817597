"""Folders that are filled once, each named after a hash of all that it depends on, outside of the tree."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

KEPT = 2
"""Results of one name that stay; the least recently used goes first."""
LOOK_SECONDS = 0.5


def cache_root() -> Path:
    """The folder of what is made once: $VOICEASSIST_CACHE, else voiceassist in $XDG_CACHE_HOME, else in ~/.cache."""
    given = os.environ.get("VOICEASSIST_CACHE")
    if given:
        return Path(given).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "voiceassist"


def place(name: str, *inputs: bytes) -> Path:
    """Where the result for these inputs is kept, there or not."""
    digest = hashlib.sha256()
    for part in (name.encode(), *inputs):
        digest.update(len(part).to_bytes(8, "big") + part)
    return cache_root() / f"{name}-{digest.hexdigest()[:16]}"


async def ensure(folder: Path, fill: Callable[[Path], Awaitable[None]]) -> Path:
    """The folder (from `place`) with its result; `fill` makes it in an empty one if it is not there. What fails leaves nothing behind."""
    if not _there(folder):
        name = folder.name[:-17]
        unfinished = folder.with_name(f"{name}.unfinished")
        async with _alone(folder.with_name(f"{name}.lock")):
            if not _there(folder):  # another run may have made it meanwhile
                try:
                    await asyncio.to_thread(_empty, unfinished)
                    await fill(unfinished)
                    unfinished.rename(folder)
                finally:
                    await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
                await asyncio.to_thread(_forget, folder.parent, name)
    os.utime(folder)
    return folder


def _there(folder: Path) -> bool:
    return folder.is_dir()


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _forget(root: Path, name: str) -> None:
    found = sorted(root.glob(f"{name}-{'[0-9a-f]' * 16}"), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in found[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


@asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOOK_SECONDS)
        yield
