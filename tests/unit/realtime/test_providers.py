"""Providers: each rule of theirs, where it is known; the contract knows none."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from unit.realtime.wire import relay_config
from voiceassist_crds.config import AuthHeader, ModelConfig, Provider
from voiceassist_relay.cli import guard_of
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.errors import ConfigRefused
from voiceassist_relay.realtime.providers import provider_of

ROOT = Path(__file__).parents[3]


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


# What adding a provider touches: its folder, the enum with the contract's defaults, and the docs.
KNOWING = {"crds/src/voiceassist_crds/config.py"}
SOURCES = ("crds", "relay", "operator", "monitoring", "demo")
MODELS = re.compile(r"\b(gpt|whisper|realtime|transcribe)-[a-z0-9]", re.IGNORECASE)
GATEWAYS = re.compile(r"\b(litellm|portkey|vllm|localai|speaches|speech-to-speech)\b", re.IGNORECASE)
ADDRESSES = re.compile(r"\b(api\.openai\.com|openai\.azure\.com|deployments?/)", re.IGNORECASE)


def known_in(source: str) -> set[str]:
    """Names of providers and models in a module: in texts that are no docstrings, and members of the enum."""
    tree = ast.parse(source)
    texts = {node.value.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in texts:
            if node.value in list(Provider) or any(sign.search(node.value) for sign in (MODELS, GATEWAYS, ADDRESSES)):
                found.add(node.value)
        elif isinstance(node, ast.Attribute) and node.attr in Provider.__members__:
            found.add(node.attr)
    return found


def test_providers_no_other_module_names_a_provider_or_a_model() -> None:
    known = {
        (name, said)
        for part in SOURCES
        for path in sorted((ROOT / part / "src").rglob("*.py"))
        if "/realtime/providers/" not in (name := path.relative_to(ROOT).as_posix()) and name not in KNOWING
        for said in known_in(path.read_text())
    }
    assert known == {
        ("demo/src/voiceassist_demo/stage.py", "OpenAI"),  # what the demo's relays are configured with, as a user does it
        ("demo/src/voiceassist_demo/local/server.py", "Compatible"),
    }


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('if name.startswith("gpt-realtime-2"): ...', {"gpt-realtime-2"}),
        ("if model.provider is Provider.COMPATIBLE: ...", {"COMPATIBLE"}),
        ('if model.provider == "AzureOpenAI": ...', {"AzureOpenAI"}),
        ('URL = "wss://api.openai.com/v1"', {"wss://api.openai.com/v1"}),
        ('"""OpenAI: gpt-realtime."""\nprovider_of(model).capabilities(model)', set()),
    ],
)
def test_providers_what_counts_as_naming_one(code: str, said: set[str]) -> None:
    assert known_in(code) == said


def test_providers_each_has_a_file_of_its_own_and_none_but_the_enum_names_it() -> None:
    files = {path.stem for path in (ROOT / "relay/src/voiceassist_relay/realtime/providers").glob("*.py")}
    assert {type(provider_of(model_of(provider=one, url="wss://h"))).__module__.rpartition(".")[2] for one in Provider} == files - {
        "__init__",
        "base",
        "deprecations",
    }
