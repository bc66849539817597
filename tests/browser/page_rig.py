"""A demo as a process, for the tests of its page."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Demo:
    """A running demo: the page's URL, the process, its folder."""

    url: str
    process: subprocess.Popen[str]
    folder: Path


def start(folder: Path, *arguments: str) -> Demo:
    """Starts a demo on a free port and waits for its page."""
    process = subprocess.Popen(
        [Path(sys.executable).parent / "voiceassist-demo", "--port", "0", "--keep", folder, *arguments],
        stdout=(folder.parent / f"{folder.name}.out").open("w"),
        text=True,
    )
    printed = folder.parent / f"{folder.name}.out"
    for _ in range(1800):
        if found := re.search(r"VoiceAssist demo: (http://\S+)\n", printed.read_text()):
            return Demo(found[1], process, folder)
        try:
            raise AssertionError(f"the demo ended with {process.wait(0.1)}: {printed.read_text()}")
        except subprocess.TimeoutExpired:
            continue
    process.terminate()
    raise AssertionError(f"the demo was not ready in three minutes: {printed.read_text()}")
