"""Things that are built once: each in a folder named after a hash of all that it depends on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.lab.errors import BuildError
from cluster.lab.places import cache_root
from cluster.lab.progress import say, step

KEEP = 4  # builds of one thing that are kept, the least recently used goes first


@dataclass(frozen=True)
class Log:
    """Runs a build's commands with their output in a file, which nobody needs to read unless one fails."""

    path: Path

    def run(self, argv: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        """Run a command. Raises BuildError with the end of its output if it fails."""
        with self.path.open("a") as out:
            out.write(f"$ {' '.join(map(str, argv))}\n")
            out.flush()
            try:
                done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
            except FileNotFoundError:
                raise BuildError(f"the command {argv[0]} is missing; tools/cluster/packages.sh installs what the cluster needs") from None
        if done.returncode:
            tail = "\n    ".join(self.path.read_text(errors="replace").splitlines()[-15:])
            raise BuildError(f"{Path(argv[0]).name} failed; the end of {self.path}:\n    {tail}")


@dataclass(frozen=True)
class Recipe:
    """How one thing is built and what it depends on."""

    what: str  # the name in the cache
    title: str  # the name for people
    usually: str  # how long it takes, for people
    inputs: tuple[bytes, ...]  # all that the result depends on
    make: Callable[[Path, Log], None]  # fills an empty folder

    @property
    def key(self) -> str:
        """A hash of all inputs."""
        digest = hashlib.sha256()
        for part in (self.what.encode(), *self.inputs):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:16]

    @property
    def place(self) -> Path:
        """The folder of the result, there or not."""
        return cache_root() / f"{self.what}-{self.key}"

    @property
    def built(self) -> bool:
        """Is the result in the cache?"""
        return self.place.is_dir()


def file_inputs(*paths: Path) -> tuple[bytes, ...]:
    """The content of files, as inputs of a recipe."""
    return tuple(path.read_bytes() for path in paths)


def ensure(recipe: Recipe) -> Path:
    """The folder with the result, built now if it is not in the cache. Raises BuildError."""
    if not recipe.built:
        root = cache_root()
        (root / "logs").mkdir(parents=True, exist_ok=True)
        with alone(root / f"{recipe.what}.lock", recipe.title):
            if not recipe.built:  # another run may have built it meanwhile
                _build(recipe, root)
    os.utime(recipe.place)
    return recipe.place


def _build(recipe: Recipe, root: Path) -> None:
    log = Log(root / "logs" / f"{recipe.what}-{recipe.key}.log")
    log.path.unlink(missing_ok=True)
    unfinished = root / f"{recipe.what}.unfinished"  # safe: the lock is ours
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        with step(f"building {recipe.title}", recipe.usually):
            recipe.make(unfinished, log)
        unfinished.rename(recipe.place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    results = sorted(root.glob(f"{recipe.what}-{'[0-9a-f]' * 16}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in results[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def alone(path: Path, title: str) -> Iterator[None]:
    """Hold a lock file; says so if another run has to be waited for."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is building {title}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
