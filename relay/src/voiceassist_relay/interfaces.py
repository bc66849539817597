"""What the relay's parts know of each other: the small interfaces between media, model, suggestions and the bridge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from voiceassist_crds.messages import AssistState, StatusReason, Track, WithdrawnReason
from voiceassist_crds.names import CallSid, StreamSid
from voiceassist_crds.reasons import Refusal


@dataclass(frozen=True, slots=True)
class StreamClaims:
    """What a stream's signed token says: which call of which account, which generation, until when (epoch seconds)."""

    call: CallSid
    account: str
    generation: int
    exp: int
    paused: bool = False
    moved: bool = False
    """Whether another relay has the call, or had it, and hands it over."""


@dataclass(frozen=True, slots=True)
class StreamStart:
    """A verified `start`: account, call and token fit each other and the path."""

    call_sid: CallSid
    stream_sid: StreamSid
    tracks: tuple[str, ...]
    claims: StreamClaims


class MediaConnection(Protocol):
    """A call's websocket, as the bridge sees it."""

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake; idempotent."""

    def position(self, inbound: bool) -> int:
        """Where a track's audio so far ends on the stream's clock, in ms; -1: not known. While a sink takes a frame: the frame's end."""

    @property
    def heard_at(self) -> float:
        """Loop time in seconds of the latest bytes."""


class CallSink(Protocol):
    """Where a media connection puts what it reads. Every method returns at once."""

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        """One media message: base64 mu-law as it came (no quotes), and loop time in seconds when it arrived."""

    def ended(self, reason: str) -> None:
        """The stream is over: `stop`, or what else happened. Called exactly once."""


class Calls(Protocol):
    """Where media connections hand over their calls: the registry."""

    @property
    def full(self) -> bool:
        """Whether another call would be one too many."""

    @property
    def refusing(self) -> bool:
        """Whether new upgrades are refused because the process is about to end."""

    def reserve(self) -> bool:
        """Takes a place for a call before its upgrade; False when full."""

    def release(self) -> None:
        """Gives a reserved place back that never became a call."""

    def refused(self, call_sid: CallSid, refusal: Refusal) -> None:
        """A stream of this call was not let in, or was sent away."""

    def open(self, start: StreamStart, connection: MediaConnection) -> CallSink:
        """Begins the call on a reserved place. An older connection of the same call is replaced."""


@dataclass(frozen=True, slots=True)
class TurnTiming:
    """One handled turn, loop time in seconds; None where the moment was not seen.

    `stopped_speaking` is an estimate: arrival of the frame at `audio_end_ms` less the silence that the detection waits for.
    """

    stopped_speaking: float | None
    committed: float
    requested: float | None = None
    created: float | None = None
    first_delta: float | None = None
    finished: float | None = None

    @property
    def latency_ms(self) -> int | None:
        """Milliseconds from the customer's last syllable (estimated) to the finished text; None where either moment was not seen."""
        if self.stopped_speaking is None or self.finished is None:
            return None
        return max(0, round((self.finished - self.stopped_speaking) * 1000))


@dataclass(frozen=True, slots=True)
class EarlierSuggestion:
    """What an earlier stream of the call brought, as Sync keeps it: `id` names it, `question` is what the customer wanted."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class FinishedSuggestion:
    """A finished suggestion: one record from the model's words to the call's Map, where it gets its number."""

    item: str
    question: str
    answer: str
    revision: str
    timing: TurnTiming


class OutputForm(StrEnum):
    """How what the model wrote for a turn could be read."""

    CLEAN = "clean"
    REPAIRED = "repaired"
    UNREADABLE = "unreadable"
    """Or there was nothing of it: the turn has no answer."""


class ModelListener(Protocol):
    """What the model's side tells the bridge. Every method returns at once; none raises."""

    def draft(self, item: str, answer: str, revision: str, *, early: bool = False) -> None:
        """The answer so far, whole; `early`: the customer may not have finished."""

    def finished(self, suggestion: FinishedSuggestion) -> None:
        """A suggestion to publish, once."""

    def withdrawn(self, item: str, revision: str, reason: WithdrawnReason) -> None:
        """A draft of this item will not be finished."""

    def turn(self, outcome: str, revision: str, timing: TurnTiming) -> None:
        """A customer's turn is handled: suggested, not_relevant, merged, incomplete, failed, paused, dropped, blocked."""

    def output(self, revision: str, form: OutputForm) -> None:
        """What the model wrote for a turn was read; told before the turn's outcome."""

    def tokens(self, revision: str, count: int) -> None:
        """A response to a turn ended, which took so many tokens, input and output."""

    def transcript(self, track: Track, item: str, text: str, final: bool) -> None:
        """Spoken words of one item, whole so far."""

    def audio_heard(self) -> None:
        """The model's server counts the audio that it is sent as what it is."""

    def agent_track(self, lost: str | None) -> None:
        """The agent's words are not heard, and why; None: they are."""

    def state(self, state: AssistState, reason: StatusReason, message: str) -> None:
        """What the agent should know: live, reconnecting, or failed (which is final for the call)."""
