"""What a session's core gives, as plain data: commands to its connection and events to its owner, each of which goes one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from voiceassist_crds.messages import Track, WithdrawnReason

from ...interfaces import FinishedSuggestion, OutputForm, TurnTiming
from .failures import Fatal

# commands: the supervisor carries them out on the session's connection


@dataclass(frozen=True, slots=True)
class Send:
    """Write one client event."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FillSilence:
    """Append so many seconds of silence, so that the detection ends the open turn."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace the session: `reason` is for the metrics; `now` False: at the next turn's end."""

    reason: str
    now: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give the call's sessions up: no other one would fare better."""

    fatal: Fatal


Command = Send | FillSilence | Replace | GiveUp


# events: the model client hands them on to the bridge, to the other session, or to the metrics


@dataclass(frozen=True, slots=True)
class DraftShown:
    """The answer so far, whole."""

    item: str
    answer: str
    revision: str
    early: bool = False
    """The turn is not over yet: it may be withdrawn because the customer goes on."""


@dataclass(frozen=True, slots=True)
class DraftWithdrawn:
    """A draft that will not be finished."""

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
    """The agent's words, to be put into the conversation where they began (`started`, loop seconds)."""

    item: str
    started: float
    text: str


@dataclass(frozen=True, slots=True)
class TokensUsed:
    """Tokens that the model counted."""

    model: str
    modality: str
    direction: str
    cached: bool
    count: int


@dataclass(frozen=True, slots=True)
class WritingTook:
    """What it took to write something down: tokens by kind (`Usage.counts`), and seconds of audio where those are counted."""

    model: str
    tokens: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class OutputRead:
    """What the model wrote for a turn was read, in this form."""

    revision: str
    form: OutputForm


@dataclass(frozen=True, slots=True)
class ResponseOver:
    """A response of ours ended: all tokens that it took, input and output."""

    revision: str
    tokens: int


@dataclass(frozen=True, slots=True)
class EarlyOver:
    """A response ahead of a turn's end came to an outcome: used, wasted, refused. Each to one."""

    outcome: str


@dataclass(frozen=True, slots=True)
class EarlyTokens:
    """Tokens of a response ahead of a turn's end that came to nothing, whatever the outcome's name."""

    count: int


@dataclass(frozen=True, slots=True)
class ModelFault:
    """An error of the server, by a label of a closed set."""

    label: str


@dataclass(frozen=True, slots=True)
class AudioMisread:
    """The server counts the audio as another length than it has, in ms: it takes it for another format."""

    heard_ms: float
    sent_ms: float


@dataclass(frozen=True, slots=True)
class AudioHeard:
    """The server counts the audio as what it is: an alarm that it does not is over."""


Told = DraftShown | FinishedSuggestion | DraftWithdrawn | TurnHandled | OutputRead | Words | AgentSpoke
Event = Told | EarlyOver | EarlyTokens | TokensUsed | WritingTook | ResponseOver | ModelFault | AudioMisread | AudioHeard


class Outputs(NamedTuple):
    """What came of one input, each kind in its order."""

    commands: tuple[Command, ...] = ()
    events: tuple[Event, ...] = ()


NOTHING = Outputs()
