"""Actions: what a session's state machine asks its shell to do. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from voiceassist_crds.messages import Track, WithdrawnReason

from ...interfaces import Finished, TurnTiming
from .failures import Fatal


@dataclass(frozen=True, slots=True)
class Send:
    """Write one client event."""

    data: bytes


@dataclass(frozen=True, slots=True)
class DraftShown:
    """The answer so far."""

    item: str
    answer: str
    revision: str


@dataclass(frozen=True, slots=True)
class Suggested:
    """A finished suggestion."""

    suggestion: Finished


@dataclass(frozen=True, slots=True)
class DraftWithdrawn:
    """A draft will not be finished."""

    item: str
    revision: str
    reason: WithdrawnReason


@dataclass(frozen=True, slots=True)
class TurnHandled:
    """A turn's outcome; each committed turn has exactly one."""

    outcome: str
    revision: str
    timing: TurnTiming


@dataclass(frozen=True, slots=True)
class Words:
    """Spoken words of one item, whole so far."""

    track: Track
    item: str
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class AgentSpoke:
    """The agent's words, to be placed in the conversation by the time at which they began."""

    item: str
    started: float
    text: str


@dataclass(frozen=True, slots=True)
class TokensUsed:
    """Tokens for the metrics."""

    model: str
    modality: str
    direction: str
    cached: bool
    count: int


@dataclass(frozen=True, slots=True)
class ModelFault:
    """An error of the server, by a label of a closed set."""

    label: str


@dataclass(frozen=True, slots=True)
class FillSilence:
    """Append silence, so that the detection ends the open turn."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Replace:
    """This session is of no more use, or soon will not be: reason for the metrics. `now` False: at the next turn's end."""

    reason: str
    now: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Final for the call."""

    fatal: Fatal


Action = (
    Send
    | DraftShown
    | Suggested
    | DraftWithdrawn
    | TurnHandled
    | Words
    | AgentSpoke
    | TokensUsed
    | ModelFault
    | FillSilence
    | Replace
    | GiveUp
)
