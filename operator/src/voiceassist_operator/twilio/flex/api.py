"""An account's Flex configuration over REST; only what the operator uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..client import TwilioClient

CONFIGURATION = "/v1/Configuration"


class FlexOperations(Protocol):
    """What keeping an entry needs of the Flex configuration."""

    async def fetch(self) -> dict[str, Any]:
        """Returns the configuration."""

    async def update(self, changes: Mapping[str, Any]) -> None:
        """Replaces these top-level fields, each as a whole."""


@dataclass(frozen=True, slots=True)
class FlexConfiguration:
    """The Flex configuration over REST: the `twilio` package cannot write JSON bodies."""

    client: TwilioClient = field(repr=False)

    async def fetch(self) -> dict[str, Any]:
        """Returns the configuration."""
        return await self.client.ask("flex-api", "GET", CONFIGURATION)

    async def update(self, changes: Mapping[str, Any]) -> None:
        """Replaces these top-level fields, each as a whole. Writing the same again does no harm to what is ours, but to others':

        so it is not repeated after an unclear answer; the caller reads again.
        """
        body = {"account_sid": self.client.login.account_sid, **changes}
        await self.client.ask("flex-api", "POST", CONFIGURATION, json=body)
