"""Twilio's own flex-plugin-scripts build the same sources, with TypeScript 4.9 and against the real types of Flex UI."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from voiceassist_demo.flex.preparing import PLUGIN

from .packages import SCRIPTS, scripts_modules


@pytest.mark.timeout(1200)
async def test_flex_plugin_build(tmp_path: Path) -> None:
    modules = await scripts_modules()
    folder = tmp_path / "plugin"
    shutil.copytree(SCRIPTS, folder)
    shutil.copytree(PLUGIN / "src", folder / "src")
    (folder / "node_modules").symlink_to(modules)
    environment = {**os.environ, "CI": "true", "TERM": "dumb"}
    command = ["node", str(modules / "@twilio/flex-plugin-scripts/bin/flex-plugin"), "build"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    script = folder / "build/plugin-voiceassist.js"
    assert script.is_file() and script.stat().st_size < 10_000_000
    assert "VoiceAssistPlugin" in script.read_text()
