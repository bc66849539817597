"""What tells one kind of session from the other while it is dialled, set up and replaced."""

from __future__ import annotations

from typing import Protocol

from .core.audio_time import AudioClock
from .core.conversation import ConversationSession
from .core.history import History
from .core.limits import ResponseLimiter, SessionLimits
from .core.liveness import Liveness
from .core.session_base import SessionCore, SessionState
from .core.session_settings import SessionSettings
from .core.transcription import KEY_PREFIX, TranscriptionSession
from .providers import Endpoint, provider_of, same_endpoint


class SessionProfile(Protocol):
    """One kind of session."""

    @property
    def name(self) -> str:
        """For logs."""

    def endpoint(self, settings: SessionSettings, key: str) -> Endpoint:
        """Where to dial; `key` is the model's."""

    def update(self, settings: SessionSettings, event_id: str) -> bytes:
        """The first `session.update`."""

    def refuse_turn_detection(self, settings: SessionSettings) -> None:
        """The model refused turn detection: from now on `update` asks for none."""

    def same_endpoint(self, a: SessionSettings, b: SessionSettings) -> bool:
        """Whether a session of `a` can be updated to `b`; otherwise another one must be dialled."""

    def core(self, number: int, settings: SessionSettings, clock: AudioClock, live: Liveness, *, paused: bool) -> SessionCore:
        """The core of a new session, the call's `number`th of this kind."""


class ConversationProfile:
    """The conversation session: the customer's audio in, suggestions out. History and limiter are the call's."""

    name = "conversation"

    def __init__(self, history: History, limiter: ResponseLimiter, limits: SessionLimits) -> None:
        self._history = history
        self._limiter = limiter
        self._limits = limits

    def endpoint(self, settings: SessionSettings, key: str) -> Endpoint:
        """The model's own address."""
        return provider_of(settings.model).conversation_endpoint(settings.model, key)

    def update(self, settings: SessionSettings, event_id: str) -> bytes:
        """Instructions, tool, turn detection and all."""
        return settings.conversation_update(event_id)

    def refuse_turn_detection(self, settings: SessionSettings) -> None:
        """Cannot be done without."""

    def same_endpoint(self, a: SessionSettings, b: SessionSettings) -> bool:
        """Whether address, model and header are the same."""
        return same_endpoint(a.model, b.model)

    def core(self, number: int, settings: SessionSettings, clock: AudioClock, live: Liveness, *, paused: bool) -> SessionCore:
        """A conversation that goes on with the call's history."""
        self._limiter.per_minute = settings.model.max_responses_per_minute
        state = SessionState(number, settings, clock, live, self._limits)
        return ConversationSession(state, self._history, self._limiter, paused=paused)


class TranscriptionProfile:
    """The agent's transcription session: words only."""

    name = "agent"

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._refused: str | None = None
        """The model that refused turn detection."""

    def endpoint(self, settings: SessionSettings, key: str) -> Endpoint:
        """The address for transcription."""
        return provider_of(settings.model).transcription_endpoint(settings.model, key)

    def update(self, settings: SessionSettings, event_id: str) -> bytes:
        """Transcription, with turn detection where the model takes it."""
        return settings.transcription_update(event_id, detection=self._detection(settings))

    def refuse_turn_detection(self, settings: SessionSettings) -> None:
        """We commit, then."""
        transcription = settings.model.transcription
        self._refused = transcription.agent_model if transcription is not None else None

    def same_endpoint(self, a: SessionSettings, b: SessionSettings) -> bool:
        """Whether the address is the same, and who makes items of the audio."""
        here, there = provider_of(a.model).address(a.model), provider_of(b.model).address(b.model)
        return here == there and self._detection(a) == self._detection(b)

    def core(self, number: int, settings: SessionSettings, clock: AudioClock, live: Liveness, *, paused: bool) -> SessionCore:
        """A transcription."""
        state = SessionState(number, settings, clock, live, self._limits, prefix=KEY_PREFIX)
        return TranscriptionSession(state, detection=self._detection(settings), paused=paused)

    def _detection(self, settings: SessionSettings) -> bool:
        model = settings.model
        if model.transcription is None or model.transcription.agent_model == self._refused:
            return False
        return provider_of(model).capabilities(model).turn_detection_of_agent
