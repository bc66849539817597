"""Prints one line for each thing that the tests of other people's gateways need and do not find here; prints nothing if they can run."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.lab.errors import BuildError
from servers.packages import node_modules_of, python_of
from voiceassist_demo.errors import DemoError
from voiceassist_demo.local.hearing import installed

if __name__ == "__main__":
    try:
        python_of("litellm")
        python_of("speech_to_speech")
        node_modules_of("portkey")
        asyncio.run(installed())
    except (BuildError, DemoError) as error:
        print(" ".join(str(error).split()))
