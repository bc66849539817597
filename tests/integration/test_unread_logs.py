"""A relay and an operator whose logs nobody reads: they go on serving, and they end when they are told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path
from typing import Any

import aiohttp

from integration.test_relay_command import RELAY, files
from support.eventually import eventually
from voiceassist_demo.stage import free_port

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


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "user", "user": {"token": "t"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "user"}}],
    "current-context": "none",
}


async def test_an_operator_whose_log_nobody_reads_answers_its_probe_and_ends(tmp_path: Path) -> None:
    unread, log = os.pipe()
    fcntl(log, F_SETPIPE_SZ, 4096)
    os.set_blocking(log, False)
    assert os.write(log, b"x" * 4096) == 4096  # not one line more has room
    os.set_blocking(log, True)
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    port = free_port()
    command = [str(Path(sys.executable).parent / "voiceassist-operator"), "run", "--namespace", "shop", "--metrics-port", str(port)]
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")}
    with subprocess.Popen([*command, "--log-level", "debug"], env=environment, stderr=log) as operator:
        try:
            os.close(log)
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:

                async def answered(path: str) -> Any:
                    try:
                        async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
                            return answer.status == 200 and await answer.text()
                    except aiohttp.ClientConnectorError:
                        return None

                await eventually(lambda: answered("/healthz"), "the probe's answer")
                assert "voiceassist_operator_log_lines_dropped_total 0.0" in await answered("/metrics")
            operator.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(operator.wait, 60) == 0
        finally:
            operator.kill()
    assert os.read(unread, 65_536) == b"x" * 4096
    os.close(unread)
