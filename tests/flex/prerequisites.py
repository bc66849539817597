"""Prints one line for each thing that the tests in Flex need and do not find here; prints nothing if they can run.

Node.js, npm and Chromium are installed before (tools/tiers.py); Flex's packages are fetched and bundled here, once for each lock file.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flex.packages import axe_script
from voiceassist_demo.errors import DemoError
from voiceassist_demo.flex.preparing import prepare


async def _all() -> None:
    await prepare(lambda _: None)
    await axe_script()


if __name__ == "__main__":
    try:
        asyncio.run(_all())
    except DemoError as error:
        print(" ".join(str(error).split()))
