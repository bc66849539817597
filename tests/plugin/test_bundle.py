"""What Twilio is given: two files that any machine builds alike, in the shape that Flex's loader wants."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from .packages import copy

pytestmark = pytest.mark.timeout(600)

NAME = "plugin-voiceassist"
MOST_BYTES = 10_000_000
MOST_GZIP_BYTES = 250_000
_PROBE = """
const vm = require('vm'), fs = require('fs')
const [script, modules] = process.argv.slice(2)
const element = () => ({ style: {}, setAttribute() {}, appendChild() {} })
const document = { createElement: element, createTextNode() {}, head: element(), querySelectorAll: () => [], addEventListener() {} }
const window = { React: require(modules + '/react'), ReactDOM: require(modules + '/react-dom'), Redux: {}, ReactRedux: {}, document,
  console: { log() {}, warn() {}, info() {} }, navigator: { userAgent: '' }, location: { hash: '' }, setTimeout, clearTimeout,
  WebSocket: class {}, HTMLElement: class {}, addEventListener() {} }
window.Twilio = { Flex: { IconButton: () => null, Plugins: { init: (given) => { window.given = given } } } }
window.window = window.self = window
vm.runInNewContext(fs.readFileSync(script, 'utf8'), window)
const plugin = new window.given()
const { name, uniqueName, version, dependencies } = plugin
Promise.resolve(plugin.init({}, {})).then(() => console.log(JSON.stringify({ name, uniqueName, version, dependencies })))
"""
"""Loads the script as Flex does, makes the plugin, and starts it with a Flex that has nothing: it must not throw."""


def build(folder: Path, **environment: str) -> Path:
    done = subprocess.run(
        ["node", "scripts/build.mjs"], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build"


async def built(folder: Path, **environment: str) -> Path:
    folder.mkdir(parents=True)
    return build(await copy(folder), **environment)


async def test_two_folders_build_the_same_two_files(tmp_path: Path) -> None:
    one, other = await built(tmp_path / "a"), await built(tmp_path / "quite" / "another place")
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir()) == [f"{NAME}.js", f"{NAME}.js.map"]
    for name in names:
        content = (one / name).read_bytes()
        assert content == (other / name).read_bytes()
        assert len(content) < MOST_BYTES
    script = (one / f"{NAME}.js").read_bytes()
    assert len(gzip.compress(script)) < MOST_GZIP_BYTES
    for place in (b"another place", str(tmp_path).encode(), str(Path.home()).encode() + b"/"):
        assert place not in script and place not in (one / f"{NAME}.js.map").read_bytes()


async def test_the_shape_that_flex_loads(tmp_path: Path) -> None:
    folder = await built(tmp_path / "a", VOICEASSIST_VERSION="1.2.3")
    script = (folder / f"{NAME}.js").read_text()
    probe = tmp_path / "probe.cjs"
    probe.write_text(_PROBE)
    modules = str(folder.parent / "node_modules")
    done = subprocess.run(["node", probe, folder / f"{NAME}.js", modules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["uniqueName"], told["version"]) == (NAME, "1.2.3")
    assert told["dependencies"]["flex-ui"] == "2.17.1" and told["dependencies"]["react"] == "17.0.2"
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE), "it is a classic script"
    assert "sourceMappingURL" not in script


async def test_the_map_has_the_sources(tmp_path: Path) -> None:
    folder = await built(tmp_path / "a")
    found = json.loads((folder / f"{NAME}.js.map").read_text())
    ours = [source for source in found["sources"] if source.startswith("../src/")]
    assert "../src/core/call.ts" in ours
    contents = dict(zip(found["sources"], found["sourcesContent"], strict=True))
    assert all(contents[source] for source in ours)


async def test_the_plugins_own_setting_is_built_in(tmp_path: Path) -> None:
    address = "https://assist.example/voice"
    folder = await built(tmp_path / "a", FLEX_APP_FUNCTIONS_URL=address)
    assert address in (folder / f"{NAME}.js").read_text()
