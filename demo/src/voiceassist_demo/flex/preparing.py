"""Prepares what the Flex window needs, once: the Flex UI as one browser script, and our plugin's bundle."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from voiceassist_demo.errors import DemoError

from . import npm
from .kept import ensure, place
from .npm import LOCKED, Say

SCRIPT = Path(__file__).parent / "script"
PLUGIN = Path(os.environ.get("VOICEASSIST_FLEX_PLUGIN") or Path(__file__).resolve().parents[4] / "flex-plugin")
"""The plugin's sources."""
PLUGIN_NAME = "plugin-voiceassist"
BUNDLE_SECONDS = 600.0
_BUNDLED = ("entry.js", "bundle.mjs")
_NOT_SOURCES = ("node_modules", "build", "test", "gallery", "log")


@dataclass(frozen=True, slots=True)
class FlexFiles:
    """What a browser is given: `script` is Flex UI, React and Redux as one classic script with the globals of Twilio's own page."""

    script: Path
    plugin: Path


def places() -> FlexFiles:
    """Where the files are, or will be."""
    script = place("flex-script", *npm.contents(SCRIPT, *LOCKED, *_BUNDLED))
    return FlexFiles(script / "flex.js", place("flex-plugin", *_plugin_inputs()) / "build" / f"{PLUGIN_NAME}.js")


def missing() -> str:
    """What this machine lacks for the preparation, in one line; empty when it can be done, or is done."""
    files = places()
    if files.script.is_file() and files.plugin.is_file():
        return ""
    return npm.missing() if (PLUGIN / "package-lock.json").is_file() else f"{PLUGIN} missing: the plugin is built from the source tree"


async def prepare(say: Say) -> FlexFiles:
    """Makes what is not there yet. Raises DemoError.

    The first time takes minutes: some 700 packages, 728 MB on the disk, then a bundling that takes half a minute.
    """
    if lacking := missing():
        raise DemoError(f"Flex: {lacking}")
    files = places()
    await ensure(files.script.parent, lambda folder: _bundle_flex(folder, say))
    await ensure(files.plugin.parents[1], lambda folder: _bundle_plugin(folder, say))
    return files


async def _bundle_flex(folder: Path, say: Say) -> None:
    modules = await npm.packages("flex-packages", SCRIPT, "fetching Twilio's Flex UI, once (728 MB on the disk)", say)
    begin = time.monotonic()
    command = ["node", str(SCRIPT / "bundle.mjs"), str(modules), str(SCRIPT / "entry.js"), str(folder / "flex.js")]
    await npm.run(command, folder, BUNDLE_SECONDS, lambda: say(f"Flex: bundling, {time.monotonic() - begin:.0f} s (half a minute or more)"))


async def _bundle_plugin(folder: Path, say: Say) -> None:
    modules = await npm.packages("flex-plugin-packages", PLUGIN, "fetching what the plugin is made of, once", say)
    shutil.copytree(PLUGIN, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_NOT_SOURCES))
    (folder / "node_modules").symlink_to(modules)
    await npm.run(["node", "scripts/build.mjs"], folder, BUNDLE_SECONDS, lambda: say("Flex: bundling the plugin"))


def _plugin_inputs() -> tuple[bytes, ...]:
    """The sources by path and content."""
    inputs = []
    for path in sorted(PLUGIN.rglob("*")):
        inside = path.relative_to(PLUGIN)
        if path.is_file() and not any(part in _NOT_SOURCES for part in inside.parts):
            inputs += [str(inside).encode(), path.read_bytes()]
    return tuple(inputs)
