"""RelayStatus: what a relay tells the operator at `:9090/status`."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from pydantic import Field, ValidationError, field_validator

from .base import Model
from .errors import from_validation


class PeerReason(StrEnum):
    """Why a peer of the relay is not well."""

    UNKNOWN = "Unknown"
    UNREACHABLE = "Unreachable"
    REFUSED = "Refused"
    QUOTA = "Quota"
    MISCONFIGURED = "Misconfigured"
    RATE_LIMITED = "RateLimited"
    SERVER_ERROR = "ServerError"
    AUDIO_FORMAT = "AudioFormat"


class PeerStatus(Model):
    """How the model or Sync is doing, seen from this relay."""

    ok: bool
    reason: PeerReason | None = None
    message: str = Field("", max_length=500)
    since: float = Field(description="Epoch seconds of the last change.")

    @field_validator("reason", mode="wrap")
    @classmethod
    def _of_any_version(cls, value: object, read: Callable[[object], PeerReason | None]) -> PeerReason | None:
        """A later version's reason is no reason to read nothing: what counts is `ok`, and the message says the rest."""
        try:
            return read(value)
        except ValidationError:
            if isinstance(value, str):
                return PeerReason.UNKNOWN
            raise


class PromptCounts(Model):
    """What calls with one revision of the prompt came to, since a roll-out began or the relay started."""

    calls: int = 0
    calls_with_failures: int = 0
    turns: int = 0
    failed: int = 0
    not_relevant: int = 0
    answers: int = Field(0, description="Suggestions of which it is known when the customer stopped speaking.")
    late: int = Field(0, description="Of these, the ones that were stored later than the objective allows.")
    verdicts: int = 0
    negative: int = 0
    outputs: int = Field(0, description="What the model wrote for turns, as far as it was read, or tried to be.")
    repaired: int = Field(0, description="Of these, the ones that were not in the form asked for: repaired, or unreadable.")
    measured_calls: int = Field(0, description="Calls that began in the roll-out, and are not at another relay yet.")
    measured_turns: int = Field(0, description="Turns of theirs.")
    tokens: int = Field(0, description="Tokens that their responses took, input and output.")
    turns_squared: int = Field(0, description="The sum over these calls of the square of their turns; the next two likewise.")
    tokens_squared: int = 0
    tokens_by_turns: int = Field(0, description="Tokens times turns.")
    calls_with_not_relevant: int = 0
    calls_with_late: int = 0
    calls_with_repairs: int = 0
    calls_with_negative: int = Field(0, description="A call whose verdicts came to several relays is one of each.")


class RolloutCounts(Model):
    """A relay's counts of one roll-out."""

    id: str = Field("", description="The roll-out, as the configuration names it.")
    since: float = Field(0.0, description="Epoch seconds since when it is counted: with a later one all begins at 0 anew.")
    prompts: dict[str, PromptCounts] = Field(default_factory=dict, description="By revision.")


class MonthSpend(Model):
    """What one relay process spent at the model in a month."""

    tokens: int = Field(0, ge=0, description="All tokens, cached ones too.")
    cost: float | None = Field(None, ge=0, description="By the configured prices, in their currency; absent without prices.")
    untold: int = Field(0, ge=0, description="Responses whose tokens the server did not tell, and that count nothing yet.")


class Spend(Model):
    """What one relay process spent at the model in a day, and in the day's month."""

    process: str = Field(min_length=1, max_length=40, description="Names the process: another one begins at 0.")
    day: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="The day, UTC.")
    tokens: int = Field(0, ge=0, description="All tokens, cached ones too.")
    cost: float | None = Field(None, ge=0, description="By the configured prices, in their currency; absent without prices.")
    expected: float = Field(0, ge=0, description="What the responses under way are likely to take, in the unit of the budget.")
    untold: int = Field(0, ge=0, description="Responses whose tokens the server did not tell, and that count nothing yet.")
    month: MonthSpend | None = Field(None, description="Of the day's month (UTC); versions that know no month do not tell.")


class RelayStatus(Model):
    """One relay's state."""

    version: str
    namespace: str = ""
    name: str = Field("", description="With the namespace, the VoiceAssist that this relay belongs to.")
    pod: str
    config_revision: str
    config_error: str = Field("", description="Why the newest file was refused; empty when it is in force.")
    prompt_revisions: dict[str, int] = Field(description="Live calls by prompt revision; revisions in the configuration are always listed.")
    rollout: RolloutCounts = RolloutCounts()
    secrets_version: str = Field("", description="Changes when a secret file changes; never a hash of a value.")
    active_calls: int
    max_calls: int
    moving_calls: int = Field(0, ge=0, description="Calls that are being moved to another relay.")
    nowhere_to_move: bool = Field(False, description="This relay ends, has calls left, and no other one has a place for them.")
    draining: bool
    ready: bool
    not_ready_reasons: list[str] = Field(default_factory=list)
    model: PeerStatus
    sync: PeerStatus
    agent_track: PeerStatus | None = Field(None, description="How the agent's words are taken down; absent until a call has told.")
    model_family: str = Field("", max_length=40, description="The generation of the model that answers, as configured or guessed.")
    model_trial: str = Field("", max_length=300, description="What a conversation of a second showed of the model; no words of it.")
    retiring: list[str] = Field(default_factory=list, max_length=10, description="Configured models that their vendor ends soon.")
    unreached_relays: list[str] = Field(
        default_factory=list, description="Private addresses (pod and port) of relays that do not answer this one; 16 at most."
    )
    silent_relays: list[str] = Field(
        default_factory=list, description="Private addresses of relays that told this one their calls, and do not any more; 16 at most."
    )

    spend: Spend | None = Field(None, description="Of the day; absent where there is no budget.")

    @classmethod
    def read(cls, text: str | bytes) -> RelayStatus:
        """Reads what a relay of any version answers; fields that this version does not know are passed over. Raises ContractError."""
        try:
            return cls.model_validate_json(text, extra="ignore")
        except ValidationError as error:
            raise from_validation("RelayStatus", error) from None

    def to_json(self) -> str:
        """The answer's text; what is at its default is left out."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)
