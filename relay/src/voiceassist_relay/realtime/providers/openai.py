"""OpenAI (pure): one public address, always encrypted."""

from __future__ import annotations

from .base import Provider


class OpenAI(Provider):
    """api.openai.com, or another of OpenAI's addresses, for instance a regional one."""

    default_url = "wss://api.openai.com/v1/realtime"
