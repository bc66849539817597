"""The gateways under test, each installed once from its lock file and kept outside of the tree."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from cluster.lab.cache import Log, Recipe, ensure, file_inputs
from functions.packages import node_version

HERE = Path(__file__).resolve().parent
_NPM = ("package.json", "package-lock.json", ".npmrc")


def python_of(server: str) -> Path:
    """The interpreter of a server from PyPI, with what `<server>/requirements.lock` names. Raises BuildError."""
    lock = HERE / server / "requirements.lock"
    inputs = (*file_inputs(lock), sys.version.encode())

    def install(folder: Path, log: Log) -> None:
        uv = Path(sys.executable).with_name("uv")
        # A venv without scripts of its own can be moved: what runs in it is started as `python -m`.
        log.run([uv, "venv", "--quiet", "--python", sys.executable, "--allow-existing", folder])
        log.run([uv, "pip", "sync", "--quiet", "--python", folder / "bin" / "python", "--require-hashes", "--only-binary", ":all:", lock])

    return ensure(Recipe(f"servers-{server}", f"{server} (PyPI)", "a minute or two", inputs, install)) / "bin" / "python"


def node_modules_of(server: str) -> Path:
    """The npm packages of a server, with what `<server>/package-lock.json` names. Raises BuildError."""
    inputs = (*file_inputs(*(HERE / server / name for name in _NPM)), node_version().split(".")[0].encode())

    def install(folder: Path, log: Log) -> None:
        for name in _NPM:
            shutil.copy(HERE / server / name, folder / name)
        log.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)

    return ensure(Recipe(f"servers-{server}", f"{server} (npm ci)", "a minute", inputs, install)) / "node_modules"
