"""Transcribe: the agent's track at the model, over one socket: words out, nothing else. Pure state machine.

The server's turn detection makes items of the audio; for a model that refuses it the energy gate does, and we commit.
"""

from __future__ import annotations

from voiceassist_crds.messages import Track

from . import client_events
from .audio_time import AudioClock, payload_ms
from .failures import HARMLESS_CODES, from_code, label
from .limits import SessionLimits
from .liveness import Liveness
from .outputs import Action, AgentSpoke, FillSilence, GiveUp, ModelFault, Replace, Send, TokensUsed, Words
from .server_events import ErrorInfo, ServerEvent, whole_characters
from .session_settings import Plan
from .turns import HandOverState, Turn
from .voice_activity import VoiceActivity, VoiceEvent, loudness

_UPDATED = "session.updated"
_MOST_ITEMS = 16
_WORDS_LATE = 20.0  # seconds after which the words of an item are no longer awaited
_QUIET_MS = 10_000.0  # uncommitted quiet audio that is thrown away at the server


class TranscriptionSession:
    """One session of the agent's track. Times are loop seconds; methods return the actions to be done, in order."""

    track = Track.AGENT

    def __init__(self, number: int, plan: Plan, clock: AudioClock, live: Liveness, limits: SessionLimits, *, detection: bool, paused: bool):
        self.plan = plan
        self.detection = detection
        self.gate = None if detection else VoiceActivity()
        self._number = number
        self._clock = clock
        self._live = live
        self._limits = limits
        self._paused = paused
        self._begun = False
        self._names = 0
        self._open: dict[str, Turn] = {}
        """Items that were begun and whose words are not known, oldest first."""
        self._gated: list[float] = []
        self._partial: dict[str, str] = {}
        self._uncommitted_ms = 0.0
        self._updating: tuple[str, Plan] | None = None
        self._actions: list[Action] = []
        self._server_errors = 0
        self._deaf_until_ms = 0.0

    # what the shell looks at

    @property
    def speech_open(self) -> bool:
        """Whether the server heard speech begin and did not make an item of it yet."""
        return not self._paused and any(turn.timeline.committed is None for turn in self._open.values())

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest."""
        return self.gate.closes_at if self.gate is not None else None

    def idle(self, now: float) -> bool:
        """Whether all words are in."""
        self._forget_late(now)
        return not self._open and not self._gated and (self.gate is None or not self.gate.open)

    @property
    def at_turns_end(self) -> bool:
        """Whether the switch to another session would fall between items."""
        return not self._open and not self._gated and (self.gate is None or not self.gate.open)

    def hold_from(self, now: float) -> float | None:
        """Arrival of the first audio whose words are still missing; None while nothing is open."""
        self._forget_late(now)
        starts = [turn.started for turn in self._open.values() if turn.started is not None]
        starts.extend(self._gated)
        if self.gate is not None and self.gate.open:
            starts.append(self.gate.started)
        return min(starts, default=None)

    # life

    def begin(self, handover: HandOverState, now: float) -> list[Action]:  # noqa: ARG002 - nothing but audio is carried over
        """The socket is this call's from now on."""
        self._begun = True
        return self._take()

    def frame(self, payload: bytes, arrived: float) -> list[Action]:
        """A frame was written, for the gate. Only without turn detection."""
        gate = self.gate
        if gate is None:
            return []
        self._uncommitted_ms += payload_ms(payload)
        level = loudness(payload)
        began = gate.started
        event = gate.frame(level, arrived)
        if event is VoiceEvent.CLOSED:
            self._commit(began)
        elif not gate.open and self._uncommitted_ms >= _QUIET_MS and level < gate.settings.threshold:
            self._send(client_events.buffer_clear(self._name("b")))
            self._uncommitted_ms = 0.0
        return self._take()

    def tick(self, now: float) -> list[Action]:
        """Time passed: speech may end without another frame."""
        if self.gate is not None:
            began = self.gate.started
            if self.gate.tick(now) is VoiceEvent.CLOSED:
                self._commit(began)
        return self._take()

    def received(self, event: ServerEvent, now: float) -> list[Action]:
        """One server event."""
        item = event.item_id
        if event.type == "error" and event.error is not None:
            self._error(event.error)
        elif event.type == _UPDATED and self._updating is not None:
            self.plan, self._updating = self._updating[1], None
            self._live.received(_UPDATED)
        elif item is None:
            pass
        elif event.type == "input_audio_buffer.speech_started":
            if not self._paused and (event.audio_start_ms is None or event.audio_start_ms >= self._deaf_until_ms):
                self._begins(Turn(item, self._key(item), self._clock.arrival(event.audio_start_ms)))
        elif event.type == "input_audio_buffer.committed":
            self._committed(item, now)
        elif event.type.startswith("conversation.item.input_audio_transcription."):
            self._transcription(item, event, now)
        return self._take()

    def update(self, plan: Plan, now: float) -> list[Action]:
        """Other settings, at once: no response can be under way."""
        if plan.model == self.plan.model:
            self.plan = plan
        elif self._updating is None:
            name = self._name("u")
            self._updating = (name, plan)
            self._live.expect(_UPDATED, now, self._limits.update)
            self._send(plan.transcription_update(name, detection=self.detection))
        return self._take()

    def pause(self, now: float) -> list[Action]:  # noqa: ARG002 - the same for both kinds of session
        """What is open is dropped, there and here; words of what was committed may still come."""
        self._paused = True
        self._deaf_until_ms = self._clock.ms
        if self._begun:
            self._send(client_events.buffer_clear(self._name("b")))
        for item in [item for item, turn in self._open.items() if turn.timeline.committed is None]:
            del self._open[item]
        if self.gate is not None:
            self.gate.reset()
        self._uncommitted_ms = 0.0
        return self._take()

    def resume(self, now: float) -> list[Action]:  # noqa: ARG002 - the same for both kinds of session
        """Audio will flow again."""
        self._paused = False
        return self._take()

    def finish(self, now: float) -> list[Action]:  # noqa: ARG002 - the same for both kinds of session
        """The call's audio is over: what is open is made an item."""
        if self.gate is not None and self.gate.open:
            self._commit(self.gate.started)
            self.gate.reset()
        elif self.speech_open:
            self._actions.append(FillSilence(((self.plan.model.turn_detection.silence_ms or 500) + 300) / 1000))
        return self._take()

    def abandon(self) -> tuple[list[Action], HandOverState]:
        """The session is gone: audio whose words are missing is to be heard again by the next one."""
        starts = [turn.started for turn in self._open.values() if turn.started is not None]
        starts.extend(self._gated)
        if self.gate is not None and self.gate.open:
            starts.append(self.gate.started)
        self._open.clear()
        self._gated.clear()
        return self._take(), HandOverState((), min(starts, default=None), None)

    def drop(self, outcome: str, now: float) -> list[Action]:  # noqa: ARG002 - the same for both kinds of session
        """The call is over."""
        self._open.clear()
        return self._take()

    # events

    def _begins(self, turn: Turn) -> None:
        self._open[turn.item] = turn
        if len(self._open) > _MOST_ITEMS:
            del self._open[next(iter(self._open))]

    def _committed(self, item: str, now: float) -> None:
        began = self._gated.pop(0) if self._gated else None
        if item not in self._open:
            self._begins(Turn(item, self._key(item), now if began is None else began))
        for other in list(self._open):
            if other == item:
                break
            if self._open[other].timeline.committed is None:
                del self._open[other]  # passed over by the server: nothing will come of it
        self._open[item].timeline.committed = now

    def _transcription(self, item: str, event: ServerEvent, now: float) -> None:
        key = self._key(item)
        if event.type.endswith(".delta") and event.delta:
            text = (self._partial.get(key, "") + event.delta)[: self._limits.words_characters]
            self._partial[key] = text
            if len(self._partial) > _MOST_ITEMS:
                del self._partial[next(iter(self._partial))]
            self._actions.append(Words(Track.AGENT, key, whole_characters(text), final=False))
            return
        if event.type.endswith(".completed"):
            turn = self._open.pop(item, None)
            self._partial.pop(key, None)
            text = (event.transcript or "")[: self._limits.words_characters].strip()
            self._actions.append(Words(Track.AGENT, key, text, final=True))
            if text:
                started = now if turn is None or turn.started is None else turn.started
                self._actions.append(AgentSpoke(key, started, text))
            transcription = self.plan.model.transcription
            if event.usage is not None and transcription is not None:
                for modality, direction, cached, count in event.usage.counts():
                    self._actions.append(TokensUsed(transcription.agent_model, modality, direction, cached, count))
        elif event.type.endswith(".failed"):
            self._open.pop(item, None)
            self._partial.pop(key, None)
            self._actions.append(ModelFault("transcription_failed"))

    def _error(self, error: ErrorInfo) -> None:
        if error.code in HARMLESS_CODES:
            self._gated.clear()
            return
        self._actions.append(ModelFault(label(error.code, error.type)))
        if self._updating is not None and error.event_id == self._updating[0]:
            self._updating = None
            self._live.received(_UPDATED)
            return
        fatal = from_code(error.code, error.type)
        if fatal is not None:
            self._actions.append(GiveUp(fatal))
        elif error.code == "session_expired":
            self._actions.append(Replace("expiring", now=True))
        elif "server_error" in {error.code, error.type}:
            self._server_errors += 1
            if self._server_errors > 1:
                self._actions.append(Replace("error", now=True))

    def _commit(self, began: float) -> None:
        self._gated.append(began)
        del self._gated[:-_MOST_ITEMS]
        self._uncommitted_ms = 0.0
        self._send(client_events.buffer_commit(self._name("b")))

    def _forget_late(self, now: float) -> None:
        for item, turn in list(self._open.items()):
            if turn.timeline.committed is not None and now - turn.timeline.committed > _WORDS_LATE:
                del self._open[item]

    def _key(self, item: str) -> str:
        return f"agent-{item}" if self._number == 1 else f"agent-{item}-s{self._number}"

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"va_{prefix}{self._names}"

    def _send(self, data: bytes) -> None:
        self._actions.append(Send(data))

    def _take(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions
