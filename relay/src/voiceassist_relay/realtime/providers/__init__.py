"""Providers of the Realtime protocol (pure): where a session is dialled, and what its models take."""

from __future__ import annotations

from typing import Final

from voiceassist_crds.config import ModelConfig
from voiceassist_crds.config import Provider as Name

from .azure import AzureOpenAI
from .base import Capabilities, Endpoint, Headers, Provider, TranscriptionPrompt
from .compatible import Compatible
from .openai import OpenAI

__all__ = ["Capabilities", "Endpoint", "Headers", "Provider", "TranscriptionPrompt", "is_format_chosen", "provider_of", "same_endpoint"]

_PROVIDERS: Final[dict[Name, Provider]] = {Name.OPENAI: OpenAI(), Name.AZURE_OPENAI: AzureOpenAI(), Name.COMPATIBLE: Compatible()}


def provider_of(model: ModelConfig) -> Provider:
    """The rules of the provider that the configuration names."""
    return _PROVIDERS[model.provider]


def same_endpoint(a: ModelConfig, b: ModelConfig) -> bool:
    """Whether a conversation of `a` can be updated to `b`; otherwise a new one must be dialled."""
    ours, theirs = provider_of(a), provider_of(b)
    return ours.conversation_endpoint(a, "k") == theirs.conversation_endpoint(b, "k") and ours.audio_format(a) is theirs.audio_format(b)


def is_format_chosen(model: ModelConfig) -> bool:
    """Whether the audio's format is set, or known of the provider; else it is a guess."""
    return model.audio_format is not None or provider_of(model).known
