#!/usr/bin/env python3
"""Builds the Flex plugin: packages by the lock file (kept outside of the tree), types checked, bundle and map in flex-plugin/build/.

    tools/plugin.py [--modules] [--parts]

`--modules` only sees to flex-plugin/node_modules; `--parts` tells what the bundle is made of. The bundle bears the version that the newest
tag says, or $VOICEASSIST_VERSION; package.json has none of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

from voiceassist_demo.errors import DemoError
from voiceassist_demo.flex import npm

sys.path.insert(0, str(Path(__file__).resolve().parent))

import version

PLUGIN = Path(__file__).resolve().parent.parent / "flex-plugin"


def modules() -> Path:
    """The packages, linked into the tree as flex-plugin/node_modules. Raises DemoError."""
    found = asyncio.run(npm.packages("flex-plugin-packages", PLUGIN, "fetching what the plugin is made of, once", _say))
    link = PLUGIN / "node_modules"
    if link.is_dir() and not link.is_symlink():
        raise DemoError(f"{link} is a folder of npm's own; remove it, so that what the lock file says is used")
    if not link.is_symlink() or link.readlink() != found:
        link.unlink(missing_ok=True)
        link.symlink_to(found)
    return found


def _say(line: str) -> None:
    print(f"\r{line}\033[K", end="" if sys.stdout.isatty() else "\n", flush=True)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", action="store_true", help="only the packages")
    parser.add_argument("--parts", action="store_true", help="what the bundle is made of")
    options = parser.parse_args()
    try:
        modules()
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    if options.modules:
        return 0
    environment = {"VOICEASSIST_VERSION": version.semantic(version.version()), **os.environ}
    steps = [["npm", "run", "--silent", "typecheck"], ["node", "scripts/build.mjs", *(["--parts"] if options.parts else [])]]
    return next((code for step in steps if (code := subprocess.run(step, cwd=PLUGIN, env=environment, check=False).returncode)), 0)


if __name__ == "__main__":
    sys.exit(main())
