"""What is written to Sync: the messages of a call's Stream, the items of its Map, and its Document.

A Stream promises neither order nor delivery: a draft is the whole text so far with a `part` number, the highest wins, and the
Map overrules it. Sizes: a Stream message is at most 4 KB, a Map item at most 16 KiB, the Document stays under 1 KiB.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from .base import Model

STREAM_MESSAGE_BYTES = 4000
MAP_ITEM_BYTES = 16_000
DOCUMENT_BYTES = 1024

EpochMs = Annotated[int, Field(ge=0, description="Milliseconds since 1970-01-01 UTC.")]


class Track(StrEnum):
    """Whose voice."""

    CUSTOMER = "customer"
    AGENT = "agent"


class AssistState(StrEnum):
    """What the agent sees of a call's assist."""

    STARTING = "starting"
    LIVE = "live"
    PAUSED = "paused"
    RECONNECTING = "reconnecting"
    STOPPED = "stopped"
    LOST = "lost"
    FAILED = "failed"


class StatusReason(StrEnum):
    """Why a call's assist is in its state."""

    STARTED = "Started"
    AGENT_REQUEST = "AgentRequest"
    CALL_ENDED = "CallEnded"
    STREAM_LOST = "StreamLost"
    MODEL_UNREACHABLE = "ModelUnreachable"
    MODEL_REFUSED = "ModelRefused"
    MODEL_QUOTA = "ModelQuota"
    MODEL_MISCONFIGURED = "ModelMisconfigured"
    RELAY_STOPPING = "RelayStopping"
    AUDIO_FORMAT = "AudioFormat"
    AGENT_TRACK_LOST = "AgentTrackLost"
    TURN_BLOCKED = "TurnBlocked"
    BUDGET_SPENT = "BudgetSpent"


class WithdrawnReason(StrEnum):
    """Why a draft will not become a suggestion."""

    NOT_RELEVANT = "NotRelevant"
    INCOMPLETE = "Incomplete"
    FAILED = "Failed"
    PAUSED = "Paused"
    SPOKE_ON = "SpokeOn"


class Message(Model):
    """What every message has."""

    id: str = Field(min_length=1, max_length=200)
    revision: str = Field(max_length=20, description="The prompt's revision.")

    def wire(self) -> dict[str, Any]:
        """As JSON values without what is at its default; `type`, by which readers tell messages apart, is always there."""
        return {"type": vars(self)["type"], **super().wire()}


class Draft(Message):
    """A suggestion while the model writes it: the whole text so far; the highest `part` wins."""

    type: Literal["draft"] = "draft"
    part: int = Field(ge=1)
    answer: str
    early: bool = Field(False, description="The customer may not have finished: it is withdrawn if the sentence goes on.")


class Suggestion(Message):
    """A finished suggestion. In the Map under its `seq`; on the Stream with `transcript` for the original plugin."""

    type: Literal["suggestion"] = "suggestion"
    seq: int = Field(ge=1)
    question: str
    answer: str
    at: EpochMs
    latency_ms: int | None = Field(None, ge=0, description="From the customer's last syllable (estimated) to the finished text.")
    truncated: bool = Field(False, description="The text was cut to fit Sync's limits.")
    receipt: str | None = Field(None, max_length=64, description="In the Map only: a relay's mark of the worker whom it was published to.")
    transcript: str | None = Field(None, description='On the Stream only: {"question", "answer"} as JSON text.')


class Withdrawn(Message):
    """A draft with this id will not be finished; take it off the screen."""

    type: Literal["withdrawn"] = "withdrawn"
    reason: WithdrawnReason


class Transcript(Message):
    """Spoken words, whole text so far; `final` ends it, once. An empty final text takes it off: its words come again by another id."""

    type: Literal["transcript"] = "transcript"
    track: Track
    part: int = Field(ge=1)
    text: str
    final: bool


class Status(Message):
    """The state of a call's assist; also the Map's `status` item, which names the Stream."""

    type: Literal["status"] = "status"
    state: AssistState
    reason: StatusReason
    message: str = Field(max_length=500, description="For the agent's eyes: what happened and what to do.")
    generation: int = Field(ge=1)
    stream: str = Field(description="Name of the Sync Stream of this call.")
    at: EpochMs


StreamMessage = Annotated[Draft | Suggestion | Withdrawn | Transcript | Status, Field(discriminator="type")]
STREAM_MESSAGE: TypeAdapter[StreamMessage] = TypeAdapter(StreamMessage, config=ConfigDict(hide_input_in_errors=True))


class CallState(StrEnum):
    """Life of a call's stream in its Document."""

    STARTING = "starting"
    LIVE = "live"
    STOPPED = "stopped"
    LOST = "lost"


class Successor(Model):
    """A worker who has joined the call while another is in charge of it (a warm transfer)."""

    worker: str
    identity: str
    task_sid: str


class NextStream(Model):
    """The stream of a later generation, asked for while the present one runs: the call is being moved to another relay."""

    generation: int = Field(ge=2)
    at: float = Field(description="Epoch seconds at which it was asked for.")
    given_up: bool = Field(False, description="It did not come in time, and counts no more; its number is used up.")
    gap: bool = Field(False, description="The present stream is stopped first, since Twilio forks the call only once: its end is expected.")


class CallDocument(Model):
    """The call's state, shared by all relays. Every change uses If-Match."""

    state: CallState
    generation: int = Field(ge=1)
    stream_name: str
    sync_stream: str
    deadline: float = Field(description="Epoch seconds; a `starting` past it may be taken over.")
    worker: str = Field(description="WorkerSid in charge of the call.")
    identity: str = Field(description="Sync identity of that worker.")
    owner: str = Field("", description="Private address host:port of the relay that has the audio.")
    stream_sid: str = ""
    prompt_revision: str = ""
    restarts: int = Field(0, ge=0, description="Automatic starts in a row, since the call was last live.")
    deaths: int = Field(0, ge=0, description="Live streams that died, one after the other, since one had lasted a minute.")
    lost_at: float = Field(0.0, description="Epoch seconds when the stream was last known to be heard, before it was started again.")
    paused: bool = False
    task_sid: str = ""
    seq: int = Field(0, ge=0, description="Highest suggestion number that an earlier generation is known to have used.")
    successor: Successor | None = Field(None, description="Who takes charge when the worker leaves the call.")
    next: NextStream | None = Field(None, description="The stream that is to take over from the live one, which goes on until then.")

    def wire(self) -> dict[str, Any]:
        """As JSON values without what is at its default. What was read with it and is not known here goes back as it came."""
        return {**(self.model_extra or {}), **super().wire()}
