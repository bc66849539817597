"""Servers that nobody here wrote, as processes: gateways before the model's stand-in, and one that hears and answers itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import yaml

from servers.packages import HERE, node_modules_of, python_of
from support.eventually import eventually
from support.load import slowdown
from voiceassist_sim.openai import RealtimeServer

START = 90.0
"""Seconds for a gateway to answer, on a machine of its own: LiteLLM reads in half a million objects first."""
LITELLM_KEY = "sk-gateway-0123456789"
UPSTREAM_KEY = "sk-test"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Gateway:
    """One that runs. It keeps its port when it is started again."""

    command: tuple[str | Path, ...]
    environment: dict[str, str]
    port: int
    health: str
    log: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """What `model.url` has."""
        return f"ws://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        """Returns when it answers."""
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *map(str, self.command), env=self.environment, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out
            )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:

            async def answers() -> bool:
                assert self.process is not None
                assert self.process.returncode is None, f"it ended: {self.log.read_text(errors='replace')[-2000:]}"
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(f"http://127.0.0.1:{self.port}{self.health}") as answer:
                        return answer.status < 500
                return False

            await eventually(answers, f"an answer of {self.command[0]}", seconds=START * slowdown(), every=0.2)

    async def kill(self) -> None:
        """As a node that dies."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def litellm(model: RealtimeServer, folder: Path) -> AsyncIterator[Gateway]:
    """LiteLLM's proxy: `assist` and `words` are its names for the stand-in's models; of the others each is wrong in its own way."""
    port, base = free_port(), f"http://api.openai.com:{urlsplit(model.ws_url).port}/v1"

    def to(name: str, **more: object) -> dict[str, object]:
        return {"model": f"openai/{name}", "api_base": base, "api_key": UPSTREAM_KEY, **more}

    names = {
        "assist": to("gpt-realtime-2.1-mini"),
        "words": to("gpt-transcribe"),
        "bad-key": to("gpt-realtime-2.1-mini", api_key="sk-not-known-0123456789"),
        "gone": to("gpt-realtime-0"),
    }
    settings = {
        "model_list": [{"model_name": name, "litellm_params": params} for name, params in names.items()],
        "general_settings": {"master_key": LITELLM_KEY},
        "litellm_settings": {"telemetry": False},
    }
    config = folder / "litellm.yaml"
    config.write_text(yaml.safe_dump(settings))
    command = (python_of("litellm"), HERE / "litellm" / "run.py", "--config", config, "--host", "127.0.0.1", "--port", str(port))
    # Prices come from the package: else it asks a public address for them, three times, before it answers.
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    gateway = Gateway(command, environment, port, "/health/liveliness", folder / "litellm.log")
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.kill()


@contextlib.asynccontextmanager
async def portkey(folder: Path) -> AsyncIterator[Gateway]:
    """Portkey's gateway; which provider it leads to is in each request's headers."""
    port = free_port()
    script = node_modules_of("portkey") / "@portkey-ai/gateway/build/start-server.js"
    command = ("node", script, f"--port={port}", "--headless")
    gateway = Gateway(command, {**os.environ, "NODE_ENV": "production"}, port, "/", folder / "portkey.log")
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.kill()


SLOTS = 3
"""Sessions at once that the speech-to-speech server has room for: a call takes two."""


@contextlib.asynccontextmanager
async def speech_to_speech(models: str, folder: Path) -> AsyncIterator[Gateway]:
    """Hugging Face's server with its models stubbed; `models`: where they are asked."""
    port = free_port()
    command = (python_of("speech_to_speech"), HERE / "speech_to_speech" / "run.py", str(port), models, str(SLOTS))
    gateway = Gateway(command, {**os.environ, "NO_PROXY": "127.0.0.1"}, port, "/v1/pool", folder / "speech_to_speech.log")
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.kill()
