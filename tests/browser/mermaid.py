"""Mermaid, which draws the diagrams of docs/: one file of its npm package, checked by its digest and kept outside of the tree."""

from __future__ import annotations

import base64
import hashlib
import tarfile
from pathlib import Path

from cluster.lab.cache import Log, Recipe, ensure
from cluster.lab.errors import BuildError

PACKAGE = "mermaid@12.3.0"
SHA512 = "4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw=="
FILE = "package/dist/mermaid.min.js"


def _fetch(folder: Path, log: Log) -> None:
    log.run(["npm", "pack", "--ignore-scripts", PACKAGE], cwd=folder)
    (archive,) = folder.glob("*.tgz")
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != SHA512:
        raise BuildError(f"{PACKAGE} is not the package whose digest is kept here")
    with tarfile.open(archive) as packed:
        packed.extract(FILE, folder, filter="data")
    archive.unlink()


def script() -> Path:
    """The file for a page. Raises BuildError if it cannot be had."""
    return ensure(Recipe("mermaid", "what draws diagrams (npm pack)", "ten seconds", (PACKAGE.encode(), SHA512.encode()), _fetch)) / FILE
