"""The agent's track at the model, over one connection: words out, nothing else (pure).

The server's turn detection makes items of the audio; for a model that refuses it, our own voice activity does, and we commit.
"""

from __future__ import annotations

from voiceassist_crds.messages import Track

from . import client_events
from .audio_time import payload_ms
from .outputs import AgentSpoke, FillSilence, ModelFault, Outputs
from .server_events import ErrorInfo, ServerEvent
from .session_base import SessionCore, SessionState
from .session_settings import SessionSettings
from .transcripts import Transcripts
from .turns import HandOverState, Turn
from .voice_activity import VoiceActivity, VoiceEvent, loudness

KEY_PREFIX = "agent-"
"""Begins the keys of this track's items: the customer's session may count its own the same way."""

_MOST_ITEMS = 16
_WORDS_LATE = 20.0  # seconds after which the words of an item are no longer awaited
_QUIET_MS = 10_000.0  # uncommitted quiet audio that is thrown away at the server


class TranscriptionSession(SessionCore):
    """The agent's audio in, words out. `detection`: the server's turn detection makes the items."""

    def __init__(self, state: SessionState, *, detection: bool, paused: bool, realtime: bool = False) -> None:
        super().__init__(state, paused=paused)
        self.detection = detection
        self._realtime = realtime
        self._voice = None if detection else VoiceActivity()
        self._open: dict[str, Turn] = {}
        """Items that were begun and whose words are not known, oldest first."""
        self._commits: list[float] = []
        """When the speech began that we committed and that is no item yet, oldest first."""
        self._transcripts = Transcripts(Track.AGENT, state.limits.words_characters, _MOST_ITEMS)
        self._uncommitted_ms = 0.0

    # what the supervisor looks at

    @property
    def wants_frames(self) -> bool:
        """Whether our own voice activity listens."""
        return self._voice is not None

    @property
    def speech_open(self) -> bool:
        """Whether the server heard speech begin and did not make an item of it yet."""
        return not self._paused and any(turn.timeline.committed is None for turn in self._open.values())

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest, in seconds of its clock."""
        return self._voice.closes_at if self._voice is not None else None

    @property
    def at_turns_end(self) -> bool:
        """Whether no item is open."""
        return not self._open and not self._commits and (self._voice is None or not self._voice.open)

    def idle(self, now: float) -> bool:
        """Whether all words are in."""
        self._forget_late(now)
        return self.at_turns_end

    def hold_from(self, now: float) -> float | None:
        """Arrival, in seconds of the caller's clock, of the first audio whose words are missing."""
        self._forget_late(now)
        return self._first_missing()

    # life

    def frame(self, payload: bytes, arrived: float) -> Outputs:
        """A frame was written, for our own voice activity."""
        voice = self._voice
        if voice is None:
            return self._state.take()
        self._uncommitted_ms += payload_ms(payload)
        level = loudness(payload)
        began = voice.started
        event = voice.frame(level, arrived)
        if event is VoiceEvent.CLOSED:
            self._commit(began)
        elif not voice.open and self._uncommitted_ms >= _QUIET_MS and level < voice.settings.threshold:
            self._state.send(client_events.buffer_clear(self._state.name("b")))
            self._uncommitted_ms = 0.0
        return self._state.take()

    def _take_up(self, handover: HandOverState, now: float) -> None:
        """Nothing but audio is handed over."""

    def _tick(self, now: float) -> None:
        """Speech may end without another frame."""
        if self._voice is not None:
            began = self._voice.started
            if self._voice.tick(now) is VoiceEvent.CLOSED:
                self._commit(began)

    def _drop_speech(self) -> None:
        """Words of what was committed may still come."""
        for item in [item for item, turn in self._open.items() if turn.timeline.committed is None]:
            del self._open[item]
            self._state.event(*self._transcripts.failed(self._state.key(item)))
        if self._voice is not None:
            self._voice.reset()
        self._uncommitted_ms = 0.0

    def _drop_answers(self, now: float) -> None:
        """Nothing is answered here."""

    def _resume(self, now: float) -> None:
        """Nothing was held."""

    def _finish(self, now: float) -> None:  # noqa: ARG002 - as the base has it
        if self._voice is not None and self._voice.open:
            self._commit(self._voice.started)
            self._voice.reset()
        elif self.speech_open:
            self._state.command(FillSilence(((self.settings.model.turn_detection.silence_ms or 500) + 300) / 1000))

    def _hand_over(self) -> HandOverState:
        """Audio whose words are missing is to be heard again by the next session."""
        missing = self._first_missing()
        self._state.event(*self._transcripts.abandoned({turn.key for turn in self._open.values()}))
        self._open.clear()
        self._commits.clear()
        return HandOverState((), missing, None)

    def _drop(self, outcome: str, now: float) -> None:  # noqa: ARG002 - as the base has it
        self._open.clear()
        self._state.event(*self._transcripts.left())

    # events

    def _receive(self, event: ServerEvent, now: float) -> None:
        item, state = event.item_id, self._state
        if item is None:
            return
        if event.type == "input_audio_buffer.speech_started":
            if not self._paused and (event.audio_start_ms is None or event.audio_start_ms >= self._deaf_until_ms):
                self._begins(Turn(item, state.key(item), state.clock.arrival(event.audio_start_ms)))
        elif event.type == "input_audio_buffer.committed":
            self._committed(item, now)
        elif event.type.startswith("conversation.item.input_audio_transcription."):
            self._transcription(item, event, now)

    def _begins(self, turn: Turn) -> None:
        self._open[turn.item] = turn
        if len(self._open) > _MOST_ITEMS:
            del self._open[next(iter(self._open))]

    def _committed(self, item: str, now: float) -> None:
        began = self._commits.pop(0) if self._commits else None
        if item not in self._open:
            self._begins(Turn(item, self._state.key(item), now if began is None else began))
        for other in list(self._open):
            if other == item:
                break
            if self._open[other].timeline.committed is None:
                del self._open[other]  # passed over by the server: nothing will come of it
                self._state.event(*self._transcripts.failed(self._state.key(other)))
        self._open[item].timeline.committed = now

    def _transcription(self, item: str, event: ServerEvent, now: float) -> None:
        state, key = self._state, self._state.key(item)
        longest = state.limits.words_characters
        if event.type.endswith(".delta") and event.delta:
            state.event(*self._transcripts.piece(key, event.delta))
        elif event.type.endswith(".completed"):
            turn = self._open.pop(item, None)
            text = (event.transcript or "")[:longest].strip()
            state.event(*self._transcripts.whole(key, text))
            if text:
                state.event(AgentSpoke(key, now if turn is None or turn.started is None else turn.started, text))
            transcription = self.settings.model.transcription
            if transcription is not None:
                state.count_writing(event.usage, self.transcribed_by or transcription.agent_model)
        elif event.type.endswith(".failed"):
            self._open.pop(item, None)
            state.event(*self._transcripts.failed(key), ModelFault("transcription_failed"))

    def _nothing_to_commit(self) -> None:
        self._commits.clear()

    # settings

    def _settings_event(self, settings: SessionSettings, event_id: str) -> bytes | None:
        if settings.model == self.settings.model:
            return None
        return settings.transcription_update(event_id, detection=self.detection, realtime=self._realtime, before=self.settings.model)

    def _update_changed(self, now: float) -> None:
        """Nothing waits for it."""

    def _limited(self, error: ErrorInfo, now: float) -> None:
        """We make no requests."""

    # inside

    def _commit(self, began: float) -> None:
        self._commits.append(began)
        del self._commits[:-_MOST_ITEMS]
        self._uncommitted_ms = 0.0
        self._state.send(client_events.buffer_commit(self._state.name("b")))

    def _first_missing(self) -> float | None:
        starts = [turn.started for turn in self._open.values() if turn.started is not None]
        starts.extend(self._commits)
        if self._voice is not None and self._voice.open:
            starts.append(self._voice.started)
        return min(starts, default=None)

    def _forget_late(self, now: float) -> None:
        for item, turn in list(self._open.items()):
            if turn.timeline.committed is not None and now - turn.timeline.committed > _WORDS_LATE:
                del self._open[item]
