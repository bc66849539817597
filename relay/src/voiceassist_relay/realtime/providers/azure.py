"""Azure OpenAI (pure): an address of the customer's own, a header of its own, and deployments in place of models."""

from __future__ import annotations

from voiceassist_crds.config import AuthHeader

from .base import Provider


class AzureOpenAI(Provider):
    """The GA dialect below `/openai/v1`. What the configuration calls the model is the deployment's name."""

    default_header = AuthHeader.API_KEY

    def path(self, given: str) -> str:
        """A bare host and `/openai` become `/openai/v1/realtime`."""
        return super().path("/openai" if given == "" else given)
