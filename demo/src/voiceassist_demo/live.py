"""The demo as people see it: calls come and go, the page and the terminal show what the agents read."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceassist_crds import names
from voiceassist_sim.audio import CallRecording, load_call

from .board import Board, CallView
from .feed import Event, follow
from .meters import STEP_MS, both
from .server import PageServer, listen
from .stage import Stage, write_whole

PAUSE_SECONDS = 4.0
STAGGER_SECONDS = 5.0
TICK_SECONDS = 0.2


class Live:
    """A running demo: one slot for each recording, in which a call follows the other."""

    def __init__(self, stage: Stage, paths: Sequence[Path]) -> None:
        self._stage = stage
        self._paths = list(paths)
        self._recordings: list[CallRecording] = [load_call(path) for path in self._paths]
        self._meters = [both(recording) for recording in self._recordings]
        self.board = Board()
        self.page = PageServer(self.board.to_json, self._prompt, self._set_prompt)
        self._dirty: set[str] = set()
        self._ended: dict[str, asyncio.Event] = {}

    # the prompt

    def _prompt(self) -> dict[str, Any]:
        prompt = self._current["prompts"][0]
        return {"instructions": prompt["instructions"], "revision": prompt["revision"], "applyTo": self._current["rollout"]["applyTo"]}

    @property
    def _current(self) -> dict[str, Any]:
        return dict(json.loads(self._stage.relay.config.read_text()))

    def _set_prompt(self, text: str) -> str:
        config = self._stage.config(prompts=[{"instructions": text}])
        write_whole(self._stage.relay.config, config.to_json())
        return config.prompts[0].revision

    # events

    def take(self, event: Event) -> None:
        """One event of the Twilio stand-in's feed."""
        view = self.board.take(event)
        if view is None:
            return
        self._dirty.add(view.call_sid)
        if event["type"] == "call" and event["event"] == "ended" and view.call_sid in self._ended:
            self._ended[view.call_sid].set()
        if event["type"] == "sync" and event["event"] == "item_added" and event.get("key") != names.STATUS_KEY:
            item = event["data"]
            took = f"{item['latencyMs']} ms" if item.get("latencyMs") is not None else "?"
            print(f"  {view.title}: {item['question']}\n    -> {item['answer']}  ({took}, prompt {item['revision']})", flush=True)

    # the work

    async def calls(self, slot: int) -> None:
        """Plays the slot's recording again and again."""
        await asyncio.sleep(slot * STAGGER_SECONDS)
        path = self._paths[slot]
        described = path.with_suffix(".json")
        title = str(json.loads(described.read_text())["title"]) if described.exists() else path.name
        while True:
            call = await self._stage.new_call(path.resolve(), hangUp="recording")
            sid = call["callSid"]
            seconds = len(self._recordings[slot].customer) / 8000
            self._ended[sid] = asyncio.Event()
            self.board.add(CallView(slot, sid, title, time.time(), seconds))
            self._dirty.add(sid)
            status, answer = await self._stage.act("start", call)
            if status != 200:
                print(f"  {title}: /stream start answered {status}: {json.dumps(answer)}", flush=True)
                self.board.calls[sid].state, self.board.calls[sid].message = "failed", str(answer)
            await self._ended[sid].wait()
            del self._ended[sid]
            await asyncio.sleep(PAUSE_SECONDS)

    async def tell(self) -> None:
        """Tells the browsers what changed, at most five times a second."""
        for turn in itertools.count():
            await asyncio.sleep(TICK_SECONDS)
            dirty, self._dirty = self._dirty, set()
            change: dict[str, Any] = {"calls": [self.board.calls[sid].to_json() for sid in dirty if sid in self.board.calls]}
            change["levels"] = self._levels()
            if turn % 5 == 0:
                await self._look()
                change["bars"], change["relay"] = list(self.board.bars), self.board.relay
            self.page.tell(change)

    def _levels(self) -> dict[str, dict[str, float]]:
        now, levels = time.time(), {}
        for view in self.board.calls.values():
            if view.playing_at is None or view.ended_at is not None:
                continue
            at = int((now - view.playing_at) * 1000 / STEP_MS)
            meters = self._meters[view.slot]
            levels[view.call_sid] = {track: values[at] if at < len(values) else 0.0 for track, values in meters.items()}
        return levels

    async def _look(self) -> None:
        try:
            self.board.measured(await self._stage.metrics())
            self.board.relay = await self._stage.get(f"{self._stage.relay.private}/status")
        except OSError:
            self.board.relay = {}

    async def run(self, listener: socket.socket) -> None:
        """Runs until cancelled."""
        ready = asyncio.Event()
        at = await self.page.start(listener)
        stage = self._stage
        print(f"\nVoiceAssist demo: http://127.0.0.1:{at}")
        print(f"  relay       {stage.relay.public}   metrics {stage.relay.private}/metrics   status {stage.relay.private}/status")
        print(f"  stand-ins   Twilio {stage.twilio_url}   model {stage.model_url or stage.model.url}")
        print("  Ctrl-C ends it.\n", flush=True)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(follow(stage.http, f"{stage.twilio_url}/_sim/events", self.take, ready))
                await ready.wait()
                group.create_task(self.tell())
                for slot in range(len(self._paths)):
                    group.create_task(self.calls(slot))
        finally:
            await self.page.stop()


async def run_live(stage: Stage, paths: Sequence[Path], port: int) -> int:
    """Runs the demo until SIGINT or SIGTERM. Raises DemoError if the port is taken."""
    listener = listen(port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    print("starting the stand-ins and a relay ...", flush=True)
    async with stage:
        live = asyncio.create_task(Live(stage, paths).run(listener))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({live, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if live.done():
            await live
        print("\nending: calls, relay, stand-ins ...", flush=True)
        live.cancel()
        await asyncio.gather(live, return_exceptions=True)
    print("ended cleanly", flush=True)
    return 0
