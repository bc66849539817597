"""The demo as people see it: calls come and go, the page and the terminal show what the agents read."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from voiceassist_crds import names
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.status import RelayStatus
from voiceassist_sim.audio import CallRecording, load_call

from .board import Board, CallView
from .errors import DemoError
from .feed import Event, follow
from .flex.desk import Desk, Recorded
from .meters import STEP_MS, both
from .objectives import Objectives, rules, sample_slos
from .prometheus import Prometheus, available
from .prompt_rollout import PromptRollout
from .server import PageServer, listen
from .stage import Stage, free_port, write_whole

PAUSE_SECONDS = 4.0
STAGGER_SECONDS = 5.0
TICK_SECONDS = 0.2
LOOK_SECONDS = 2.0
SCRAPE_SECONDS = 1.0
LATE_SECONDS = 60.0
"""How much longer than its recording a call may take before the next one follows."""
TROUBLE_SECONDS = 8.0
"""How long a call that failed stays on the page before the next one follows."""
TROUBLES = (aiohttp.ClientError, OSError, TimeoutError, DemoError, ValueError, LookupError, TypeError)
"""What can go wrong with one call or one look without ending the demo."""
DELTA_MS = 25
"""How fast the model's stand-in writes here, so that a draft can be seen to grow."""


class Live:
    """A running demo: one slot for each recording, in which a call follows the other."""

    def __init__(self, stage: Stage, paths: Sequence[Path]) -> None:
        self._stage = stage
        self._paths = list(paths)
        self._recordings: list[CallRecording] = [load_call(path) for path in self._paths]
        self._meters = [both(recording) for recording in self._recordings]
        self.board = Board()
        self._dirty: set[str] = set()
        played = [Recorded(path, _title(path), one.duration_ms / 1000) for path, one in zip(self._paths, self._recordings, strict=True)]
        self.desk = Desk(stage, played, self.board, len(played), self._dirty.add)
        self.page = PageServer(self.board.to_json, self._prompt, self._set_prompt, self.desk)
        self._rollout = PromptRollout(lambda text: stage.config(prompts=[{"instructions": text}]), self._give)
        self._ended: dict[str, asyncio.Event] = {}
        self._prometheus: Prometheus | None = None
        self._calls: dict[int, str] = {}
        self._told: set[str] = set()

    # the prompt

    def _given(self) -> RelayConfig:
        return RelayConfig.parse(self._stage.relay.config.read_text())

    def _give(self, config: RelayConfig) -> None:
        write_whole(self._stage.relay.config, config.to_json())

    def _prompt(self) -> dict[str, Any]:
        config = self._given()
        prompt = config.prompts[0]
        return {"instructions": prompt.instructions, "revision": prompt.revision, "applyTo": config.rollout.apply_to}

    def _set_prompt(self, text: str, canary: bool) -> str:
        revision = self._rollout.ask(text, time.time(), canary=canary)
        self.board.rollout = self._rollout.to_json()
        return revision

    # events

    def take(self, event: Event) -> None:
        """One event of the Twilio stand-in's feed; one that does not fit is told of and passed over."""
        try:
            self._take(event)
        except TROUBLES as error:
            self._say_once(f"an event of the feed does not fit: {error!r}")

    def _take(self, event: Event) -> None:
        view = self.board.take(event)
        if view is None:
            return
        self._dirty.add(view.call_sid)
        if event["type"] == "call" and event["event"] == "ended" and view.call_sid in self._ended:
            self._ended[view.call_sid].set()
        if event["type"] != "sync" or event["event"] not in {"item_added", "item_updated"}:
            return
        item = event["data"]
        if event.get("key") == names.STATUS_KEY:
            if item["state"] in {"failed", "lost"}:
                print(f"  {view.title}: {item['state']}: {item['message']}", flush=True)
        elif event["event"] == "item_added":
            took = f"{item['latencyMs']} ms" if item.get("latencyMs") is not None else "?"
            print(f"  {view.title}: {item['question']}\n    -> {item['answer']}  ({took}, prompt {item['revision']})", flush=True)

    def _say_once(self, text: str) -> None:
        if text not in self._told and len(self._told) < 100:
            self._told.add(text)
            print(f"  {text}", flush=True)

    # the work

    async def calls(self, slot: int) -> None:
        """Plays the slot's recording again and again; a call that fails is shown, and the next one follows."""
        await asyncio.sleep(slot * STAGGER_SECONDS)
        title = _title(self._paths[slot])
        while True:
            pause = PAUSE_SECONDS
            try:
                await self._call(slot, title)
            except TROUBLES as error:
                pause = TROUBLE_SECONDS
                self._failed(slot, title, str(error) or repr(error))
                await self._hang_up(self._calls.get(slot, ""))
            await asyncio.sleep(pause)

    async def _call(self, slot: int, title: str) -> None:
        call = await self._stage.new_call(self._paths[slot].resolve(), hangUp="recording")
        sid = self._calls[slot] = call["callSid"]
        seconds = self._recordings[slot].duration_ms / 1000
        ended = self._ended[sid] = asyncio.Event()
        self.board.add(CallView(slot, sid, title, time.time(), seconds, recording=slot))
        self._dirty.add(sid)
        try:
            status, answer = await self._stage.act("start", call)
            if status != 200:
                raise DemoError(f"/stream start answered {status}: {_sentence(answer)}")
            async with asyncio.timeout(seconds + LATE_SECONDS):
                await ended.wait()
        except TimeoutError:
            raise DemoError("the call did not end with its recording") from None
        finally:
            del self._ended[sid]

    def _failed(self, slot: int, title: str, text: str) -> None:
        print(f"  {title}: {text}", flush=True)
        view = self.board.calls.get(self._calls.get(slot, ""))
        if view is not None:
            view.state, view.message = "failed", text
            self._dirty.add(view.call_sid)

    async def _hang_up(self, sid: str) -> None:
        with contextlib.suppress(*TROUBLES):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._stage.send("POST", f"{self._stage.twilio_url}/_sim/calls/{sid}/complete")

    async def tell(self) -> None:
        """Tells the browsers what changed, at most five times a second."""
        for turn in itertools.count():
            await asyncio.sleep(TICK_SECONDS)
            dirty, self._dirty = self._dirty, set()
            change: dict[str, Any] = {"calls": [self.board.calls[sid].to_json() for sid in dirty if sid in self.board.calls]}
            change["levels"], change["flex"] = self._levels(), self.board.flex
            if turn % 5 == 0:
                await self._look()
                change["bars"], change["relay"], change["watched"] = list(self.board.bars), self.board.relay, self.board.watched
            change["rollout"] = self.board.rollout
            self.page.tell(change)

    def _levels(self) -> dict[str, dict[str, float]]:
        now, levels = time.time(), {}
        for view in self.board.calls.values():
            if view.playing_at is None or view.ended_at is not None:
                continue
            at = int((now - view.playing_at) * 1000 / STEP_MS)
            meters = self._meters[view.recording]
            levels[view.call_sid] = {track: values[at] if at < len(values) else 0.0 for track, values in meters.items()}
        return levels

    async def _look(self) -> None:
        for line in self._stage.gone():
            self._say_once(f"{line}; end the demo with Ctrl-C and start it again")
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                self.board.measured(await self._stage.metrics())
                self.board.relay = await self._stage.get(f"{self._stage.relay.private}/status")
            self._rollout.look(RelayStatus.model_validate(self.board.relay, extra="ignore"), time.time())
            self._tell_rollout()
        except TROUBLES:
            self.board.relay = {}

    def _tell_rollout(self) -> None:
        before, self.board.rollout = self.board.rollout, self._rollout.to_json()
        if (told := self.board.rollout["told"]) and told != before.get("told"):
            print(f"  {told}", flush=True)

    def watch(self, prometheus: Prometheus) -> None:
        """Has the relay scraped, and the objectives drawn from what Prometheus says."""
        self._prometheus = prometheus
        prometheus.scrape({"relay": [self._stage.relay.private.removeprefix("http://")]})

    def _watched(self, found: dict[str, Any]) -> None:
        self.board.watched = found

    async def run(self, listener: socket.socket) -> None:
        """Runs until cancelled. Raises DemoError if Twilio's stand-in, which everything here hangs on, goes away."""
        ready = asyncio.Event()
        self._rollout.begin(self._given())
        self.board.rollout = self._rollout.to_json()
        at = await self.page.start(listener)
        stage = self._stage
        print(f"\nVoiceAssist demo: http://127.0.0.1:{at}")
        print(f"  relay       {stage.relay.public}   metrics {stage.relay.private}/metrics   status {stage.relay.private}/status")
        print(f"  stand-ins   Twilio {stage.twilio_url}   model {stage.model_url or stage.model.url}")
        watched = self._prometheus.url if self._prometheus else "not on this machine (Debian: apt-get install prometheus)"
        print(f"  Prometheus  {watched}")
        print("  Ctrl-C ends it.\n", flush=True)
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._prometheus is None:
                    self.board.watched = {}
                else:
                    tasks.create_task(Objectives(self._prometheus, sample_slos(), self._watched).run())
                tasks.create_task(self._follow(ready))
                await ready.wait()
                tasks.create_task(self.tell())
                tasks.create_task(self.desk.run(f"http://127.0.0.1:{at}/desk", stage.folder / "chromium"))
                for slot in range(len(self._paths)):
                    tasks.create_task(self.calls(slot))
        except ExceptionGroup as group:
            for error in group.exceptions:
                if isinstance(error, DemoError):
                    raise error from None
            raise
        finally:
            await asyncio.gather(*map(self._hang_up, self._calls.values()))  # the relay then need not drain them
            await self.page.stop()

    async def _follow(self, ready: asyncio.Event) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await follow(self._stage.http, f"{self._stage.twilio_url}/_sim/events", self.take, ready)
        raise DemoError(f"the Twilio stand-in went away: {self._stage.last_words('twilio')}")


def _title(path: Path) -> str:
    """The title that a sample call has in the file beside it, else the recording's name."""
    try:
        return str(json.loads(path.with_suffix(".json").read_text())["title"])
    except TROUBLES:
        return path.name


def _sentence(answer: Any) -> str:
    """What a refusal says, without its JSON."""
    told = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(told, dict):
        return " ".join(str(told[key]) for key in ("message", "hint") if told.get(key)) or json.dumps(told)
    return str(told)


async def run_live(stage: Stage, paths: Sequence[Path], port: int, *, flex: bool = False) -> int:
    """Runs the demo until cancelled; `flex` opens the Flex window at once. Raises DemoError if the port is taken."""
    listener = listen(port)
    print("starting the stand-ins and a relay ...", flush=True)
    try:
        async with stage, contextlib.AsyncExitStack() as stack:
            live = Live(stage, paths)
            if flex:
                live.desk.open()
            if available():
                prometheus = Prometheus(stage.folder / "prometheus", free_port(), rules(sample_slos(), SCRAPE_SECONDS), SCRAPE_SECONDS)
                live.watch(await stack.enter_async_context(prometheus))
            try:
                await live.run(listener)
            finally:
                print("\nending: calls, relay, stand-ins ...", flush=True)
    finally:
        listener.close()
    return 0
