"""`make demo MODEL=local`: a real recogniser hears a recording, and rules answer; no stand-in of a model."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from integration.end_to_end_rig import cut


async def test_local_demo_hears_a_recording_and_answers_it(tmp_path: Path) -> None:
    recording = cut(tmp_path, "c2", after=9000)
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("voiceassist-demo"), "--local", "--once", "--json", "--wav", recording),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    (call,) = json.loads(printed)["calls"]
    answers = [suggestion["answer"] for suggestion in call["suggestions"]]
    assert "I look for it. May I have the tracking number?" in answers, call["suggestions"]
