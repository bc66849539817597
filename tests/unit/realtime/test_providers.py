"""Providers: each rule of theirs, where it is known; the contract knows none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unit.realtime.wire import relay_config
from voiceassist_crds.config import AuthHeader, ModelConfig
from voiceassist_relay.cli import guard_of
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.errors import ConfigRefused
from voiceassist_relay.realtime.providers import provider_of

RELAY = Path(__file__).parents[3] / "relay/src/voiceassist_relay"


def model_of(**model: Any) -> ModelConfig:
    return ModelConfig.model_validate(model)


@pytest.mark.parametrize(
    ("provider", "url", "expected"),
    [
        ("OpenAI", None, "wss://api.openai.com/v1/realtime"),
        ("OpenAI", "https://eu.api.openai.com", "wss://eu.api.openai.com/v1/realtime"),
        ("OpenAI", "http://127.0.0.1:81", "ws://127.0.0.1:81/v1/realtime"),
        ("AzureOpenAI", "https://r.openai.azure.com", "wss://r.openai.azure.com/openai/v1/realtime"),
        ("AzureOpenAI", "https://r.openai.azure.com/openai/v1/", "wss://r.openai.azure.com/openai/v1/realtime"),
        ("Compatible", "ws://speech:8000/v1", "ws://speech:8000/v1/realtime"),
        ("Compatible", "wss://api.example.com/custom/path", "wss://api.example.com/custom/path"),
    ],
)
def test_providers_address(provider: str, url: str | None, expected: str) -> None:
    model = model_of(provider=provider, url=url)
    assert provider_of(model).address(model) == expected


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({}, AuthHeader.AUTHORIZATION),
        ({"provider": "AzureOpenAI", "url": "https://r"}, AuthHeader.API_KEY),
        ({"provider": "AzureOpenAI", "url": "https://r", "authHeader": "Authorization"}, AuthHeader.AUTHORIZATION),
        ({"provider": "Compatible", "url": "ws://r", "authHeader": "X-API-Key"}, AuthHeader.X_API_KEY),
    ],
)
def test_providers_key_header_by_provider_and_by_choice(given: dict[str, Any], header: AuthHeader) -> None:
    model = model_of(**given)
    assert provider_of(model).key_header(model) is header


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, None),
        ({"provider": "AzureOpenAI"}, "url is missing"),
        ({"provider": "Compatible"}, "url is missing"),
        ({"url": "ws://models.example.com"}, "not encrypted"),
        ({"url": "http://127.0.0.1:81"}, None),
        ({"provider": "AzureOpenAI", "url": "http://r.openai.azure.com"}, "not encrypted"),
        ({"provider": "Compatible", "url": "ws://speech:8000/v1"}, None),
    ],
)
def test_providers_a_configuration_that_the_provider_cannot_serve_is_refused(given: dict[str, Any], words: str | None) -> None:
    snapshot = Snapshot(relay_config(model=given), Secrets(auth_token="t"))
    if words is None:
        guard_of("127.0.0.1")(snapshot)
    else:
        with pytest.raises(ConfigRefused, match=f"model: .*{words}"):
            guard_of("127.0.0.1")(snapshot)


@pytest.mark.parametrize(
    ("name", "agent", "reasoning", "detection"),
    [
        ("gpt-realtime-2.1-mini", "gpt-transcribe", True, True),
        ("gpt-realtime-1.5", "gpt-live-transcribe", False, False),
        ("gpt-realtime", "gpt-realtime-whisper", False, False),
    ],
)
def test_providers_capabilities(name: str, agent: str, reasoning: bool, detection: bool) -> None:
    model = model_of(name=name, transcription={"agentModel": agent})
    found = provider_of(model).capabilities(model)
    assert (found.reasoning, found.turn_detection_of_agent) == (reasoning, detection)


def test_providers_no_other_module_names_a_provider_or_its_models() -> None:
    """Neither the relay nor the contract, but for what defines a prompt's revision and the configuration's defaults."""
    signs = ("api.openai.com", "gpt-live-transcribe", "gpt-realtime-whisper", "AzureOpenAI", "AZURE_OPENAI", "Provider.COMPATIBLE")
    named = {
        str(path.relative_to(RELAY))
        for path in RELAY.rglob("*.py")
        if any(sign in path.read_text() for sign in signs) and path.parent.name != "providers"
    }
    assert named == set()
