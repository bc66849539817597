"""The command ``voiceassist-sim twilio`` as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from contract.twilio.conftest import basic
from voiceassist_sim.cli import main

ACCOUNT = "AC" + "a" * 32
KEY = "SK" + "b" * 32
GOOD = ["--account", ACCOUNT, "--auth-token", "token", "--api-key", KEY, "--api-secret", "secret"]


@asynccontextmanager
async def command(*words: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "voiceassist_sim.cli", *words, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def listening(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return str(json.loads(await process.stdout.readline())["listening"])


async def ended(process: Process) -> tuple[int, str]:
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_told_to_stop(number: signal.Signals) -> None:
    options = [
        "--port",
        "0",
        "--connect-to",
        "assist.example.com=127.0.0.1:4000",
        "--lenient",
        "unknown-fields",
        "--max-concurrent-requests",
        "9",
    ]
    async with command("twilio", *GOOD, *options) as process:
        url = await listening(process)
        async with aiohttp.ClientSession() as session:
            for user, password in ((ACCOUNT, "token"), (KEY, "secret")):
                async with session.get(f"{url}/sync/v1/Services", headers=basic(user, password)) as response:
                    assert response.status == 200
            async with session.get(f"{url}/_sim/settings") as response:
                settings = await response.json()
        assert settings["lenient"]["unknown_fields"] is True
        assert settings["connectTo"] == {"assist.example.com": "127.0.0.1:4000"}
        assert settings["maxConcurrentRequests"] == 9
        process.send_signal(number)
        assert await ended(process) == (0, "")


def test_a_taken_port_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["twilio", *GOOD, "--port", port]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert port in errors
    assert "--port" in errors


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "--account"),
        ([*GOOD, "--account", "AC1"], "AC1"),
        ([*GOOD, "--port", "65536"], "65536"),
        ([*GOOD, "--connect-to", "assist.example.com"], "HOST=ADDRESS:PORT"),
        ([*GOOD, "--lenient", "everything"], "everything"),
        ([*GOOD, "--max-concurrent-requests", "0"], "above 0"),
        ([*GOOD, "--ca", "/no/such/file"], "/no/such/file"),
    ],
)
def test_wrong_use(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main(["twilio", *words])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    assert named in capsys.readouterr().err


async def test_it_plays_the_hosts_that_a_browser_meets(tmp_path: Path) -> None:
    bundle = tmp_path / "plugin-x.js"
    bundle.write_text("window.x = 1")
    script = tmp_path / "flex.js"
    script.write_text("window.flex = 1")
    options = ["--port", "0", "--browser-port", "0", "--flex-script", str(script), "--plugin-bundle", str(bundle)]
    async with command("twilio", *GOOD, *options) as process, aiohttp.ClientSession() as session:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            told = json.loads(await process.stdout.readline())
        edge = told["browser"]
        assert any("MAP *.twilio.com:443 127.0.0.1:" in word for word in edge["chromiumArguments"])
        async with session.post(f"{told['listening']}/_sim/workers", json={}) as response:
            worker = (await response.json())["workerSid"]

        async def page(path: str) -> str:
            url = f"https://127.0.0.1:{edge['port']}{path}"
            async with session.get(url, headers={"Host": "flex.twilio.com"}, ssl=False) as response:
                assert response.status == 200
                return await response.text()

        assert "TWILIO_FLEX_SSO" in await page(f"/sim/log-in?worker={worker}")
        assert "Twilio.Flex.runDefault" in await page("/agent-desktop/")
        assert await page("/sim/flex.js") == "window.flex = 1"
        (plugin,) = json.loads(await page("/plugins"))
        assert plugin["name"] == "plugin-x"
        assert await page(plugin["src"].removeprefix("https://flex.twilio.com")) == "window.x = 1"
        async with session.get(f"{told['listening']}/_sim/browser") as response:
            assert (await response.json())["port"] == edge["port"]


async def test_without_a_port_for_browsers_there_is_none() -> None:
    async with command("twilio", *GOOD, "--port", "0") as process, aiohttp.ClientSession() as session:
        response = await session.get(f"{await listening(process)}/_sim/browser")
        assert response.status == 404
