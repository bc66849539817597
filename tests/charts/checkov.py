"""checkov, a judge of Kubernetes objects: installed once from its own lock file, in a virtual environment outside of the tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from charts.chart import ROOT
from cluster.lab.cache import Log, Recipe, ensure, file_inputs

LOCK = ROOT / "requirements/checkov.lock"
UV = Path(sys.executable).with_name("uv")


def _install(folder: Path, log: Log) -> None:
    python = folder / "bin/python"
    log.run([UV, "venv", "--clear", "--python", sys.executable, folder])
    log.run([UV, "pip", "sync", "--python", python, "--require-hashes", LOCK])
    log.run([python, "-c", "import checkov.main"])


def checkov() -> Recipe:
    """Its virtual environment."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}".encode()
    return Recipe("checkov", "checkov (from PyPI)", "20 s", (*file_inputs(LOCK), version), _install)


def found_by_checkov(folder: Path) -> tuple[int, set[tuple[str, str, str]]]:
    """How many checks were passed by the objects in the files of a folder, and what was found: check, its words, and the file's stem."""
    done = subprocess.run(
        [
            *(ensure(checkov()) / "bin/python", "-m", "checkov.main", "--directory", folder, "--framework", "kubernetes"),
            *("--output", "json", "--compact", "--quiet", "--skip-download"),  # it asks nobody
        ],
        env={**os.environ, "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode in {0, 1}, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["summary"]["parsing_errors"] == 0, told["summary"]
    failed = told["results"]["failed_checks"]
    return told["summary"]["passed"], {(one["check_id"], one["check_name"], Path(one["file_path"]).stem) for one in failed}
