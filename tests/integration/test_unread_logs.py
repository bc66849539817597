"""A relay whose log nobody reads: it goes on serving, and it ends when it is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path

import aiohttp

from integration.test_relay_command import RELAY, files

REFUSALS = 60
"""Each is a line in the log, and the pipe takes some twenty."""


async def test_a_log_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    unread, log = os.pipe()
    fcntl(log, F_SETPIPE_SZ, 4096)
    command = [RELAY, *files(tmp_path, limits={"drainGraceSeconds": 0}), "--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"]
    with subprocess.Popen([*command, "--log-format", "json"], stdout=subprocess.PIPE, stderr=log) as relay:
        try:
            os.close(log)
            assert relay.stdout is not None
            ports = json.loads(await asyncio.to_thread(relay.stdout.readline))["listening"]
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
                for _ in range(REFUSALS):
                    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
                    upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
                    async with http.get(f"http://127.0.0.1:{ports['public']}/ws/CA{'0' * 32}", headers=upgrade) as answer:
                        assert answer.status == 403
                async with http.get(f"http://127.0.0.1:{ports['private']}/healthz") as answer:
                    assert answer.status == 200
            relay.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(relay.wait, 30) == 0
        finally:
            relay.kill()
    held = os.read(unread, 65_536)
    assert len(held) >= 3500, "the pipe was full"
    os.close(unread)
