"""RelayStatus: what a relay tells the operator at `:9090/status`."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .base import Model


class PeerReason(StrEnum):
    """Why a peer of the relay is not well."""

    UNKNOWN = "Unknown"
    UNREACHABLE = "Unreachable"
    REFUSED = "Refused"
    QUOTA = "Quota"
    MISCONFIGURED = "Misconfigured"
    RATE_LIMITED = "RateLimited"
    SERVER_ERROR = "ServerError"


class PeerStatus(Model):
    """How the model or Sync is doing, seen from this relay."""

    ok: bool
    reason: PeerReason | None = None
    message: str = Field("", max_length=500)
    since: float = Field(description="Epoch seconds of the last change.")


class RelayStatus(Model):
    """One relay's state."""

    version: str
    namespace: str = ""
    name: str = Field("", description="With the namespace, the VoiceAssist that this relay belongs to.")
    pod: str
    config_revision: str
    config_error: str = Field("", description="Why the newest file was refused; empty when it is in force.")
    prompt_revisions: dict[str, int] = Field(description="Live calls by prompt revision; revisions in the configuration are always listed.")
    secrets_version: str = Field("", description="Changes when a secret file changes; never a hash of a value.")
    active_calls: int
    max_calls: int
    draining: bool
    ready: bool
    not_ready_reasons: list[str] = Field(default_factory=list)
    model: PeerStatus
    sync: PeerStatus
