"""A lane: one VoiceAssist's relay and clouds as processes, under a steady load of short calls, with faults to turn on and off."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from integration.end_to_end_rig import CALLS, cut
from voiceassist_demo.stage import Stage

CALL_SECONDS = 60.0
PACE_SECONDS = 4.0
"""A place begins no call sooner after the one before: calls that fail at once do not come faster than others."""


class Lane:
    """Calls follow each other in as many places as `calls`; each has one turn of the customer and its suggestion."""

    def __init__(self, folder: Path, namespace: str, name: str, *, calls: int = 6, max_calls: int = 60, eager: bool = False) -> None:
        self.name = name
        self._folder, self._calls = folder, calls
        config: dict[str, Any] = {"namespace": namespace, "name": name, "limits": {"maxCalls": max_calls}}
        if eager:
            config["model"] = {"turnDetection": {"eager": {}}}
        self.stage = Stage(folder, calls=CALLS, config=config)
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Lane]:
        """The lane with its load."""
        async with self.stage:
            self.recording = cut(self._folder, "c4", after=1200)
            self._tasks = [asyncio.create_task(self._caller(number)) for number in range(self._calls)]
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def address(self) -> str:
        """Where its relay's metrics are."""
        return self.stage.relay.private.removeprefix("http://")

    async def _caller(self, number: int) -> None:
        await asyncio.sleep(number * 0.7)
        while True:
            pace = asyncio.create_task(asyncio.sleep(PACE_SECONDS))
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._call_to_its_end()
            await pace

    async def begin(self, recording: Path) -> dict[str, Any] | None:
        """A call with its assist started; None when that was refused."""
        call = await self.stage.new_call(recording, hangUp="recording")
        status, _ = await self.stage.act("start", call)
        return call if status == 200 else None

    async def _call_to_its_end(self) -> None:
        call = await self.begin(self.recording)
        if call is None:
            return
        async with asyncio.timeout(CALL_SECONDS):
            while True:
                await asyncio.sleep(0.3)
                told = await self.stage.get(f"{self.stage.twilio_url}/_sim/calls/{call['callSid']}")
                if told.get("status") not in {"ringing", "queued", "in-progress"}:
                    return

    # faults

    async def model(self, *faults: dict[str, Any]) -> None:
        """Faults of the model's stand-in; none clears them."""
        await self._put(f"{self.stage.model_url}/_sim/faults", list(faults))

    async def behave(self, **settings: Any) -> None:
        """Settings of the model's stand-in."""
        await self._put(f"{self.stage.model_url}/_sim/behaviour", settings)

    async def twilio(self, *rules: dict[str, Any]) -> None:
        """Faults of Twilio's stand-in; none clears them."""
        await self._put(f"{self.stage.twilio_url}/_sim/faults", {"rules": list(rules)})

    async def streams(self, **faults: Any) -> None:
        """Faults of Twilio's media streams, as from the next frame on."""
        await self._put(f"{self.stage.twilio_url}/_sim/stream-faults", faults)

    async def fill(self, count: int) -> list[str]:
        """So many long calls; gives their SIDs."""
        calls = [await self.begin(CALLS / "lost-parcel.wav") for _ in range(count)]
        return [call["callSid"] for call in calls if call is not None]

    async def hang_up(self, calls: list[str]) -> None:
        """Ends them."""
        for sid in calls:
            await self.stage.send("POST", f"{self.stage.twilio_url}/_sim/calls/{sid}/complete", {})

    async def _put(self, url: str, body: Any) -> None:
        status, answer = await self.stage.send("PUT", url, body)
        assert status == 200, json.dumps(answer)
