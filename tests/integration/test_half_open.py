"""Peers that vanish without a word: a network namespace whose link is cut. The relay lets go of their calls and sockets by itself."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from load.flood.rig import TESTS
from load.soak.process import held
from load.soak.run import total
from support.eventually import eventually
from voiceassist_demo.processes import Child
from voiceassist_demo.stage import Stage

CALLS = 5
HERE, THERE = "198.18.77.1", "198.18.77.2"  # addresses for tests of networks (RFC 2544)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A network namespace with a link to ours; its name."""
    name = "va-" + secrets.token_hex(3)
    try:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise OSError("needs root and ip(8)")
        ip("netns", "add", name)
        ip("link", "add", name, "type", "veth", "peer", "name", "peer0", "netns", name)
        ip("address", "add", f"{HERE}/30", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "address", "add", f"{THERE}/30", "dev", "peer0")
        ip("-n", name, "link", "set", "peer0", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NOT RUN: no network namespace can be made ({error})")
    yield name
    subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


class LinkedStage(Stage):
    """A stage whose relay listens at our end of the link, for streams; its private port too."""

    async def _child(self, name: str, arguments: list[str], environment: dict[str, str] | None = None) -> Child:
        if name.startswith("relay"):
            at = arguments.index("--host") + 1
            arguments = [*arguments[:at], HERE, *arguments[at + 1 :], "--metrics-host", "127.0.0.1"]
        return await super()._child(name, arguments, environment)


async def test_calls_whose_peer_vanishes_end_within_a_minute_and_nothing_stays(tmp_path: Path, elsewhere: str) -> None:
    async with LinkedStage(tmp_path / "stage") as stage:
        relay, before = stage.relay, held(stage.relay.child.pid)
        asked = {"host": HERE, "port": relay.port, "account": stage.account.account_sid, "token": stage.account.auth_token, "calls": CALLS}
        peer = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", elsewhere, sys.executable, "-m", "load.flood.vanishing", json.dumps(asked)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=TESTS,
        )
        try:
            assert peer.stdout is not None
            assert await asyncio.wait_for(peer.stdout.readline(), 30) == b"ready\n"
            assert total(await stage.metrics(), "active_calls") == CALLS
            ip("-n", elsewhere, "link", "set", "peer0", "down")
            async with asyncio.timeout(75):
                while total(metrics := await stage.metrics(), "active_calls"):
                    await asyncio.sleep(0.5)
        finally:
            peer.kill()
            await peer.wait()
        assert total(metrics, "streams_lost_total", reason="socket") == CALLS
        assert total(metrics, "http_refused_total", reason="head_timeout") == 2
        kept = before.sockets + 4  # connections to Twilio are kept for a while
        await eventually(lambda: held(relay.child.pid).sockets <= kept, f"{kept} sockets at most", seconds=90, every=0.5)
