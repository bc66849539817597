"""`voiceassist-demo` as a process: what it prints, how it exits, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from support.eventually import eventually
from voiceassist_demo.prometheus import available

from .end_to_end_rig import cut

BIN = Path(sys.executable).parent
QUESTION = "Where is the parcel that was due on Monday?"


@asynccontextmanager
async def demo(*arguments: object, key: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo as a process; ended with SIGTERM if a test leaves it running."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"} | ({"OPENAI_API_KEY": key} if key else {})
    process = await asyncio.create_subprocess_exec(
        BIN / "voiceassist-demo",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        limit=2**20,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.communicate(), 60)


async def run(*arguments: object, key: str = "", seconds: float = 90) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a whole run."""
    async with demo(*arguments, key=key) as process:
        out, error = await asyncio.wait_for(process.communicate(), seconds)
        assert process.returncode is not None
        return process.returncode, out.decode(), error.decode()


def children(pid: int) -> set[int]:
    """Processes whose parent this is."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found.add(int(path.parent.name))
    return found


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


async def printed(process: asyncio.subprocess.Process, pattern: str, seconds: float = 60) -> re.Match[str]:
    """Reads standard output until a line matches."""
    assert process.stdout is not None
    async with asyncio.timeout(seconds):
        while line := (await process.stdout.readline()).decode():
            if found := re.search(pattern, line):
                return found
    raise AssertionError(f"the demo ended without a line like {pattern}")


async def model_of(folder: Path) -> str:
    """The URL of the model's stand-in, from the configuration that the relay got."""
    config = folder / "relay0" / "relay.json"
    await eventually(config.exists, seconds=60, what="the relay's configuration")
    return str(json.loads(config.read_text())["model"]["url"])


def rewritten(path: Path, target: Path, *, rate: int, width: int, channels: int) -> Path:
    """A recording in another rate and width (bytes), mono being its first channel."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())[:, :channels].astype(float)
    at = np.arange(0, len(samples), 8000 / rate)
    samples = np.stack([np.interp(at, np.arange(len(samples)), samples[:, channel]) for channel in range(channels)], axis=1)
    data = (samples / 256 + 128).astype(np.uint8) if width == 1 else samples.astype("<i2")
    with wave.open(str(target), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data.tobytes())
    return target


# ---- --once


async def test_once_plays_any_recording_and_every_frame_arrives(tmp_path: Path) -> None:
    original = cut(tmp_path, "c2", after=900)
    wavs = [
        original,
        rewritten(original, tmp_path / "mono16k.wav", rate=16000, width=2, channels=1),
        rewritten(original, tmp_path / "stereo44k.wav", rate=44100, width=2, channels=2),
        rewritten(original, tmp_path / "eight.wav", rate=8000, width=1, channels=1),
    ]
    code, out, error = await run("--once", "--json", *(part for wav in wavs for part in ("--wav", wav)), "--calls", 5)
    assert (code, error) == (0, "")
    told = json.loads(out)
    assert set(told) == {"calls", "totals"}
    assert len({call["callSid"] for call in told["calls"]}) == 5
    for call in told["calls"]:
        assert set(call) == {
            "callSid",
            "framesSent",
            "framesHeard",
            "framesFilled",
            "framesReplayed",
            "bytesEqual",
            "wrong",
            "turns",
            "handled",
            "suggestions",
        }
        assert call["framesSent"] == call["framesHeard"] > 400
        assert (call["bytesEqual"], call["wrong"]) == (True, [])
        assert call["turns"] == call["handled"] >= 1
        (suggestion,) = call["suggestions"]
        assert set(suggestion) == {"seq", "question", "answer", "latencyMs"}
        assert suggestion["latencyMs"]["total"] == pytest.approx(sum(suggestion["latencyMs"][name] for name in ("model", "ours")), abs=2)
        assert suggestion["latencyMs"]["ours"] >= 0
    assert told["calls"][0]["suggestions"][0]["question"] == QUESTION
    assert told["calls"][4]["suggestions"][0]["question"] == QUESTION
    assert told["totals"]["suggestions"] == 5
    assert told["totals"]["framesFilled"] == sum(call["framesFilled"] for call in told["calls"])
    assert told["totals"]["oursMs"]["p50"] <= told["totals"]["oursMs"]["p99"] < told["totals"]["latencyMs"]["p99"]


async def test_a_prompt_takes_effect_and_the_report_for_people(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Help the agent.\nPrefix: Gladly.\n")
    code, out, error = await run("--once", "--prompt", prompt, "--wav", cut(tmp_path, "c2"))
    assert (code, error) == (0, "")
    assert re.search(r"call 1: (\d+) frames sent, \1 heard, the same bytes; ", out)
    assert "1 of 1 turns handled" in out
    assert f"1. {QUESTION}\n     Gladly. I am sorry about the delay." in out
    assert re.search(r"ours p50 \d+ ms, p99 \d+ ms", out)


@asynccontextmanager
async def broken_in_the_middle(folder: Path, faults: list[dict[str, Any]]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A call whose customer's session is cut in its middle; the faults are there for what is dialled then."""
    async with demo("--once", "--json", "--keep", folder / "keep", "--wav", cut(folder, "a2", "c2")) as process:
        url = await model_of(folder / "keep")
        async with aiohttp.ClientSession() as http:

            async def heard() -> bool:
                async with http.get(f"{url}/_sim/sessions?kind=realtime") as answer:
                    return any(one["bytesHeard"] > 36000 for one in (await answer.json())["sessions"])

            await eventually(heard, seconds=60, what="audio before the one that is played to the next session again")
            async with http.put(f"{url}/_sim/faults", json=faults) as answer:
                assert answer.status == 200, await answer.text()
            async with http.post(f"{url}/_sim/drop", json={"kind": "realtime"}) as answer:
                assert (await answer.json())["dropped"] == 1
        yield process


async def test_a_call_whose_session_was_replaced_is_whole(tmp_path: Path) -> None:
    """What the second session hears again is told as such, and everything together is what was spoken."""
    async with broken_in_the_middle(tmp_path, []) as process:
        out, error = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, error.decode()) == (0, "")
    told = json.loads(out)
    (call,) = told["calls"]
    assert (call["bytesEqual"], call["wrong"]) == (True, [])
    assert call["framesSent"] == call["framesHeard"]
    assert 0 < call["framesReplayed"] <= told["totals"]["framesReplayed"]
    assert call["turns"] == call["handled"] == 1
    assert [one["question"] for one in call["suggestions"]] == [QUESTION]


async def test_lost_frames_are_exit_code_1(tmp_path: Path) -> None:
    """No session is to be had after the one that is cut: the call's end is heard by nobody."""
    async with broken_in_the_middle(tmp_path, [{"kind": "refuse", "session": "realtime"}]) as process:
        out, error = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 1, error.decode()
    (call,) = json.loads(out)["calls"]
    assert call["bytesEqual"] is False
    assert call["framesHeard"] < call["framesSent"]
    lost = rf"voiceassist-demo: call {call['callSid']}: \d+ frames sent, \d+ heard, and not the same bytes; inbound: the last \d+ frames"
    assert re.search(lost, error.decode())


# ---- the real service's path


@asynccontextmanager
async def service(key: str) -> AsyncIterator[str]:
    """A model service that was started by somebody else."""
    process = await asyncio.create_subprocess_exec(
        BIN / "voiceassist-sim", "openai", "--port", "0", "--api-key", key, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["listening"]
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def test_a_service_of_ones_own(tmp_path: Path) -> None:
    async with service("sk-own") as url:
        code, out, error = await run("--once", "--json", "--model-url", url, "--wav", cut(tmp_path, "c2"), key="sk-own")
        assert (code, error) == (0, "")
        (call,) = json.loads(out)["calls"]
        assert (call["framesHeard"], call["bytesEqual"]) == (None, None)
        assert (call["turns"], call["handled"]) == (1, 1)
        (suggestion,) = call["suggestions"]
        assert suggestion["answer"]
        assert suggestion["latencyMs"]["total"] > 0
        assert suggestion["latencyMs"]["ours"] is None

        code, _, error = await run("--once", "--json", "--model-url", url, "--wav", cut(tmp_path, "c2"), key="sk-wrong")
        assert code == 1
        assert "key" in error, "the agent's message says why"


# ---- what you can mend


async def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, error = await run("--port", port, "--wav", cut(tmp_path, "c2"))
    assert code == 2
    assert out == ""
    assert error == f"voiceassist-demo: port {port} is taken; choose another one with --port (make demo ARGS='--port {port + 1}')\n"


@pytest.mark.parametrize("case", ["broken", "missing", "prompt missing", "prompt empty", "no key"])
async def test_one_clear_line_and_exit_code_2(tmp_path: Path, case: str) -> None:
    bad = tmp_path / "bad.wav"
    if case in {"broken", "prompt empty"}:
        bad.write_bytes(b"RIFF\x00\x00\x00\x00WAVEjunk" if case == "broken" else b" \n")
    arguments: list[Any] = {
        "broken": ["--wav", bad],
        "missing": ["--wav", bad],
        "prompt missing": ["--prompt", bad],
        "prompt empty": ["--prompt", bad],
        "no key": ["--model-url", "http://127.0.0.1:9"],
    }[case]
    code, out, error = await run("--once", "--json", *arguments)
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert error.startswith("voiceassist-demo: ")
    assert ("OPENAI_API_KEY" if case == "no key" else str(bad)) in error


# ---- the end


async def test_ctrl_c_ends_everything() -> None:
    async with demo("--port", 0) as process:
        url = (await printed(process, r"VoiceAssist demo: (http://127\.0\.0\.1:\d+)$"))[1]
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            assert answer.status == 200
        before = children(process.pid)
        assert len(before) == 3 + available(), "two stand-ins, a relay, and Prometheus where it is installed"
        process.send_signal(signal.SIGINT)
        _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert "Traceback" not in error.decode()
    assert error.decode().endswith("ended cleanly\n")
    assert alive(before) == set()


async def test_a_relay_that_dies_is_told_of_and_sigterm_ends_everything(tmp_path: Path) -> None:
    async with demo("--port", 0, "--wav", cut(tmp_path, "c2")) as process:
        url = (await printed(process, r"VoiceAssist demo: (http://127\.0\.0\.1:\d+)$"))[1]
        before = children(process.pid)
        (relay,) = [pid for pid in before if b"voiceassist-relay" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(relay, signal.SIGKILL)
        await printed(process, r"relay0 ended: .*; end the demo with Ctrl-C and start it again")
        async with aiohttp.ClientSession() as http, http.get(f"{url}/feed") as answer:

            async def told() -> bool:
                line = await answer.content.readline()
                change = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                return change.get("board", change).get("relay") == {}

            await eventually(told, seconds=20, what="the page's word on the relay")
        process.terminate()
        _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert "Traceback" not in error.decode()
    assert alive(before) == set()


@pytest.mark.parametrize("moment", ["starting", "playing"])
async def test_once_cut_short_leaves_no_process(tmp_path: Path, moment: str) -> None:
    keep = tmp_path / "keep"
    async with demo("--once", "--json", "--keep", keep, "--wav", cut(tmp_path, "c2")) as process:
        wanted = 1 if moment == "starting" else 3
        await eventually(lambda: len(children(process.pid)) == wanted, seconds=60, what="processes of the demo")
        before = children(process.pid)
        process.send_signal(signal.SIGTERM if moment == "starting" else signal.SIGINT)
        out, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 130
    assert out == b""
    assert error.decode() == "voiceassist-demo: cut short, all processes ended\n"
    assert alive(before) == set()
