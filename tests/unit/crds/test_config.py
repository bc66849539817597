"""RelayConfig: what fits, what does not, and what the message says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.errors import ContractError

MINIMAL: dict[str, Any] = {
    "host": "assist.example.com",
    "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
    "prompts": [{"instructions": "Help."}],
}


def parse(**changes: Any) -> RelayConfig:
    return RelayConfig.parse(json.dumps({**MINIMAL, **changes}))


def test_config_round_trip_keeps_everything() -> None:
    config = parse(model={"transcription": None, "provider": "Compatible", "url": "ws://models.internal"}, pathPrefix="/a")
    assert RelayConfig.parse(config.to_json()) == config


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"host": None}, "host", "string"),
        ({"hots": "x"}, "hots", "no such field"),
        ({"host": "a b"}, "host", "pattern"),
        ({"pathPrefix": "assist"}, "pathPrefix", "pattern"),
        ({"pathPrefix": "/assist/"}, "pathPrefix", "pattern"),
        ({"twilio": {"accountSid": "AC1", "syncServiceSid": "IS" + "0" * 32}}, "twilio.accountSid", "'AC1'"),
        ({"twilio": {"accountSid": "AC" + "0" * 32}}, "twilio.syncServiceSid", "missing"),
        ({"twilio": {**MINIMAL["twilio"], "apiUrl": "http://x"}}, "twilio.apiUrl", "{product}"),
        ({"twilio": {**MINIMAL["twilio"], "syncTtlSeconds": 5}}, "twilio.syncTtlSeconds", "60"),
        ({"prompts": []}, "prompts", "at least 1"),
        ({"prompts": [{"instructions": ""}]}, "prompts[0].instructions", "at least 1"),
        ({"prompts": [{"instructions": "a", "weight": 60}]}, "(document)", "add up to 60"),
        (
            {"prompts": [{"instructions": "a", "weight": 50, "revision": "aaaa"}, {"instructions": "b", "weight": 50, "revision": "aaaa"}]},
            "(",
            "once",
        ),
        ({"model": {"provider": "Compatible", "url": "wss://h/x?y=1"}}, "model", "query"),
        ({"model": {"turnDetection": {"type": "SemanticVAD", "threshold": 0.5}}}, "model.turnDetection", "ServerVAD only"),
        ({"model": {"turnDetection": {"type": "ServerVAD", "eagerness": "Low"}}}, "model.turnDetection", "SemanticVAD only"),
        ({"model": {"turnDetection": {"type": "SemanticVAD", "eager": {}}}}, "model.turnDetection", "ServerVAD only"),
        ({"model": {"turnDetection": {"eager": {"silenceMs": 500}}}}, "model.turnDetection", "below silenceDurationMs, 500"),
        ({"model": {"turnDetection": {"eager": {"silenceMs": 20}}}}, "model.turnDetection.eager.silenceMs", "greater than or equal to 80"),
        ({"model": {"maxOutputTokens": 5000}}, "model.maxOutputTokens", "4096"),
        ({"limits": {"maxCalls": 0}}, "limits.maxCalls", "1"),
        ({"totalLimits": {"budget": {"action": "Stop"}}}, "totalLimits.budget", "neither perDay nor perMonth"),
        ({"functions": {"allowedOrigins": ["flex.twilio.com"]}}, "functions.allowedOrigins[0]", "pattern"),
        ({"version": 2}, "version", "1"),
    ],
)
def test_config_refused_with_field_and_way_out(changes: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse(**changes)
    assert any(line.startswith(path) and words in line for line in caught.value.problems), caught.value.problems


def test_config_not_json() -> None:
    with pytest.raises(ContractError, match="not JSON"):
        RelayConfig.parse("{")


def test_config_instructions_are_not_repeated_in_errors() -> None:
    with pytest.raises(ContractError) as caught:
        parse(prompts=[{"instructions": "secret sauce " * 4000}])
    assert "secret sauce" not in str(caught.value)
    assert "a text of 52000 characters" in str(caught.value)


@pytest.mark.parametrize(
    ("region", "edge", "expected"),
    [
        (None, None, "https://sync.twilio.com"),
        ("ie1", None, "https://sync.ie1.twilio.com"),
        ("ie1", "dublin", "https://sync.dublin.ie1.twilio.com"),
    ],
)
def test_config_base_url(region: str | None, edge: str | None, expected: str) -> None:
    assert parse(twilio={**MINIMAL["twilio"], "region": region, "edge": edge}).twilio.base_url("sync") == expected


def test_config_another_server_for_every_product() -> None:
    config = parse(twilio={**MINIMAL["twilio"], "apiUrl": "http://sandbox/{product}/", "region": "ie1"})
    assert config.twilio.base_url("sync") == "http://sandbox/sync"
    assert config.twilio.base_url("flex-api") == "http://sandbox/flex-api"


def test_config_urls() -> None:
    config = parse(pathPrefix="/a/b")
    assert config.stream_url("CA1") == "wss://assist.example.com/a/b/ws/CA1"
    assert config.functions_url == "https://assist.example.com/a/b"


def test_config_prompt_revision_follows_what_alters_answers_only() -> None:
    base = parse().prompts[0].revision
    assert parse(limits={"maxCalls": 7}, host="b.example.com").prompts[0].revision == base
    assert parse(model={"maxResponsesPerMinute": 3}).prompts[0].revision == base
    assert parse(prompts=[{"instructions": "Help!"}]).prompts[0].revision != base
    assert parse(model={"name": "gpt-realtime-2.1"}).prompts[0].revision != base
    assert parse(model={"turnDetection": {"silenceDurationMs": 300}}).prompts[0].revision != base
    assert parse(model={"turnDetection": {"eager": {}}}).prompts[0].revision == base


def test_config_revision_follows_everything_and_can_be_given() -> None:
    assert parse(limits={"maxCalls": 7}).config_revision != parse().config_revision
    assert parse(configRevision="abcdef0123").config_revision == "abcdef0123"


@given(st.text(min_size=1, max_size=200))
def test_config_any_instructions_survive_the_file(text: str) -> None:
    config = parse(prompts=[{"instructions": text}])
    assert RelayConfig.parse(config.to_json()).prompts[0].instructions == text
