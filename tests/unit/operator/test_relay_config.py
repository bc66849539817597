"""What relays are told of the model: every setting of the object, as it stands there."""

from __future__ import annotations

from typing import Any

import pytest

from unit.operator.making import spec
from voiceassist_crds.config import ModelConfig
from voiceassist_operator.policy.relay_config import relay_config

SETTINGS: dict[str, Any] = {
    "provider": "Compatible",
    "url": "ws://gateway:4000/v1",
    "name": "assist",
    "authHeader": "X-API-Key",
    "turnDetection": {"type": "ServerVAD", "silenceDurationMs": 700},
    "transcription": {
        "model": "a",
        "agentModel": "b",
        "language": "de",
        "languages": ["de", "en"],
        "keywords": ["Gold waiver"],
        "prompt": "Bank talk.",
        "delay": "XHigh",
        "agentQuery": "IntentAndModel",
        "agentSession": "Realtime",
    },
    "noiseReduction": "FarField",
    "noiseReductionStrength": 0.4,
    "maxOutputTokens": 77,
    "reasoningEffort": "XHigh",
    "maxResponsesPerMinute": 7,
    "truncation": {"retentionRatio": 0.6, "postInstructionsTokens": 1234},
    "family": "GPTRealtime2",
    "audioFormat": "PCM24k",
    "headers": [{"name": "x-portkey-provider", "value": "openai"}],
    "query": {"guardrails": "pii"},
    "sessionSeconds": 600,
    "tracing": "Auto",
    "storedPrompt": {"id": "pmpt_1", "version": "2"},
    "check": "Session",
}
NEEDED = {key: SETTINGS[key] for key in ("provider", "url")}
KEY = {"apiKeySecretRef": {"name": "model"}}


def told(model: dict[str, Any]) -> ModelConfig:
    return relay_config("team", "support", spec(model={**KEY, **model}), "You help.", "IS" + "0" * 32).model


def test_relay_config_every_setting_of_the_model_is_in_the_table() -> None:
    assert {field.alias or name for name, field in ModelConfig.model_fields.items()} == set(SETTINGS) | {"language"}


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_relay_config_relays_are_told_each_setting_of_the_model(setting: str) -> None:
    expected = ModelConfig.model_validate({**NEEDED, setting: SETTINGS[setting]})
    assert told({**NEEDED, setting: SETTINGS[setting]}) == expected
    if setting not in NEEDED:
        assert expected != ModelConfig.model_validate(NEEDED)


def test_relay_config_a_call_in_one_language_where_nothing_is_written_down() -> None:
    assert told({"transcription": {"enabled": False, "language": "de"}}).language == "de"


def test_relay_config_a_secret_header_has_no_value_there() -> None:
    source = {"secretKeyRef": {"name": "portkey", "key": "config"}}
    (header,) = told({"headers": [{"name": "x-portkey-config", "valueFrom": source}]}).headers
    assert (header.name, header.value) == ("x-portkey-config", None)
