"""OpenAI (pure): one public address, always encrypted."""

from __future__ import annotations

from voiceassist_crds.config import AgentQuery

from .base import Provider


class OpenAI(Provider):
    """api.openai.com, or another of OpenAI's addresses, for instance a regional one."""

    agent_query = AgentQuery.INTENT
    default_url = "wss://api.openai.com/v1/realtime"
