"""The plugin's npm packages, and those of Twilio's flex-plugin-scripts: each installed once for its lock file, outside of the tree."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from voiceassist_demo.flex import npm
from voiceassist_demo.flex.preparing import PLUGIN

SCRIPTS = PLUGIN / "flex-plugin-scripts"
_SOURCES = ("src", "types", "test", "scripts", "package.json", "tsconfig.json")


async def modules(say: Callable[[str], None] = print) -> Path:
    """The plugin's packages. Raises DemoError."""
    return await npm.packages("flex-plugin-packages", PLUGIN, "fetching what the plugin is made of, once", say)


async def scripts_modules(say: Callable[[str], None] = print) -> Path:
    """The packages of flex-plugin-scripts with the real Flex UI: some 2,000, 885 MB on the disk. Raises DemoError."""
    return await npm.packages("flex-plugin-scripts-packages", SCRIPTS, "fetching flex-plugin-scripts, once (885 MB on the disk)", say)


async def copy(folder: Path) -> Path:
    """The plugin's sources in an empty folder of their own, with its packages."""
    for name in _SOURCES:
        source = PLUGIN / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "node_modules").symlink_to(await modules())
    return folder
