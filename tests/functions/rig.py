"""Twilio Functions on this machine: Twilio's own `twilio-run` with a folder of functions and an environment's variables."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from functions.packages import FUNCTIONS, node_modules
from support.eventually import eventually

RECORDER = Path(__file__).with_name("recorder.cjs")
START_SECONDS = 300.0


class TwilioRun:
    """One `twilio-run`. `sources` are the functions by file name, else those of functions/src."""

    def __init__(self, folder: Path, variables: Mapping[str, str], *, sources: Mapping[str, str] | None = None, fork: bool = False) -> None:
        self.url = ""
        self._folder, self._variables, self._sources, self._fork = folder, variables, sources, fork
        self._dialled, self._listening, self._log = folder / "dialled", folder / "listening", folder / "log"

    def _told(self) -> list[str]:
        """The ports that the recorder has written down; a file that is there may still be empty."""
        return self._listening.read_text().split() if self._listening.exists() else []

    async def __aenter__(self) -> TwilioRun:
        self._lay_out()
        arguments = ["node", "--require", str(self._folder / "recorder.cjs"), str(node_modules() / "twilio-run/bin/twilio-run.js"), "start"]
        arguments += ["--port", "0", "--env", ".env", "--no-logs", *([] if self._fork else ["--no-fork-process"])]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "CI": "true", "NO_COLOR": "1"}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *arguments,
                cwd=self._folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            await eventually(lambda: self._told() or self._process.returncode is not None, seconds=START_SECONDS)
            if self._process.returncode is not None:
                raise RuntimeError(f"twilio-run ended: {self._log.read_text(errors='replace')[-2000:]}")
            self.url = f"http://127.0.0.1:{self._told()[0]}"
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        await self._end()

    async def _end(self) -> None:
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # the group is this process's own, with what it forked
            await self._process.wait()

    def _lay_out(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            (self._folder / name).symlink_to(FUNCTIONS / name)
        (self._folder / "node_modules").symlink_to(node_modules())
        if self._sources is None:
            (self._folder / "src").symlink_to(FUNCTIONS / "src")
        else:
            (self._folder / "src").mkdir()
            for name, text in self._sources.items():
                (self._folder / "src" / name).write_text(text)
        (self._folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in self._variables.items()))
        records = json.dumps([str(self._dialled), str(self._listening)])
        (self._folder / "recorder.cjs").write_text(RECORDER.read_text().replace("RECORDS", records))

    def dialled(self) -> set[str]:
        """Every address that it, or a process of its, has dialled."""
        return set(self._dialled.read_text().split()) if self._dialled.exists() else set()

    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    async def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON (None if it is none), headers."""
        return await asked(self._http, method, self.url + path, **arguments)


async def asked(http: aiohttp.ClientSession, method: str, url: str, **arguments: Any) -> tuple[int, Any, Mapping[str, str]]:
    """Status, JSON (None if it is none) and headers of one answer."""
    async with http.request(method, url, **arguments) as answer:
        text = await answer.text()
        kind = answer.headers.get("Content-Type", "")
        return answer.status, (json.loads(text) if text and kind.startswith("application/json") else None), answer.headers
