"""The npm packages of tests/clients/, installed once from their lock file and kept outside of the tree."""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster.lab.cache import Log, Recipe, ensure, file_inputs
from functions.packages import node_version

HERE = Path(__file__).resolve().parent
_FILES = ("package.json", "package-lock.json", ".npmrc")


def _install(folder: Path, log: Log) -> None:
    for name in _FILES:
        shutil.copy(HERE / name, folder / name)
    log.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)


def node_modules() -> Path:
    """The folder with the packages; the first time it is filled by `npm ci`. Raises BuildError."""
    inputs = (*file_inputs(*(HERE / name for name in _FILES)), node_version().split(".")[0].encode())
    return ensure(Recipe("clients", "Twilio's browser clients (npm ci)", "ten seconds", inputs, _install)) / "node_modules"
