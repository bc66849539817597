"""The visitor at an agent's desk: a worker in the real Flex UI, who is offered one recorded call after the other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from voiceassist_demo.board import Board, CallView
from voiceassist_demo.errors import DemoError
from voiceassist_demo.stage import HOST, Stage

from . import chromium, preparing
from .progress import Progress

LOOK_SECONDS = 0.5
PAUSE_SECONDS = 4.0
AGENT = "you@example.com"
OVER = frozenset({"completed", "rejected", "canceled", "timeout", "rescinded"})
"""Reservations in these states want nothing more of the agent."""
TROUBLES = (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording that is played as a call."""

    path: Path
    title: str
    seconds: float


class Desk:
    """One Flex window at most, and the calls of its agent, which are on the board in a slot of their own."""

    def __init__(self, stage: Stage, recordings: Sequence[Recorded], board: Board, slot: int, changed: Callable[[str], None]) -> None:
        """`changed` is told the SID of a call whose view is new."""
        self._stage, self._recordings, self._board, self._slot, self._changed = stage, recordings, board, slot, changed
        self._wanted = asyncio.Event()
        self._log_in = ""
        self._paths: dict[str, Path] = {}

    def open(self) -> None:
        """Prepares Flex and opens its window, if none is open; returns at once."""
        self._wanted.set()

    def log_in_url(self) -> str:
        """Where Flex comes up for this agent; empty while there is none."""
        return self._log_in

    def recording(self, call_sid: str) -> Path | None:
        """What is played as this call."""
        return self._paths.get(call_sid)

    async def run(self, page: str, profile: Path) -> None:
        """Opens the window whenever it is asked for; `page` is the address of the page around Flex, `profile` the browser's own folder."""
        while True:
            await self._wanted.wait()
            try:
                await self._sit_down(page, profile)
                self._tell("closed", "")
            except (DemoError, *TROUBLES) as error:
                self._tell("failed", str(error) or repr(error))
                print(f"  {self._board.flex['text']}", flush=True)
            finally:
                self._log_in = ""
                self._wanted.clear()

    def _tell(self, state: str, text: str) -> None:
        self._board.flex = {"state": state, "text": text}

    async def _sit_down(self, page: str, profile: Path) -> None:
        if lacking := preparing.missing() or chromium.missing():
            raise DemoError(f"Flex: {lacking}")
        progress = Progress()

        def say(text: str) -> None:
            progress(text)
            self._tell("preparing", text)

        self._tell("preparing", "Flex: starting")
        try:
            await preparing.prepare(say)
        finally:
            progress.end()
        await self._stage.configure_flex(settings={"autoStart": True})
        worker = await self._stage.new_worker(AGENT)
        self._log_in = f"{self._stage.browser['logInUrl']}{worker['workerSid']}"
        window = chromium.Window(profile, [*self._stage.browser["chromiumArguments"], *chromium.arguments()])
        try:
            await window.show(page)
            self._tell("open", f"Chromium's window leads *.twilio.com and {HOST} to this machine, and no name anywhere else.")
            print("  Flex is open: a call comes in; accept it.", flush=True)
            await self._work(worker, window)
        finally:
            await window.close()

    async def _work(self, worker: dict[str, Any], window: chromium.Window) -> None:
        """Offers one call after the other until the window is closed."""
        workspace = (await self._stage.get(f"{self._stage.twilio_url}/_sim/account"))["workspaceSid"]
        await self._waiting(window, lambda: self._at_work(worker["identity"]))
        await asyncio.sleep(PAUSE_SECONDS)
        if not window.open:
            return
        for number, recorded in itertools.cycle(enumerate(self._recordings)):
            about = {"worker": worker["workerSid"], "reservation": "pending", "attributes": {"name": recorded.title}}
            call = await self._stage.new_call(recorded.path.resolve(), hangUp="recording", **about)
            sid = call["callSid"]
            self._paths = {sid: recorded.path}
            title = f"At your desk: {recorded.title}"
            self._board.add(CallView(self._slot, sid, title, time.time(), recorded.seconds, recording=number, desk=True))
            self._changed(sid)
            try:
                await self._waiting(window, lambda: self._over(workspace, call["taskSid"]))  # noqa: B023 - awaited here
            finally:
                with contextlib.suppress(*TROUBLES):
                    await self._stage.send("POST", f"{self._stage.twilio_url}/_sim/calls/{sid}/complete")
            if not window.open:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _waiting(self, window: chromium.Window, look: Callable[[], Awaitable[bool]]) -> None:
        """Waits until it is so, or the window was closed."""
        while not await look():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await window.closed()
                    return

    async def _at_work(self, identity: str) -> bool:
        """Whether this agent's Flex is up, as its sockets tell."""
        told = await self._stage.get(f"{self._stage.twilio_url}/_sim/browser")
        return any(one["identity"] == identity for one in told["sockets"])

    async def _over(self, workspace: str, task: str) -> bool:
        account = self._stage.account
        url = f"{self._stage.twilio_url}/taskrouter/v1/Workspaces/{workspace}/Tasks/{task}/Reservations"
        headers = {"Authorization": aiohttp.encode_basic_auth(account.api_key, account.api_secret)}
        status, told = await self._stage.send("GET", url, headers=headers)
        return status != 200 or all(one["reservation_status"] in OVER for one in told["reservations"])
