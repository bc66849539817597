"""The VoiceAssist resource, mirrored from the CRD in crds/: the CRD is the contract, a test holds this to it.

Defaults here equal the CRD's, so that an object that never went through an API server (`voiceassist-operator plan FILE`) reads
the same. What the CRD refuses by CEL is not refused again here; `voiceassist-operator plan` says so.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from .base import Model
from .config import (
    DEFAULT_MODEL,
    DEFAULT_PROVIDER,
    DEFAULT_WRITER,
    MAX_INSTRUCTIONS,
    AgentQuery,
    AgentSession,
    ApplyTo,
    AudioFormat,
    AuthHeader,
    CallProof,
    Family,
    OverBudget,
    Provider,
    Tracks,
    Transcripts,
)
from .errors import from_validation

Name = str
DURATION = r"^([0-9]{1,3}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$"
"""A time such as 90s, 10m or 1h30m."""


class _Part(Model):
    """A part of the spec; lenient towards fields of newer versions, which the API server has already judged."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class IngressSpec(_Part):
    """The Ingress for host."""

    enabled: bool = True
    flavour: Literal["Common", "GKE"] = "Common"
    class_name: str | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    tls_secret_name: str | None = None


class ParentRef(_Part):
    """A Gateway, or one of its listeners."""

    name: Name
    namespace: Name | None = None
    section_name: str | None = None
    port: int | None = None


class HTTPRouteSpec(_Part):
    """The Gateway API's HTTPRoute for host."""

    parent_refs: list[ParentRef] = Field(min_length=1)


class SecretRef(_Part):
    """A Secret in the same namespace."""

    name: Name


class SecretKeyRef(_Part):
    """A key of a Secret in the same namespace."""

    name: Name
    key: str = "apiKey"


class SyncSpec(_Part):
    """The Sync service."""

    service_sid: str | None = None
    ttl_seconds: int = 21600
    legacy_stream: bool = False


class ExistingFunctions(_Part):
    """A Functions environment that the user deployed."""

    service_sid: str
    environment_sid: str


class FunctionsSpec(_Part):
    """Where the plugin finds /stream and /token."""

    mode: Literal["Relay", "Existing", "Serverless"] = "Relay"
    existing: ExistingFunctions | None = None
    allowed_origins: list[str] = Field(default_factory=lambda: ["https://flex.twilio.com"])


class FlexSpec(_Part):
    """The account's Flex configuration."""

    configure: bool = True
    queues: list[str] = Field(default_factory=list)


class TwilioSpec(_Part):
    """The Twilio account."""

    account_sid: str
    credentials_secret_ref: SecretRef
    workspace_sid: str | None = None
    call_proof: CallProof = CallProof.CONFERENCE
    sync: SyncSpec = SyncSpec()
    functions: FunctionsSpec = FunctionsSpec()
    flex: FlexSpec = FlexSpec()
    api_url: str | None = None
    region: str | None = None
    edge: str | None = None


class AudioSpec(_Part):
    """What is taken from a call."""

    tracks: Tracks = Tracks.BOTH


class EagerSpec(_Part):
    """Drafts ahead of the turn's end: when they are asked for."""

    silence_ms: int = 150
    max_per_turn: int = 2


class TurnDetectionSpec(_Part):
    """How the model notices that the customer has finished."""

    type: Literal["ServerVAD", "SemanticVAD"] = "ServerVAD"
    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None
    eagerness: Literal["Low", "Medium", "High", "Auto"] | None = None
    eager: EagerSpec | None = None


class TranscriptionSpec(_Part):
    """Who writes down the spoken words."""

    enabled: bool = True
    model: str = DEFAULT_WRITER
    agent_model: str = DEFAULT_WRITER
    language: str | None = None
    languages: list[str] = Field(default_factory=list)
    keywords: list[str] = Field(default_factory=list)
    prompt: str | None = None
    delay: Literal["Minimal", "Low", "Medium", "High", "XHigh"] | None = None
    agent_query: AgentQuery | None = None
    agent_session: AgentSession = AgentSession.TRANSCRIPTION


class HeaderSource(_Part):
    """Where a header's value is."""

    secret_key_ref: SecretKeyRef


class HeaderSpec(_Part):
    """A header of the request that opens a session."""

    name: str
    value: str | None = None
    value_from: HeaderSource | None = None


class StoredPromptSpec(_Part):
    """A prompt that is kept at the model's vendor."""

    id: str
    version: str | None = None


class TruncationSpec(_Part):
    """What is kept of a long conversation."""

    retention_ratio: float = 0.8
    post_instructions_tokens: int = 8000


class ModelSpec(_Part):
    """The model."""

    provider: Provider = DEFAULT_PROVIDER
    url: str | None = None
    name: str = DEFAULT_MODEL
    auth_header: AuthHeader | None = None
    api_key_secret_ref: SecretKeyRef
    turn_detection: TurnDetectionSpec = TurnDetectionSpec()
    transcription: TranscriptionSpec = TranscriptionSpec()
    noise_reduction: Literal["NearField", "FarField", "Off"] = "Off"
    max_output_tokens: int = 400
    noise_reduction_strength: float | None = None
    reasoning_effort: Literal["Minimal", "Low", "Medium", "High", "XHigh"] = "Minimal"
    max_responses_per_minute: int = 20
    truncation: TruncationSpec = TruncationSpec()
    family: Family | None = None
    audio_format: AudioFormat | None = None
    headers: list[HeaderSpec] = Field(default_factory=list)
    query: dict[str, str] = Field(default_factory=dict)
    session_seconds: int | None = None
    tracing: Literal["Auto", "Off"] = "Off"
    stored_prompt: StoredPromptSpec | None = None
    check: Literal["Conversation", "Session"] = "Conversation"


class ConfigMapKeyRef(_Part):
    """A key of a ConfigMap in the same namespace."""

    name: Name
    key: str


class InstructionsFrom(_Part):
    """Where the prompt's text is."""

    config_map_key_ref: ConfigMapKeyRef


class PromptSpec(_Part):
    """What the model is told to do; exactly one source."""

    instructions: str | None = Field(None, min_length=1, max_length=MAX_INSTRUCTIONS)
    instructions_from: InstructionsFrom | None = None


class AnalysisMetric(StrEnum):
    """What a canary is judged by. All but the last are shares: of turns, of agents' verdicts, of answers, of the model's outputs."""

    TURN_FAILURE = "TurnFailure"
    NOT_RELEVANT_SHIFT = "NotRelevantShift"
    NEGATIVE_FEEDBACK = "NegativeFeedback"
    LATENCY_P95 = "LatencyP95"
    SCHEMA_REPAIR = "SchemaRepair"
    TOKENS_PER_TURN = "TokensPerTurn"


class AnalysisCheck(_Part):
    """A bound on one of them: absolute, or beside the stable prompt. Shares from 0 to 1; tokens, and by what part more of them."""

    metric: AnalysisMetric
    max: float | None = None
    max_increase: float | None = None


class CanaryAnalysis(_Part):
    """When a canary is good enough to go on."""

    minimum_turns: int = 20
    max_duration: str | None = None
    checks: list[AnalysisCheck] = Field(
        default_factory=lambda: [
            AnalysisCheck(metric=AnalysisMetric.TURN_FAILURE, max_increase=0.005),
            AnalysisCheck(metric=AnalysisMetric.NEGATIVE_FEEDBACK, max_increase=0.05),
            AnalysisCheck(metric=AnalysisMetric.NOT_RELEVANT_SHIFT, max_increase=0.2),
            AnalysisCheck(metric=AnalysisMetric.LATENCY_P95, max_increase=0.05),
            AnalysisCheck(metric=AnalysisMetric.SCHEMA_REPAIR, max_increase=0.05),
        ]
    )


class CanaryPause(_Part):
    """How long a step lasts; nothing of it: until somebody promotes the canary.

    The API server cannot hold a text and an object apart by type, so that what it does not look at is looked at here: other fields are
    refused, since a pause that is not understood would last too long or not long enough.
    """

    model_config = ConfigDict(extra="forbid")

    duration: str | None = Field(None, min_length=1, max_length=20, pattern=DURATION)
    calls: int | None = Field(None, ge=1, le=1_000_000)
    turns: int | None = Field(None, ge=1, le=1_000_000)


class CanaryStep(_Part):
    """A share of new calls, in percent, and how long it stays."""

    weight: int
    pause: CanaryPause = CanaryPause()

    @field_validator("pause", mode="before")
    @classmethod
    def _of_a_time_alone(cls, value: object) -> object:
        """`pause: 10m` is short for `pause: {duration: 10m}`."""
        return {"duration": value} if isinstance(value, str) else value


class CanarySpec(_Part):
    """How a canary goes."""

    steps: list[CanaryStep] = Field(
        default_factory=lambda: [CanaryStep(weight=weight, pause=CanaryPause(duration="10m")) for weight in (5, 25, 50)]
    )
    analysis: CanaryAnalysis = CanaryAnalysis()


class RolloutSpec(_Part):
    """How a changed prompt reaches calls."""

    strategy: Literal["Immediate", "Canary"] = "Immediate"
    apply_to: ApplyTo = ApplyTo.NEW_CALLS
    canary: CanarySpec = CanarySpec()


class NetworkPolicySpec(_Part):
    """The NetworkPolicy."""

    enabled: bool = False
    ingress_namespaces: list[str] = Field(default_factory=list)
    metrics_namespaces: list[str] = Field(default_factory=list)
    egress_ports: list[int] = Field(default_factory=list)


class ProxySpec(_Part):
    """The proxy to the outside."""

    url: str
    no_proxy: list[str] = Field(default_factory=list)


class CaBundle(_Part):
    """Authorities besides the system's."""

    config_map_key_ref: ConfigMapKeyRef


class NetworkSpec(_Part):
    """The way out."""

    proxy: ProxySpec | None = None
    ca_bundle: CaBundle | None = None


class BufferSpec(_Part):
    """Places that stay free; exactly one of both."""

    calls: int | None = None
    percent: int | None = None


class AutoscalingSpec(_Part):
    """How the number of relay pods follows calls: by a load of each, or by places that stay free."""

    min_replicas: int = 2
    max_replicas: int
    target_calls_per_pod: int | None = None
    buffer: BufferSpec | None = None
    scale_down_after: str = "5m"


class RelaySpec(_Part):
    """The relay pods."""

    image: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: list[SecretRef] = Field(default_factory=list)
    replicas: int = 2
    autoscaling: AutoscalingSpec | None = None
    max_calls_per_pod: int = 60
    drain_timeout_seconds: int = 3600
    stream_ping_seconds: int = 20
    gather_ms: int = 2
    resources: dict[str, Any] | None = None
    node_selector: dict[str, str] | None = None
    affinity: dict[str, Any] | None = None
    tolerations: list[dict[str, Any]] | None = None
    topology_spread_constraints: list[dict[str, Any]] | None = None
    priority_class_name: str | None = None
    pod_labels: dict[str, str] = Field(default_factory=dict)
    pod_annotations: dict[str, str] = Field(default_factory=dict)
    network_policy: NetworkPolicySpec = NetworkPolicySpec()
    host_aliases: list[dict[str, Any]] | None = None
    env: list[dict[str, Any]] | None = None


class PriceSpec(_Part):
    """What a million tokens of a model cost."""

    model: str
    text_input: float
    cached_text_input: float | None = None
    audio_input: float
    cached_audio_input: float | None = None
    text_output: float
    audio_output: float | None = None


class BudgetSpec(_Part):
    """What the calls of a day and of a month may cost at the model, in the currency of the prices, or in tokens without prices."""

    per_day: float | None = None
    per_month: float | None = None
    action: OverBudget = OverBudget.WARN
    prices: list[PriceSpec] = Field(default_factory=list)


class LimitsSpec(_Part):
    """What the object's calls may take, all relays together."""

    max_calls: int | None = None
    budget: BudgetSpec | None = None


class PrivacySpec(_Part):
    """What leaves the relay besides suggestions."""

    transcripts: Transcripts = Transcripts.PUBLISH


class MonitoringSpec(_Part):
    """What is made for Prometheus."""

    pod_monitor: bool = True
    interval: str = "15s"


class VoiceAssistSpec(_Part):
    """What is wanted."""

    host: str
    path_prefix: str = ""
    ingress: IngressSpec = IngressSpec()
    http_route: HTTPRouteSpec | None = None
    twilio: TwilioSpec
    audio: AudioSpec = AudioSpec()
    model: ModelSpec
    prompt: PromptSpec
    rollout: RolloutSpec = RolloutSpec()
    relay: RelaySpec = RelaySpec()
    limits: LimitsSpec = LimitsSpec()
    network: NetworkSpec = NetworkSpec()
    privacy: PrivacySpec = PrivacySpec()
    monitoring: MonitoringSpec = MonitoringSpec()
    paused: bool = False

    @classmethod
    def read(cls, spec: Any) -> VoiceAssistSpec:
        """Reads the `spec` of an object. Raises ContractError that names each field that does not fit."""
        try:
            return cls.model_validate(spec)
        except ValidationError as error:
            raise from_validation("VoiceAssist.spec", error) from None
