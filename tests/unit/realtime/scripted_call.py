"""A call in virtual time: the relay's conversation session against the stand-in's, both without a socket, frame by frame.

Every event takes its time on the wire; the model takes its time to the first token. A call of an hour takes seconds.
"""

from __future__ import annotations

import base64
import heapq
import itertools
import json
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unit.realtime.wire import Desk, plan_of, told
from voiceassist_crds.messages import WithdrawnReason
from voiceassist_relay.interfaces import FinishedSuggestion
from voiceassist_relay.realtime.core import outputs as act
from voiceassist_relay.realtime.core.audio_format import encoder
from voiceassist_relay.realtime.core.audio_time import FRAME_SECONDS
from voiceassist_relay.realtime.core.client_events import APPEND_HEAD, append
from voiceassist_relay.realtime.core.server_events import USED, decode
from voiceassist_relay.realtime.core.session_settings import SessionSettings
from voiceassist_relay.realtime.core.turns import HandOverState
from voiceassist_relay.realtime.providers import provider_of
from voiceassist_sim.audio import mulaw_encode
from voiceassist_sim.openai import Behaviour, effects
from voiceassist_sim.openai.catalog import MODELS
from voiceassist_sim.openai.faults import Faults
from voiceassist_sim.openai.recogniser import Recogniser
from voiceassist_sim.openai.session import Dependencies, RealtimeSession
from voiceassist_sim.openai.session_config import Ground

__all__ = ["ScriptedCall", "Seen", "pause", "told", "voice"]
WIRE = 0.005
"""Seconds that an event takes each way, if nothing else is said."""
SILENCE = b"\xff" * 160


def voice(seconds: float, rng: random.Random, *, falling: bool = False, level: float = 3000) -> list[bytes]:
    """Frames of a voice of its own: no two are alike. `falling`: it dies away over the last 100 ms. `level`: of 32,768."""
    noise = np.random.default_rng(rng.randrange(2**32))
    count = round(seconds / FRAME_SECONDS)
    frames = []
    for index in range(count):
        left = count - index
        loud = level * noise.uniform(0.7, 1.3) * (0.12 + 0.13 * left if falling and left <= 5 else 1.0)
        frames.append(mulaw_encode((noise.standard_normal(160) * loud).clip(-30000, 30000).astype(np.int16)))
    return frames


def pause(seconds: float) -> list[bytes]:
    """Frames of silence."""
    return [SILENCE] * round(seconds / FRAME_SECONDS)


@dataclass
class Seen:
    """What came of a call; times are seconds of the call."""

    drafts: list[tuple[float, str, str, bool]] = field(default_factory=list)
    """(when, item, answer, early)"""
    withdrawn: list[tuple[float, str, WithdrawnReason]] = field(default_factory=list)
    finished: list[tuple[float, FinishedSuggestion]] = field(default_factory=list)
    handled: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    """Outcomes of responses ahead of their turn's end."""
    wasted_tokens: int = 0
    faults: list[str] = field(default_factory=list)
    voice: list[float] = field(default_factory=list)
    """When each frame with a voice had come."""
    out_of_band: list[bool] = field(default_factory=list)
    """For each response that was asked for, whether it was out of band."""
    tokens: int = 0

    @property
    def responses(self) -> int:
        return len(self.out_of_band)

    @property
    def answers(self) -> list[tuple[str, str]]:
        return [(one.question, one.answer) for _, one in self.finished]

    def count(self, outcome: str) -> int:
        """Responses ahead of their turn's end with this outcome."""
        return self.early.count(outcome)

    def last_voice(self) -> float:
        """When the latest frame with a voice had come."""
        return self.voice[-1]


class ScriptedCall:
    """One call. `model` is the configuration's, `behaviour` the stand-in's; `changed` may change an event of the server, or drop it."""

    def __init__(
        self,
        *,
        model: dict[str, Any] | None = None,
        behaviour: dict[str, Any] | None = None,
        changed: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda event: event,
        faults: Sequence[dict[str, Any]] = (),
        settings: SessionSettings | None = None,
        wire: float = WIRE,
    ) -> None:
        self.seen = Seen()
        self._wire = wire
        self.sent: list[str] = []
        """Types of what the relay sent, but for audio."""
        self.last_request = ""
        self.now = 0.0
        self._changed = changed
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._settings = settings or plan_of(**(model or {}))
        self.desk = Desk(self._settings)
        stand_in = Behaviour.of({"firstTokenMs": 300, "seed": 5} | (behaviour or {}))
        known = MODELS["gpt-realtime-2.1-mini"]
        ground = Ground(known, known.name, False, stand_in)
        given = Faults()
        given.replace(list(faults))
        dependencies = Dependencies(stand_in, given, Recogniser([]))
        self.server = RealtimeSession(dependencies, ground, key="sk-test", rng=random.Random(5), now_ms=0.0)
        self._encode = encoder(provider_of(self._settings.model).audio_format(self._settings.model))
        self._frames: list[bytes] = []
        self._arrivals: list[float] = []
        self._next_look: float | None = None
        self.server.open()
        self._serve()
        self._send(self._settings.conversation_update("first"))
        self._run_until(2.0)
        self._done(self.desk.session.begin(HandOverState(), self.now))

    def hear(self, frames: Sequence[bytes]) -> None:
        """The customer speaks, or does not."""
        for frame in frames:
            self._run_until(self.now + FRAME_SECONDS)
            payload = base64.b64encode(frame)
            self._frames.append(payload)
            self._arrivals.append(self.now)
            self.desk.clock.slots.append(self.now)
            if frame is not SILENCE:
                self.seen.voice.append(self.now)
            self._send(append(payload if self._encode is None else self._encode(payload)))

    def spoil(self, payload: bytes) -> None:
        """A frame that was kept and that no server got: it cannot be read."""
        self._frames.append(payload)
        self._arrivals.append(self.now)

    def server_items(self) -> list[str]:
        """The conversation as the server has it: types, and roles of messages."""
        return [" ".join(filter(None, (item.type, item.role))) for item in self.server.conversation]

    def _at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), do))

    def _run_until(self, end: float) -> None:
        while True:
            session = self.desk.session
            looks = [(at, kind) for at, kind in ((session.listens_at, "listen"), (session.deadline, "tick")) if at is not None]
            look = min(looks, default=None)
            queued = self._queue[0][0] if self._queue else None
            if look is not None and look[0] <= end and (queued is None or look[0] < queued):
                self.now = max(self.now, look[0])
                if look[1] == "listen":
                    start = bisect_left(self._arrivals, session.listens_from)
                    self._done(session.listen(self._frames[start:], self._arrivals[start:], self.now))
                else:
                    self._done(session.tick(self.now))
            elif queued is not None and queued <= end:
                when, _, do = heapq.heappop(self._queue)
                self.now = max(self.now, when)
                do()
            else:
                self.now = end
                return

    def _send(self, data: bytes) -> None:
        text = data.decode()
        if not data.startswith(APPEND_HEAD):
            event = json.loads(text)
            self.sent.append(event["type"])
            if event["type"] == "response.create":
                self.last_request = event["event_id"]
                self.seen.out_of_band.append(event["response"].get("conversation") == "none")

        def arrive() -> None:
            self.server.text(text, self.now * 1000)
            self._serve()

        self._at(self.now + self._wire, arrive)

    def _serve(self) -> None:
        for effect in self.server.take():
            match effect:
                case effects.Send(event):
                    given = self._changed(json.loads(json.dumps(event)))
                    if given is not None:
                        self._at(self.now + self._wire, lambda event=given: self._receive(event))  # type: ignore[misc]
                case effects.Play(run, wait):
                    self._at(self.now + wait / 1000, lambda run=run: self._step(run))  # type: ignore[misc]
                case effects.SendLater(events):
                    at = self.now
                    for wait, event in events:
                        at += wait / 1000
                        self._at(at, lambda event=event: self._late(event))  # type: ignore[misc]
                case _:
                    raise AssertionError(effect)

    def _late(self, event: dict[str, Any]) -> None:
        self.server.late(event)
        self._serve()

    def _step(self, run: Any) -> None:
        wait = self.server.step(run, self.now * 1000)
        self._serve()
        if wait is not None:
            self._at(self.now + wait / 1000, lambda: self._step(run))

    def _receive(self, event: dict[str, Any]) -> None:
        if event["type"] in USED and event["type"] not in {"session.created", "session.updated"}:
            self._done(self.desk.session.received(decode(json.dumps(event).encode()), self.now))

    def _done(self, outputs: act.Outputs) -> None:
        seen = self.seen
        for command in outputs.commands:
            match command:
                case act.Send(data):
                    self._send(data)
                case act.FillSilence():
                    pass
                case other:
                    raise AssertionError(other)
        for event in outputs.events:
            match event:
                case act.DraftShown(item, answer, _, early):
                    seen.drafts.append((self.now, item, answer, early))
                case act.DraftWithdrawn(item, _, reason):
                    seen.withdrawn.append((self.now, item, reason))
                case FinishedSuggestion():
                    seen.finished.append((self.now, event))
                case act.TurnHandled(outcome, _, _):
                    seen.handled.append(outcome)
                case act.EarlyOver(outcome):
                    seen.early.append(outcome)
                case act.EarlyTokens(count):
                    seen.wasted_tokens += count
                case act.ModelFault(label):
                    seen.faults.append(label)
                case act.TokensUsed():
                    seen.tokens += event.count
                case _:
                    pass
