"""Twilio's clients in a Node.js process: a test sends JavaScript to it and reads what came of it and what was told."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from clients.packages import HERE, node_modules
from voiceassist_sim.twilio.browser import BrowserEdge

WAIT = 180.0
Said = list[Any]


class JavaScriptError(Exception):
    """The code ended with an error: ``shown`` has its name, message, status and code."""

    def __init__(self, shown: dict[str, Any]) -> None:
        super().__init__(str(shown.get("message")))
        self.shown = shown


class Node:
    """One process, pointed at one endpoint."""

    def __init__(self, edge: BrowserEdge, folder: Path) -> None:
        self._edge = edge
        self._certificate = folder / "certificate.pem"
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()
        self.said: list[Said] = []
        """All that was told, oldest first."""

    async def __aenter__(self) -> Self:
        self._certificate.write_text(self._edge.certificate.pem)
        places = {"EDGE_PORT": str(self._edge.port), "PACKAGES": str(node_modules().parent), "NODE_EXTRA_CA_CERTS": str(self._certificate)}
        self._process = await asyncio.create_subprocess_exec(
            "node", str(HERE / "driver.cjs"), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={**os.environ, **places}
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def run(self, code: str, **args: Any) -> Any:
        """Run the body of an async function of ``args``; what it returns. Raises `JavaScriptError`."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "code": code, "args": args}).encode() + b"\n")
        async with asyncio.timeout(WAIT):
            return await self._answers[number]

    async def until(self, wanted: Callable[[Said], bool], *, seconds: float = WAIT) -> Said:
        """The first thing told, before or from now on, that is wanted."""
        async with asyncio.timeout(seconds):
            while True:
                for words in self.said:
                    if wanted(words):
                        return words
                self._news.clear()
                await self._news.wait()

    async def told(self, *words: Any, seconds: float = WAIT) -> Said:
        """Wait until something beginning with these words was told."""
        return await self.until(lambda said: said[: len(words)] == list(words), seconds=seconds)

    def of(self, name: str, *events: str) -> list[Said]:
        """What was told of a watched object: its events of these names (all but changes of its subscription, if none is named)."""
        chosen = [words[1:] for words in self.said if words[0] == name]
        return [words for words in chosen if words[0] in events or (not events and words[0] != "_subscriptionStateChanged")]

    def forget(self) -> None:
        """Begin anew with what was told."""
        self.said.clear()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            shown = json.loads(line)
            if "said" in shown:
                self.said.append(shown["said"])
                self._news.set()
                continue
            answer = self._answers.pop(shown["id"])
            if "error" in shown:
                answer.set_exception(JavaScriptError(shown["error"]))
            else:
                answer.set_result(shown["value"])
        for answer in self._answers.values():
            answer.set_exception(RuntimeError("Node.js has ended"))
