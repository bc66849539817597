#!/usr/bin/env python3
"""Prints the version, which is what the newest tag `v…` says and nothing else does; between two tags, one after it.

    tools/version.py [--python]

As the chart and the images have it (Semantic Versioning, 0.2.0-rc.1), or with --python as the distributions do (0.2.0rc1).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import setuptools_scm

ROOT = Path(__file__).resolve().parent.parent


def semantic(version: str) -> str:
    """A Python version (PEP 440) in the form of Semantic Versioning. Raises ValueError for what has none, as an epoch or a post-release."""
    found = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:(a|b|rc)(\d+))?(?:\.dev(\d+))?", version)
    if found is None:
        raise ValueError(f"{version}: no form in Semantic Versioning; tag as v1.2.3 or v1.2.3rc1")
    major, minor, patch, stage, number, dev = found.groups()
    before = [part for part in (stage, number) if part] + (["dev", dev] if dev else [])
    return f"{major}.{minor}.{patch or 0}" + (f"-{'.'.join(before)}" if before else "")


def version() -> str:
    """The version of the tree (PEP 440), as the distributions' own build has it."""
    return setuptools_scm.get_version(ROOT, local_scheme="no-local-version", fallback_version="0.0.0")


if __name__ == "__main__":
    print(version() if sys.argv[1:] == ["--python"] else semantic(version()))
