"""The gallery: the panel in every state without Flex, bundled once for each state of the sources, and axe, which looks for barriers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from voiceassist_demo.flex import npm
from voiceassist_demo.flex.preparing import PLUGIN

BUNDLE_SECONDS = 600.0
_SOURCES = ("src", "types", "gallery", "scripts", "package.json", "tsconfig.json")


async def modules(say: Callable[[str], None] = print) -> Path:
    """The plugin's npm packages. Raises DemoError."""
    return await npm.packages("flex-plugin-packages", PLUGIN, "fetching what the plugin is made of, once", say)


async def gallery(folder: Path) -> Path:
    """Bundles the gallery in an empty folder; returns its page. Raises DemoError."""
    for name in _SOURCES:
        source = PLUGIN / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "node_modules").symlink_to(await modules())
    await npm.run(["node", "gallery/build.mjs", str(folder / "made")], folder, BUNDLE_SECONDS, lambda: None)
    return folder / "made" / "index.html"


async def axe() -> str:
    """The source of axe, to be run in a page."""
    return (await modules() / "axe-core" / "axe.min.js").read_text()
