"""Closed lists: condition types and reasons of a VoiceAssist, and why a relay refuses an upgrade."""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Conditions of a VoiceAssist's status."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    RELAY_AVAILABLE = "RelayAvailable"
    MODEL_REACHABLE = "ModelReachable"
    ENDPOINT_REACHABLE = "EndpointReachable"
    SYNC_CONFIGURED = "SyncConfigured"
    FUNCTIONS_CONFIGURED = "FunctionsConfigured"
    FLEX_CONFIGURED = "FlexConfigured"
    PROMPT_ROLLED_OUT = "PromptRolledOut"


class Reason(StrEnum):
    """Reasons of conditions. A reason says one thing and has one way out in docs/conditions.md."""

    READY = "Ready"
    NOT_READY = "NotReady"
    RECONCILED = "Reconciled"
    RECONCILING = "Reconciling"
    PAUSED = "Paused"
    DELETING = "Deleting"
    INVALID_SPEC = "InvalidSpec"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_INCOMPLETE = "SecretIncomplete"  # noqa: S105
    PROMPT_SOURCE_NOT_FOUND = "PromptSourceNotFound"
    PROMPT_TOO_LONG = "PromptTooLong"
    HOST_CONFLICT = "HostConflict"
    APPLY_FAILED = "ApplyFailed"
    RELAYS_AVAILABLE = "RelaysAvailable"
    RELAYS_STARTING = "RelaysStarting"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    RELAYS_CRASHING = "RelaysCrashing"
    UNSCHEDULABLE = "Unschedulable"
    NO_RELAYS = "NoRelays"
    MODEL_OK = "ModelOK"
    MODEL_REFUSED = "ModelRefused"
    MODEL_QUOTA = "ModelQuota"
    MODEL_UNREACHABLE = "ModelUnreachable"
    MODEL_MISCONFIGURED = "ModelMisconfigured"
    ENDPOINT_OK = "EndpointOK"
    DNS_FAILED = "DNSFailed"
    CERTIFICATE_INVALID = "CertificateInvalid"
    CONNECTION_FAILED = "ConnectionFailed"
    PATH_NOT_ROUTED = "PathNotRouted"
    SYNC_OK = "SyncOK"
    SYNC_REFUSED = "SyncRefused"
    SYNC_NOT_FOUND = "SyncNotFound"
    SYNC_UNREACHABLE = "SyncUnreachable"
    TWILIO_PENDING = "TwilioPending"
    TWILIO_REFUSED = "TwilioRefused"
    TWILIO_SUSPENDED = "TwilioSuspended"
    TWILIO_UNREACHABLE = "TwilioUnreachable"
    TWILIO_REJECTED = "TwilioRejected"
    FUNCTIONS_DEPLOYING = "FunctionsDeploying"
    FUNCTIONS_BUILD_FAILED = "FunctionsBuildFailed"
    FUNCTIONS_NOT_FOUND = "FunctionsNotFound"
    FUNCTIONS_NAME_TAKEN = "FunctionsNameTaken"
    FLEX_NOT_FOUND = "FlexNotFound"
    FLEX_CONFLICT = "FlexConflict"
    FLEX_CONTENDED = "FlexContended"
    NOT_CONFIGURED = "NotConfigured"
    CONFIGURED = "Configured"
    ROLLED_OUT = "RolledOut"
    ROLLING_OUT = "RollingOut"
    PODS_NOT_REPORTING = "PodsNotReporting"
    STATUS_UNREADABLE = "StatusUnreadable"
    CONFIG_REFUSED = "ConfigRefused"
    CUSTOM_ENDPOINTS_NOT_ALLOWED = "CustomEndpointsNotAllowed"
    UNKNOWN = "Unknown"


class Refusal(StrEnum):
    """Why an upgrade or a stream was refused: the label of `upgrades_total{outcome}`."""

    ACCEPTED = "accepted"
    PROBE = "probe"
    NO_SIGNATURE = "no_signature"
    BAD_SIGNATURE = "bad_signature"
    BAD_PATH = "bad_path"
    BAD_HANDSHAKE = "bad_handshake"
    QUERY = "query"
    NO_UPGRADE = "no_upgrade"
    FULL = "full"
    DRAINING = "draining"
    RATE = "rate"
    START_TIMEOUT = "start_timeout"
    MEDIA_BEFORE_START = "media_before_start"
    SECOND_START = "second_start"
    BAD_START = "bad_start"
    OTHER_ACCOUNT = "other_account"
    OTHER_CALL = "other_call"
    TOKEN_MISSING = "token_missing"  # noqa: S105
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_OTHER_CALL = "token_other_call"  # noqa: S105
    BINARY = "binary"
    TOO_BIG = "too_big"
    TOO_MANY = "too_many"
    NOT_JSON = "not_json"
    PROTOCOL_ERROR = "protocol_error"
    REPLACED = "replaced"
    SUPERSEDED = "superseded"
    GONE = "gone"
    INTERNAL_ERROR = "internal_error"
