"""Calls that come and go on a stage: started, heard, answered, and ended in every way a call can end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceassist_demo.stage import Stage

ENDINGS = ("stop", "hang-up", "restart", "cut")
"""By the agent; by the customer; stopped and started again before the end; the line to the audio lost without a word."""
WEIGHTS = (50, 35, 10, 5)


class Traffic:
    """Keeps so many calls up until told to stop. `life`: seconds that a call lasts, drawn evenly between the two."""

    def __init__(self, stage: Stage, recordings: Sequence[Path], life: tuple[float, float], seed: int = 1) -> None:
        self.ended: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self._stage, self._recordings, self._life = stage, recordings, life
        self._chance = random.Random(seed)
        self._places: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    def keep(self, calls: int, spread: float) -> None:
        """From now on so many calls more; the first ones begin within `spread` seconds."""
        for _ in range(calls):
            self._places.add(asyncio.create_task(self._place(self._chance.uniform(0, spread))))

    async def end(self) -> None:
        """No further call begins; those that are up are ended."""
        self._over.set()
        for done in await asyncio.gather(*self._places, return_exceptions=True):
            if isinstance(done, BaseException):
                self.troubles[repr(done)[:200]] += 1
        self._places.clear()
        self._over.clear()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            pass

    async def _place(self, wait: float) -> None:
        await self._pause(wait)
        while not self._over.is_set():
            try:
                await self._call()
            except Exception as error:
                self.troubles[repr(error)[:200]] += 1
                await self._pause(1.0)

    async def _call(self) -> None:
        stage, how = self._stage, self._chance.choices(ENDINGS, WEIGHTS)[0]
        life, recording = self._chance.uniform(*self._life), self._chance.choice(self._recordings)
        call = await stage.new_call(recording)
        if how == "cut":
            await self._told(call, "PUT", f"/_sim/calls/{call['callSid']}/stream-faults", {"cut_at_ms": life * 1000})
        await self._started(call)
        if how == "restart":
            await self._pause(life / 2)
            await self._acted("stop", call)
            await self._started(call)
            life /= 2
        await self._pause(life)
        if how in {"stop", "restart"}:
            await self._acted("stop", call)
        await self._told(call, "POST", f"/_sim/calls/{call['callSid']}/complete", {})
        self.ended[how] += 1

    async def _started(self, call: dict[str, Any]) -> None:
        for _ in range(20):
            status, answer = await self._stage.act("start", call)
            if status != 429:  # the relay's rate for one worker; all calls here are one worker's
                break
            await asyncio.sleep(self._chance.uniform(0.2, 1.0))
        if status != 200:
            raise RuntimeError(f"start answered {status}: {answer}")

    async def _acted(self, action: str, call: dict[str, Any]) -> None:
        for _ in range(20):
            status, answer = await self._stage.act(action, call)
            if status != 429:
                break
            await asyncio.sleep(self._chance.uniform(0.2, 1.0))
        if status != 200:
            raise RuntimeError(f"{action} answered {status}: {answer}")

    async def _told(self, call: dict[str, Any], method: str, path: str, body: dict[str, Any]) -> None:
        status, answer = await self._stage.send(method, self._stage.twilio_url + path, body)
        if status >= 300:
            raise RuntimeError(f"{path} answered {status}: {answer}")
