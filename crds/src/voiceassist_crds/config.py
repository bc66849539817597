"""RelayConfig: all that a relay is told, as one JSON file. Secrets are files of their own and never in here."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import from_json

from .base import Model, undeclared
from .errors import from_validation
from .names import STREAM_PATH, WS_PATH, Revision
from .revisions import digest

MAX_INSTRUCTIONS = 32768
DEFAULT_MODEL = "gpt-realtime-2.1-mini"
DEFAULT_WRITER = "gpt-transcribe"
_EFFORT_COUNTS = "gpt-realtime-2"
"""Models whose effort is part of a prompt's revision. It defines the revision and nothing else: were it changed, prompts that nobody
edited would be rolled out anew."""

RevisionText = Annotated[str, Field(pattern=r"^[0-9a-z]{4,20}$")]
ReasoningEffort = Literal["Minimal", "Low", "Medium", "High", "XHigh"]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[A-Za-z0-9.\-]+(:\d{1,5})?)$")]


class Tracks(StrEnum):
    """Whose audio is taken from the call."""

    BOTH = "Both"
    CUSTOMER = "Customer"


class Provider(StrEnum):
    """Who serves the Realtime protocol."""

    OPENAI = "OpenAI"
    AZURE_OPENAI = "AzureOpenAI"
    COMPATIBLE = "Compatible"


DEFAULT_PROVIDER = Provider.OPENAI
PUBLIC_MODEL_HOSTS = ("api.openai.com", "*.api.openai.com")
"""Where providers have addresses that are everybody's: models' keys may be sent there wherever the operator runs."""


class ApplyTo(StrEnum):
    """Which calls take a new prompt."""

    NEW_CALLS = "NewCalls"
    ALL_CALLS = "AllCalls"


class Transcripts(StrEnum):
    """Whether spoken words are published to Sync."""

    PUBLISH = "Publish"
    OFF = "Off"


class Checks(StrEnum):
    """Whether signatures and tokens are checked. `Off` is for loopback only."""

    ALL = "All"
    OFF = "Off"


class CallProof(StrEnum):
    """By what a start proves that a call is the worker's."""

    CONFERENCE = "Conference"
    TASK_ATTRIBUTES = "TaskAttributes"


class AuthHeader(StrEnum):
    """The header that carries the model's key."""

    AUTHORIZATION = "Authorization"
    API_KEY = "api-key"
    X_API_KEY = "X-API-Key"


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


PROXY_PATTERN = r"^http://([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?$"
"""A proxy's address without a name and a password, which are no matter of a configuration that is no secret."""


class TwilioConfig(Model):
    """Twilio's account and Sync service, and how to reach them."""

    account_sid: str = Field(pattern=r"^AC[0-9a-f]{32}$")
    sync_service_sid: str = Field(pattern=r"^IS[0-9a-f]{32}$")
    sync_ttl_seconds: int = Field(21600, ge=60, le=31_536_000, description="Time to live of every object made for a call, in seconds.")
    legacy_stream: bool = Field(
        False, description="Name the Sync Stream as the original plugin expects: guessable, so any token holder can read it."
    )
    workspace_sid: str | None = Field(
        None, pattern=r"^WS[0-9a-f]{32}$", description="TaskRouter workspace; read from the Flex configuration if not given."
    )
    call_proof: CallProof = Field(
        CallProof.CONFERENCE,
        description="Conference: the call is in the conference that Flex makes for the worker's task. TaskAttributes: the attributes of "
        "the task name it, which every worker can write; only for contact centres whose calls are in no conference of their task.",
    )
    api_url: str | None = Field(
        None, description="Another server for every Twilio product; {product} is replaced by api, sync, iam, taskrouter, flex-api."
    )
    region: str | None = Field(None, pattern=r"^[a-z0-9-]{2,20}$")
    edge: str | None = Field(None, pattern=r"^[a-z0-9-]{2,30}$")

    @field_validator("api_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or "{product}" not in value):
            raise ValueError(f"{value!r} given; it must be an http(s) URL that contains {{product}}, such as http://sandbox/{{product}}")
        return value

    def base_url(self, product: str) -> str:
        """Base URL of a product (api, sync, iam, taskrouter, flex-api), without a slash at the end."""
        if self.api_url is not None:
            return self.api_url.replace("{product}", product).rstrip("/")
        if self.region is None:
            return f"https://{product}.twilio.com"
        middle = f"{self.edge}.{self.region}" if self.edge else self.region
        return f"https://{product}.{middle}.twilio.com"


class AudioConfig(Model):
    """What audio is taken."""

    tracks: Tracks = Tracks.BOTH


class Eager(Model):
    """Drafts ahead of the turn's end: when they are asked for."""

    silence_ms: int = Field(150, ge=80, le=1000, description="Silence after which a sentence has likely ended.")
    max_per_turn: int = Field(2, ge=1, le=5, description="Responses asked for ahead of one turn's end.")


class TurnDetection(Model):
    """How the model notices that the customer has finished."""

    type: Literal["ServerVAD", "SemanticVAD"] = "ServerVAD"
    threshold: float | None = Field(None, ge=0, le=1, description="ServerVAD only; default 0.5.")
    prefix_padding_ms: int | None = Field(None, ge=0, le=2000, description="ServerVAD only; default 300.")
    silence_duration_ms: int | None = Field(None, ge=100, le=5000, description="ServerVAD only; default 500.")
    eagerness: Literal["Low", "Medium", "High", "Auto"] | None = Field(None, description="SemanticVAD only; default Auto.")
    eager: Eager | None = Field(None, description="ServerVAD only; default: nothing is asked for before the turn is over.")

    @model_validator(mode="after")
    def _own_fields_only(self) -> Self:
        if self.type == "ServerVAD" and self.eagerness is not None:
            raise ValueError("eagerness given; it is for type SemanticVAD only")
        if self.type == "SemanticVAD":
            for name in ("threshold", "prefix_padding_ms", "silence_duration_ms", "eager"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} given; it is for type ServerVAD only")
        if self.eager is not None and self.eager.silence_ms >= (self.silence_ms or 0):
            raise ValueError(f"eager.silenceMs {self.eager.silence_ms} given; it must be below silenceDurationMs, {self.silence_ms}")
        return self

    @property
    def silence_ms(self) -> int | None:
        """Silence that ends a turn, in ms, which `audio_end_ms` includes; None where only the model knows."""
        if self.type == "SemanticVAD":
            return None
        return 500 if self.silence_duration_ms is None else self.silence_duration_ms


class AudioFormat(StrEnum):
    """How the model is given the call's audio: mu-law at 8 kHz as it comes, or 16-bit PCM."""

    PCMU = "PCMU"
    PCM16K = "PCM16k"
    PCM24K = "PCM24k"


class Family(StrEnum):
    """A generation of models that take the same settings."""

    FIRST = "GPTRealtime1"
    SECOND = "GPTRealtime2"
    OTHER = "Other"


class AgentQuery(StrEnum):
    """What the address of the agent's session names."""

    INTENT = "Intent"
    MODEL = "Model"
    INTENT_AND_MODEL = "IntentAndModel"


class AgentSession(StrEnum):
    """What kind of session the agent's words are taken from."""

    TRANSCRIPTION = "Transcription"
    REALTIME = "Realtime"


OUR_HEADERS = frozenset(
    {*(header.value.lower() for header in AuthHeader), "host", "connection", "upgrade", "content-length", "openai-beta"}
)
"""Headers that the relay sends itself, or that would change what it speaks."""
OUR_QUERY = frozenset({"model", "intent", "deployment"})
"""Names in the address that the relay writes itself."""


class Header(Model):
    """A header of the request that opens a session."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")
    value: str | None = Field(None, max_length=2000, pattern=r"^[!-~]([ -~]*[!-~])?$", description="Not given: it is in a secret file.")

    @field_validator("name")
    @classmethod
    def _not_ours(cls, value: str) -> str:
        if value.lower() in OUR_HEADERS or value.lower().startswith("sec-websocket-"):
            raise ValueError(f"{value!r} given; the relay sends this header itself")
        return value


class StoredPrompt(Model):
    """A prompt that is kept at the model's vendor."""

    id: str = Field(min_length=1, max_length=200)
    version: str | None = Field(None, min_length=1, max_length=50)


LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"
LanguageTag = Annotated[str, Field(pattern=LANGUAGE_PATTERN)]


class Transcription(Model):
    """Who writes down the spoken words."""

    model: str = Field(DEFAULT_WRITER, min_length=1, max_length=100, description="For the customer, inside the conversation session.")
    agent_model: str = Field(DEFAULT_WRITER, min_length=1, max_length=100, description="For the agent's track, in a session of its own.")
    language: str | None = Field(
        None,
        pattern=LANGUAGE_PATTERN,
        description="Of the call, as a BCP 47 tag; the relay tells vendors its ISO 639-1 code, and region and script in words.",
    )
    languages: list[LanguageTag] = Field(default_factory=list, max_length=20, description="Languages that the call may be in.")
    keywords: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default_factory=list, max_length=100, description="Product names and account terms."
    )
    prompt: str | None = Field(None, min_length=1, max_length=2000)
    delay: Literal["Minimal", "Low", "Medium", "High", "XHigh"] | None = None
    agent_query: AgentQuery | None = Field(None, description="Default: the provider's.")
    agent_session: AgentSession = AgentSession.TRANSCRIPTION


class Truncation(Model):
    """What is kept of a long conversation: every response reads it all again, and costs it."""

    retention_ratio: float = Field(0.8, gt=0, le=1)
    post_instructions_tokens: int = Field(8000, ge=500, le=128_000)


class ModelConfig(Model):
    """The model and how it listens."""

    provider: Provider = DEFAULT_PROVIDER
    url: str | None = Field(None, description="Address of the Realtime endpoint; required for AzureOpenAI and Compatible.")
    name: str = Field(DEFAULT_MODEL, min_length=1, max_length=100)
    auth_header: AuthHeader | None = Field(None, description="Default: api-key for AzureOpenAI, else Authorization (Bearer).")
    turn_detection: TurnDetection = TurnDetection()
    transcription: Transcription | None = Transcription()
    language: str | None = Field(None, pattern=LANGUAGE_PATTERN, description="Of the call, where nothing is written down.")
    noise_reduction: Literal["NearField", "FarField", "Off"] = "Off"
    max_output_tokens: int = Field(400, ge=1, le=4096)
    noise_reduction_strength: float | None = Field(None, ge=0, le=1)
    reasoning_effort: ReasoningEffort = "Minimal"
    max_responses_per_minute: int = Field(20, ge=1, le=120)
    truncation: Truncation = Truncation()
    family: Family | None = Field(None, description="Default: guessed from the name.")
    audio_format: AudioFormat | None = Field(None, description="Default: PCMU.")
    headers: list[Header] = Field(default_factory=list, max_length=16)
    query: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")], Annotated[str, Field(max_length=500)]] = Field(
        default_factory=dict, max_length=16
    )
    session_seconds: int | None = Field(None, ge=60, le=86_400, description="A session's life where the server names none; default 3600.")
    tracing: Literal["Auto", "Off"] = "Off"
    stored_prompt: StoredPrompt | None = None
    check: Literal["Conversation", "Session"] = Field(
        "Conversation", description="How a relay finds out whether the model is well while no call tells; a conversation costs tokens."
    )

    @model_validator(mode="after")
    def _own_names(self) -> Self:
        names = [header.name.lower() for header in self.headers]
        if len(set(names)) < len(names):
            raise ValueError("headers: one name is given twice")
        if ours := sorted(OUR_QUERY & set(self.query)):
            raise ValueError(f"query: {', '.join(ours)} given; the relay writes it itself")
        return self

    @property
    def told_language(self) -> str | None:
        """The language that answers are told of: one that is more than the code that transcription is told, or any without one."""
        if self.transcription is None:
            return self.language
        language = self.transcription.language
        return language if language is not None and len(language) > 2 else None

    @property
    def names(self) -> tuple[str, ...]:
        """Every model that is spoken to, once: the one that answers, then those that write down."""
        written = (self.transcription.model, self.transcription.agent_model) if self.transcription is not None else ()
        return tuple(dict.fromkeys((self.name, *written)))

    @model_validator(mode="after")
    def _address(self) -> Self:
        if self.url is None:
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
            raise ValueError(f"url {self.url!r} given; it must be a ws(s) or http(s) URL with a host")
        if parts.query or parts.fragment:
            raise ValueError("url has a query or fragment; the relay adds the query itself")
        return self


class PromptModel(Model):
    """What else alters answers, and so is rolled out with the instructions."""

    name: str = Field(DEFAULT_MODEL, min_length=1, max_length=100)
    turn_detection: TurnDetection = TurnDetection()
    max_output_tokens: int = Field(400, ge=1, le=4096)
    reasoning_effort: ReasoningEffort = "Minimal"
    family: Family | None = None


class Prompt(Model):
    """One revision of the prompt and the share of calls that begin with it."""

    revision: RevisionText = ""
    weight: int = Field(100, ge=0, le=100, description="Percent of new calls.")
    instructions: str = Field(min_length=1, max_length=MAX_INSTRUCTIONS)
    model: PromptModel | None = Field(None, description="In place of the configuration's own, where this revision has another.")


class Rollout(Model):
    """Which calls take a new prompt."""

    apply_to: ApplyTo = ApplyTo.NEW_CALLS
    id: str = Field(
        "", max_length=40, description="A canary; relays count what its prompts come to from when they hear of it. Empty: none."
    )
    withdrawn: list[RevisionText] = Field(
        default_factory=list, max_length=10, description="Calls that have one of these revisions take another at their next turn."
    )


class Limits(Model):
    """What one relay process takes on."""

    max_calls: int = Field(60, ge=1, le=1000, description="Calls at once; more are refused with 503 before the upgrade.")
    drain_timeout_seconds: int = Field(3600, ge=0, le=14_400, description="How long live calls may go on after SIGTERM.")
    drain_grace_seconds: float = Field(5, ge=0, le=60, description="How long new upgrades are still served after SIGTERM.")
    stream_ping_seconds: float = Field(
        20, ge=0, le=300, description="A ping on each call's websocket this often, so that no proxy takes it for idle; 0: none."
    )
    gather_ms: float = Field(
        2,
        ge=0,
        le=20,
        description="While busy, a relay looks at its sockets this often at most, so that one look finds many frames; 0: always.",
    )


class OverBudget(StrEnum):
    """What is done for the rest of the day, or of the month, when its budget is spent."""

    WARN = "Warn"
    DRAFTS_OFF = "DraftsOff"
    STOP = "Stop"


class Price(Model):
    """What a million tokens of one model cost, by kind; the currency is the budget's."""

    model: str = Field(min_length=1, max_length=100)
    text_input: float = Field(ge=0, le=1_000_000)
    cached_text_input: float | None = Field(None, ge=0, le=1_000_000, description="Default: as what is not cached.")
    audio_input: float = Field(ge=0, le=1_000_000)
    cached_audio_input: float | None = Field(None, ge=0, le=1_000_000, description="Default: as what is not cached.")
    text_output: float = Field(ge=0, le=1_000_000)
    audio_output: float | None = Field(None, ge=0, le=1_000_000, description="Default: as text.")

    @property
    def kinds(self) -> tuple[float, float, float, float, float, float]:
        """Of text, cached text, audio, cached audio, text written, audio spoken."""
        return (
            self.text_input,
            self.text_input if self.cached_text_input is None else self.cached_text_input,
            self.audio_input,
            self.audio_input if self.cached_audio_input is None else self.cached_audio_input,
            self.text_output,
            self.text_output if self.audio_output is None else self.audio_output,
        )


class Budget(Model):
    """What the calls of a day and of a month (UTC) may cost at the model."""

    per_day: float | None = Field(
        None, gt=0, le=1e15, description="In the currency of the prices; without prices in tokens. Default: the day is not limited."
    )
    per_month: float | None = Field(None, gt=0, le=1e15, description="In the same unit. Default: the month is not limited.")
    action: OverBudget = OverBudget.WARN
    prices: list[Price] = Field(
        default_factory=list, max_length=16, description="A model that is not here costs what is dearest here, kind by kind."
    )

    @model_validator(mode="after")
    def _own_models(self) -> Self:
        if len({price.model for price in self.prices}) < len(self.prices):
            raise ValueError("prices: one model is given twice")
        return self

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.per_day is None and self.per_month is None:
            raise ValueError("neither perDay nor perMonth is given; give one, or both")
        return self

    def cost(self, model: str, tokens: Sequence[int]) -> float:
        """What these tokens of a model cost, in the unit of the budget; `tokens` by kind, as `Price.kinds` has them."""
        if not self.prices:
            return float(sum(tokens))
        known = [price.kinds for price in self.prices if price.model == model] or [price.kinds for price in self.prices]
        dearest = (max(kind) for kind in zip(*known, strict=True))
        return sum((price * count for price, count in zip(dearest, tokens, strict=True)), 0.0) / 1_000_000

    @property
    def dearest(self) -> float:
        """What the dearest token costs, in the unit of the budget."""
        return max((max(price.kinds) for price in self.prices), default=1_000_000) / 1_000_000


class TotalLimits(Model):
    """What all relays of a VoiceAssist take on together; the operator tells each what the others do."""

    max_calls: int | None = Field(None, ge=1, le=1_000_000, description="Calls at once; more are not started. Default: no limit.")
    budget: Budget | None = Field(None, description="Default: none.")


class Privacy(Model):
    """What leaves the relay besides suggestions."""

    transcripts: Transcripts = Transcripts.PUBLISH


class Network(Model):
    """The way to Twilio and the model. Other relays are reached straight."""

    proxy: str | None = Field(None, pattern=PROXY_PATTERN, description="Every connection is made through it, by CONNECT.")
    no_proxy: list[str] = Field(
        default_factory=list, max_length=100, description="Names, domains, addresses and networks that are reached without it."
    )
    ca_digest: str | None = Field(
        None,
        max_length=64,
        description="Of the authorities' file: a changed one is a changed configuration, and so reaches every relay.",
    )


class Functions(Model):
    """Who may call `/stream` and `/token` from a browser."""

    allowed_origins: list[Origin] = Field(["https://flex.twilio.com"], max_length=20)


class RelayConfig(Model):
    """Everything a relay is told. `configRevision` and each prompt's `revision` are filled in where absent."""

    version: Literal[1] = 1
    namespace: str = Field("default", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    name: str = Field("voiceassist", pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    config_revision: RevisionText = ""
    host: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:\d{1,5})?$", description="Public host name, as Twilio dials it."
    )
    path_prefix: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+){0,8}$", max_length=200)
    twilio: TwilioConfig
    functions: Functions = Functions()
    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    prompts: list[Prompt] = Field(min_length=1, max_length=16)
    prompt_salt: str = Field("", max_length=64, description="Mixed into the choice of a call's prompt.")
    rollout: Rollout = Rollout()
    limits: Limits = Limits()
    total_limits: TotalLimits = TotalLimits()
    privacy: Privacy = Privacy()
    network: Network = Network()
    checks: Checks = Checks.ALL

    @model_validator(mode="after")
    def _weights(self) -> Self:
        total = sum(prompt.weight for prompt in self.prompts)
        if total != 100:
            raise ValueError(f"prompts: the weights add up to {total}; they must add up to 100")
        named = [prompt.revision for prompt in self.prompts if prompt.revision]
        if len(set(named)) != len(named):
            raise ValueError("prompts: two entries have one revision; each revision may be listed once")
        return self

    @classmethod
    def parse(cls, text: str | bytes) -> RelayConfig:
        """Reads a configuration from JSON. Raises ContractError that names each field that does not fit, or is not declared here."""
        try:
            config = cls.model_validate_json(text)
        except ValidationError as error:
            raise from_validation("RelayConfig", error) from None
        return config.with_revisions()

    @classmethod
    def read(cls, text: str | bytes) -> tuple[RelayConfig, tuple[str, ...]]:
        """Reads what an operator of any version wrote: the configuration, and the paths of the fields that are passed over because
        this version does not know them. Raises ContractError that names each field that does not fit."""
        try:
            config = cls.model_validate_json(text, extra="ignore")
        except ValidationError as error:
            raise from_validation("RelayConfig", error) from None
        return config.with_revisions(), undeclared(cls, from_json(text))

    def with_revisions(self) -> RelayConfig:
        """The same configuration with every absent revision computed."""
        prompts = [p if p.revision else p.model_copy(update={"revision": prompt_revision(self, p.instructions)}) for p in self.prompts]
        config = self.model_copy(update={"prompts": prompts})
        if not config.config_revision:
            config = config.model_copy(update={"config_revision": config_revision(config)})
        return config

    def model_of(self, prompt: Prompt) -> ModelConfig:
        """The model as calls with this prompt have it."""
        return self.model if prompt.model is None else self.model.model_copy(update=dict(prompt.model))

    @property
    def model_names(self) -> tuple[str, ...]:
        """Every model that calls of any of the prompts speak to, once."""
        return tuple(dict.fromkeys(name for prompt in self.prompts for name in self.model_of(prompt).names))

    def to_json(self) -> str:
        """The file's text, stable for equal configurations; what is at its default is left out."""
        return self.model_dump_json(by_alias=True, indent=1, exclude_defaults=True)

    @property
    def origin(self) -> str:
        """`host` and `pathPrefix`, without a scheme."""
        return f"{self.host}{self.path_prefix}"

    def stream_url(self, call_sid: str) -> str:
        """The address that Twilio dials for a call; the signature covers it as it stands."""
        return f"wss://{self.origin}{WS_PATH}/{call_sid}"

    def public_url(self, path: str) -> str:
        """The public https address of one of the relay's paths, which begin with a slash."""
        return f"https://{self.origin}{path}"

    @property
    def functions_url(self) -> str:
        """Where the Flex plugin finds `/stream` and `/token`."""
        return self.public_url(STREAM_PATH).removesuffix(STREAM_PATH)


def _effort_counts(model: ModelConfig) -> bool:
    return model.name.startswith(_EFFORT_COUNTS) if model.family is None else model.family is Family.SECOND


def prompt_revision(config: RelayConfig, instructions: str) -> Revision:
    """Revision of what alters answers: instructions, model, turn detection, reasoning, output limit, a language that answers are
    told of. 10 hex digits.

    The tool's definition belongs to the relay's release and is left out: operator and relay must agree though their versions differ.
    """
    model = config.model
    return digest(
        {
            **({"language": model.told_language} if model.told_language is not None else {}),
            "instructions": instructions,
            "provider": model.provider,
            "url": model.url,
            "model": model.name,
            "turnDetection": model.turn_detection.model_dump(by_alias=True, exclude={"eager"}),
            "reasoningEffort": model.reasoning_effort if _effort_counts(model) else None,
            **({"storedPrompt": model.stored_prompt.wire()} if model.stored_prompt is not None else {}),
            "maxOutputTokens": model.max_output_tokens,
        }
    )


def config_revision(config: RelayConfig) -> Revision:
    """Revision of the whole configuration. 10 hex digits. A later version's new field does not change it as long as nobody uses it."""
    return digest(config.model_dump(mode="json", by_alias=True, exclude={"config_revision"}, exclude_defaults=True))
