"""Prints one line for each thing that the panel's tests need and do not find here; prints nothing if they can run.

Node.js, npm and Chromium are installed before (tools/tiers.py); the plugin's packages are fetched here, once for each lock file.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from panel.packages import modules
from voiceassist_demo.errors import DemoError

if __name__ == "__main__":
    try:
        asyncio.run(modules(lambda _: None))
    except DemoError as error:
        print(" ".join(str(error).split()))
