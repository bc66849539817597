"""A Sync service: what a VoiceAssist asks for, and what the account has. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


def friendly_name(namespace: str, name: str, uid: str) -> str:
    """Returns the name of the service that is made for an object."""
    return f"voiceassist/{namespace}/{name}/{uid}"


@dataclass(frozen=True, slots=True)
class SyncDesired:
    """What the object asks for."""

    friendly_name: str
    given_sid: str = ""
    """`sync.serviceSid`."""


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """Settings of a Sync service, by the names that the `twilio` package gives them; the defaults are what ours has."""

    acl_enabled: bool = True
    webhook_url: str = ""
    webhooks_from_rest_enabled: bool = False
    reachability_webhooks_enabled: bool = False


@dataclass(frozen=True, slots=True)
class SyncService:
    """A Sync service."""

    sid: str
    friendly_name: str
    settings: SyncSettings
    created: float = 0.0
    """Epoch seconds."""
