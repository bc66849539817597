"""The npm packages of functions/, installed once from its lock file and kept outside of the tree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from cluster.lab.cache import Log, Recipe, ensure, file_inputs
from cluster.lab.places import REPOSITORY

FUNCTIONS = REPOSITORY / "functions"
_FILES = ("package.json", "package-lock.json", ".npmrc")


def node_version() -> str:
    """What `node --version` prints."""
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _install(folder: Path, log: Log) -> None:
    for name in _FILES:
        shutil.copy(FUNCTIONS / name, folder / name)
    log.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)


def node_modules() -> Path:
    """The folder with the packages; the first time it is filled by `npm ci`. Raises BuildError."""
    inputs = (*file_inputs(*(FUNCTIONS / name for name in _FILES)), node_version().split(".")[0].encode())
    recipe = Recipe("functions", "the packages of functions/ (npm ci)", "half a minute", inputs, _install)
    return ensure(recipe) / "node_modules"
