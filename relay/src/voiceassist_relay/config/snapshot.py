"""The snapshot: configuration and secrets as of one moment. Replaced as a whole, never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from voiceassist_crds.config import RelayConfig


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the secrets directory holds. Values never appear in a repr or a log."""

    auth_token: str = field(repr=False, default="")
    auth_token_secondary: str = field(repr=False, default="")
    api_key_sid: str = field(repr=False, default="")
    api_key_secret: str = field(repr=False, default="")
    model_key: str = field(repr=False, default="")
    model_headers: tuple[tuple[str, str], ...] = field(repr=False, default=())
    """Names and values of the model's headers that are in files."""

    @property
    def auth_tokens(self) -> tuple[str, ...]:
        """Every auth token that Twilio may sign with now, the primary first."""
        return tuple(token for token in (self.auth_token, self.auth_token_secondary) if token)

    @property
    def values(self) -> tuple[str, ...]:
        """Every value that nobody may read anywhere."""
        return tuple(
            value for value in (*self.auth_tokens, self.api_key_secret, self.model_key, *dict(self.model_headers).values()) if value
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One valid configuration with its secrets. `secrets_version` changes with the files, and is no hash of a value."""

    config: RelayConfig
    secrets: Secrets
    secrets_version: str = ""
    passed_over: tuple[str, ...] = ()
    """Paths of fields in the configuration's file that this version does not know."""
    authorities: str = field(repr=False, default="")
    """Certificate authorities to trust besides the system's, in PEM."""


CurrentSnapshot = Callable[[], Snapshot]
"""Gives the snapshot in force; called at the moment of use, never kept across an await that may last."""
