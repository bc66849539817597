"""What tells one kind of session from the other while it is dialled, set up and replaced."""

from __future__ import annotations

from typing import Protocol

from voiceassist_crds.config import AgentSession

from .core.audio_time import AudioClock
from .core.conversation import ConversationSession
from .core.eager_budget import EagerBudget
from .core.history import History
from .core.limits import ResponseLimiter, SessionLimits
from .core.liveness import Liveness
from .core.session_base import SessionCore, SessionState
from .core.session_settings import SessionSettings
from .core.transcription import KEY_PREFIX, TranscriptionSession
from .providers import Endpoint, Headers, provider_of, same_endpoint


class SessionProfile(Protocol):
    """One kind of session."""

    @property
    def name(self) -> str:
        """For logs."""

    @property
    def gives_up(self) -> bool:
        """Whether a refusal that is final ends the call's assist; else it is tried again, slowly."""

    def endpoint(self, settings: SessionSettings, key: str, headers: Headers) -> Endpoint:
        """Where to dial; `key` is the model's, `headers` those whose values are secrets."""

    def update(self, settings: SessionSettings, event_id: str) -> bytes:
        """The first `session.update`."""

    def refused(self, settings: SessionSettings, what: str) -> None:
        """The server does not take `turn_detection`, or the `type` of session: from now on `update` asks for none, or for another."""

    def same_endpoint(self, a: SessionSettings, b: SessionSettings) -> bool:
        """Whether a session of `a` can be updated to `b`; otherwise another one must be dialled."""

    def core(self, number: int, settings: SessionSettings, clock: AudioClock, live: Liveness, *, paused: bool) -> SessionCore:
        """The core of a new session, the call's `number`th of this kind."""


class ConversationProfile:
    """The conversation session: the customer's audio in, suggestions out. History, limiter and budget are the call's."""

    name = "conversation"
    gives_up = True

    def __init__(self, history: History, limiter: ResponseLimiter, limits: SessionLimits) -> None:
        self._history = history
        self._budget = EagerBudget()
        self._limiter = limiter
        self._limits = limits

    def endpoint(self, settings: SessionSettings, key: str, headers: Headers) -> Endpoint:
        """The model's own address."""
        return provider_of(settings.model).conversation_endpoint(settings.model, key, headers)

    def update(self, settings: SessionSettings, event_id: str) -> bytes:
        """Instructions, tool, turn detection and all."""
        return settings.conversation_update(event_id)

    def refused(self, settings: SessionSettings, what: str) -> None:
        """Cannot be done without."""

    def same_endpoint(self, a: SessionSettings, b: SessionSettings) -> bool:
        """Whether address, model and header are the same."""
        return same_endpoint(a.model, b.model)

    def core(self, number: int, settings: SessionSettings, clock: AudioClock, live: Liveness, *, paused: bool) -> SessionCore:
        """A conversation that goes on with the call's history."""
        self._limiter.per_minute = settings.model.max_responses_per_minute
        state = SessionState(number, settings, clock, live, self._limits)
        return ConversationSession(state, self._history, self._limiter, self._budget, paused=paused)


class TranscriptionProfile:
    """The agent's transcription session: words only."""

    name = "agent"
    gives_up = False

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._refused: str | None = None
        """The model that refused turn detection."""
        self._only_realtime = False
        """Whether the server takes no transcription sessions."""

    def endpoint(self, settings: SessionSettings, key: str, headers: Headers) -> Endpoint:
        """The address for transcription."""
        return provider_of(settings.model).transcription_endpoint(settings.model, key, headers, realtime=self._realtime(settings))

    def update(self, settings: SessionSettings, event_id: str) -> bytes:
        """Transcription, with turn detection where the model takes it."""
        return settings.transcription_update(event_id, detection=self._detection(settings), realtime=self._realtime(settings))

    def refused(self, settings: SessionSettings, what: str) -> None:
        """We commit, then; or take a session that could answer, and never ask it to."""
        if what == "type":
            self._only_realtime = True
            return
        transcription = settings.model.transcription
        self._refused = transcription.agent_model if transcription is not None else None

    def same_endpoint(self, a: SessionSettings, b: SessionSettings) -> bool:
        """Whether the address is the same, and who makes items of the audio."""
        here, there = self.endpoint(a, "k", ()), self.endpoint(b, "k", ())
        same_format = provider_of(a.model).audio_format(a.model) is provider_of(b.model).audio_format(b.model)
        return here == there and same_format and self._detection(a) == self._detection(b)

    def core(self, number: int, settings: SessionSettings, clock: AudioClock, live: Liveness, *, paused: bool) -> SessionCore:
        """A transcription."""
        state = SessionState(number, settings, clock, live, self._limits, prefix=KEY_PREFIX)
        return TranscriptionSession(state, detection=self._detection(settings), paused=paused, realtime=self._realtime(settings))

    def _realtime(self, settings: SessionSettings) -> bool:
        return self._only_realtime or provider_of(settings.model).agent_session(settings.model) is AgentSession.REALTIME

    def _detection(self, settings: SessionSettings) -> bool:
        model = settings.model
        if model.transcription is None or model.transcription.agent_model == self._refused:
            return False
        return provider_of(model).capabilities(model).turn_detection_of_agent
