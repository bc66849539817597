"""Prints one line for each thing that the plugin's tests need and do not find here; prints nothing if they can run.

Node.js and npm are installed before (tools/tiers.py); the packages are fetched here, once for each lock file.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plugin.packages import modules, scripts_modules
from voiceassist_demo.errors import DemoError


async def fetch() -> None:
    await modules(lambda _: None)
    await scripts_modules(lambda _: None)


if __name__ == "__main__":
    try:
        asyncio.run(fetch())
    except DemoError as error:
        print(" ".join(str(error).split()))
