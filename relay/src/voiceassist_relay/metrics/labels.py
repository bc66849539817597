"""Closed lists: every value that a label of the relay's metrics can have. Pure.

What is counted under a value that is not here is counted as `other`, so that no input makes a series more than the bound.
"""

from __future__ import annotations

from itertools import product
from typing import Final

from voiceassist_crds.messages import StatusReason, Track
from voiceassist_crds.names import CALLBACK_PATH, FEEDBACK_PATH, STREAM_PATH, TOKEN_PATH
from voiceassist_crds.reasons import Refusal

from ..server.limits import HttpRefusal

Values = tuple[tuple[str, ...], ...]
"""For each series the values of its labels, in the order of the labels."""

OTHER: Final = "other"
MOST_SERIES: Final = 500
"""Every series that one relay can have at once stays below this; docs/observability.md says how many there are."""
MAX_REVISIONS: Final = 4
MAX_MODELS: Final = 4
"""Models with series of their own: those of the configuration in force, then those of calls that go on with an older one."""

FRAMES: Final[Values] = (
    *product(
        tuple(track.value for track in Track),
        ("forwarded", "filled", "replayed", "paused", "dropped", "duplicate", "malformed", "overlap"),
    ),
    (Track.AGENT.value, "unused"),
)
QUEUES: Final = ("model_audio", "too_fast", "suggestions", "stream_draft", "stream_transcript", "stream_kept", "log")
UPGRADES: Final = tuple(refusal.value for refusal in Refusal)
HTTP: Final[Values] = (
    *product((STREAM_PATH, TOKEN_PATH, FEEDBACK_PATH, CALLBACK_PATH), ("2xx", "4xx", "5xx")),
    (OTHER, "4xx"),
)
"""Path, and class of the status. The exact status of a refusal is in the answer; what fails with 500 is in the log."""
HTTP_REFUSED: Final = tuple(refusal.value for refusal in HttpRefusal)
STREAM_ENDS: Final = ("socket", "idle", "closed", "model", "superseded", "replaced", "drain", "error", "protocol", "relay", "never_came")
"""Ends of streams other than by `stop`; `protocol`: it broke the protocol; `relay`: its relay is gone."""
RESTARTS: Final = ("started", "refused", "given_up", "call_over")
MOVES: Final = ("moved", "moved_with_gap", "never_came", "refused", "ended", "failed")
"""What became of attempts to move a call; `ended`: the call, or its stream, ended first."""
RECONNECTS: Final = ("closed", "stalled", "expiring", "error", "configuration")
MODEL_ERRORS: Final = (
    # codes of the server; several that mean the same to whoever has to act are counted as one (`realtime.failures.label`)
    "invalid_api_key",
    "account_deactivated",
    "permission_denied",
    "insufficient_quota",
    "model_not_found",
    "setting_refused",
    "session_expired",
    "conversation_already_has_active_response",
    "rate_limit_exceeded",
    "server_error",
    "invalid_request_error",
    # what we make of its answers
    "connect",
    "agent_track",
    "bad_arguments",
    "foreign_response",
    "blocked",
    "audio_refused",
    "audio_format",
    "early_refused",
    "empty_response",
    "transcription_failed",
    StatusReason.MODEL_UNREACHABLE.value,
    StatusReason.MODEL_REFUSED.value,
    StatusReason.MODEL_QUOTA.value,
    StatusReason.MODEL_MISCONFIGURED.value,
    OTHER,
)
PEERS: Final = ("twilio", "model")
OTHER_VERSION: Final = (
    "config_field",
    "document_field",
    "document_mark",
    "document_state",
    "peer_proof",
    "request_field",
    "suggestion_receipt",
)
"""What may have been written by another version."""
FOREIGN_OBJECTS: Final = ("document", "map", "stream")
GAPS: Final = ("sequence", "timestamp")
TOKENS: Final[Values] = (
    ("text", "input", "false"),
    ("text", "input", "true"),
    ("audio", "input", "false"),
    ("audio", "input", "true"),
    ("text", "output", "false"),
    ("audio", "output", "false"),
)
"""Modality, direction, cached: what each model has."""
PUBLISHED: Final = ("ok", "retried", "refused", "given_up")
TWILIO: Final[Values] = tuple(product(("api", "sync", "iam", "taskrouter", "flex-api"), ("ok", "refused", "busy", "unclear")))
"""Product, outcome. The operation stands in the error that the log has."""
STAGES: Final = ("endpointing", "request", "first_token", "generation", "publish")
TURNS: Final = ("suggested", "not_relevant", "merged", "incomplete", "failed", "paused", "dropped", "blocked")
EARLY: Final = ("used", "wasted", "refused")
"""What became of responses that were asked for ahead of a turn's end. `used`: the turn's answer, also if the server refuses it after that
and it is asked for once more; `refused`: by the server before, for its pace too, or it failed."""
VERDICTS: Final = ("up", "down", "edited")
FEEDBACK_REASONS: Final = ("wrong", "not_relevant", "too_late", "too_long", "other")


def alone(values: tuple[str, ...]) -> Values:
    """The values of a metric's only label."""
    return tuple((value,) for value in values)
