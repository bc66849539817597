"""Where a session is dialled: address and headers for each provider. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from voiceassist_crds.config import AuthHeader, ModelConfig


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A websocket address and the headers that go with it; the headers hold the key and are never shown."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)


def conversation_endpoint(model: ModelConfig, key: str) -> Endpoint:
    """The conversation session; at Azure the model's name is the deployment's."""
    return Endpoint(f"{model.endpoint()}?model={quote(model.name, safe='')}", _headers(model, key))


def transcription_endpoint(model: ModelConfig, key: str) -> Endpoint:
    """The agent's transcription session: an intent, and no model."""
    return Endpoint(f"{model.endpoint()}?intent=transcription", _headers(model, key))


def same_place(a: ModelConfig, b: ModelConfig) -> bool:
    """Whether a session of `a` can be updated to `b`; otherwise a new one must be dialled."""
    return a.endpoint() == b.endpoint() and a.name == b.name and a.key_header is b.key_header


def _headers(model: ModelConfig, key: str) -> tuple[tuple[str, str], ...]:
    if not key:
        return ()
    header = model.key_header
    return ((header.value, f"Bearer {key}" if header is AuthHeader.AUTHORIZATION else key),)
