"""What gateways and self-hosted servers need: addresses, headers, families, what a session is told, deprecations, audio formats."""

from __future__ import annotations

import base64
import json
import math
import struct
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contract.openai.strict_types import check_client_event
from integration.model_client_rig import mu_law
from unit.realtime.wire import plan_of
from voiceassist_crds.config import AudioFormat, Checks, Family, ModelConfig
from voiceassist_relay.config.files import read_secrets
from voiceassist_relay.errors import ConfigRefused
from voiceassist_relay.metrics.relay_metrics import RelayMetrics
from voiceassist_relay.realtime.audio_sender import AudioSender
from voiceassist_relay.realtime.core.audio_drift import AudioDrift, Hearing
from voiceassist_relay.realtime.core.audio_format import encoder
from voiceassist_relay.realtime.core.audio_time import AudioClock
from voiceassist_relay.realtime.core.limits import SessionLimits
from voiceassist_relay.realtime.providers import provider_of, same_endpoint
from voiceassist_relay.realtime.providers.deprecations import SHUTDOWN, retiring
from voiceassist_relay.realtime.session_connection import SessionConnection
from voiceassist_relay.realtime.session_profiles import TranscriptionProfile


def compatible(**model: Any) -> ModelConfig:
    return ModelConfig.model_validate({"provider": "Compatible", "url": "ws://h/v1", **model})


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-realtime-2.1-mini", Family.SECOND),
        ("gpt-realtime-2", Family.SECOND),
        ("openai/gpt-realtime-2.1-mini", Family.SECOND),
        ("my-GPT-Realtime-2.1-eastus", Family.SECOND),
        ("gpt-realtime", Family.FIRST),
        ("gpt-realtime-2025-08-28", Family.FIRST),
        ("gpt-realtime-1.5", Family.FIRST),
        ("assist", Family.OTHER),
    ],
)
def test_providers_family_is_guessed_from_the_name(name: str, family: Family) -> None:
    model = compatible(name=name)
    assert provider_of(model).family(model) is family
    assert provider_of(model).capabilities(model).reasoning is (family is Family.SECOND)


def test_providers_family_that_is_set_overrules_the_name() -> None:
    told = json.loads(plan_of(name="assist", family="GPTRealtime2", reasoningEffort="XHigh").conversation_update("u"))["session"]
    assert told["reasoning"] == {"effort": "xhigh"}
    assert "reasoning" not in json.loads(plan_of(family="Other").conversation_update("u"))["session"]


def test_providers_headers_and_query_are_added_to_ours() -> None:
    model = compatible(
        headers=[{"name": "x-portkey-provider", "value": "openai"}, {"name": "x-kept"}], query={"guardrails": "pii,words"}, name="a b"
    )
    endpoint = provider_of(model).conversation_endpoint(model, "k", (("x-kept", "secret"),))
    assert endpoint.url == "ws://h/v1/realtime?model=a%20b&guardrails=pii%2Cwords"
    assert endpoint.headers == (("Authorization", "Bearer k"), ("x-portkey-provider", "openai"), ("x-kept", "secret"))
    assert "secret" not in repr(endpoint)
    assert not same_endpoint(model, compatible(name="a b"))


@pytest.mark.parametrize(
    "model",
    [
        {"headers": [{"name": "authorization", "value": "x"}]},
        {"headers": [{"name": "API-Key", "value": "x"}]},
        {"headers": [{"name": "Sec-WebSocket-Protocol", "value": "x"}]},
        {"headers": [{"name": "OpenAI-Beta", "value": "x"}]},
        {"headers": [{"name": "x-a", "value": "x"}, {"name": "X-A", "value": "y"}]},
        {"headers": [{"name": "x-a", "value": "x\r\ny: z"}]},
        {"query": {"model": "other"}},
        {"query": {"intent": "x"}},
        {"query": {"a b": "x"}},
    ],
)
def test_providers_what_would_override_ours_is_refused(model: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        compatible(**model)


@pytest.mark.parametrize(
    ("provider", "transcription", "query"),
    [
        ({}, {}, "intent=transcription"),
        ({"provider": "AzureOpenAI", "url": "https://r"}, {"agentModel": "words"}, "intent=transcription"),
        (
            {"provider": "Compatible", "url": "ws://h"},
            {"agentModel": "words", "agentQuery": "IntentAndModel"},
            "intent=transcription&model=words",
        ),
        ({"provider": "Compatible", "url": "ws://h"}, {"agentModel": "words", "agentQuery": "Model"}, "model=words"),
        ({"provider": "Compatible", "url": "ws://h"}, {"agentQuery": "Intent"}, "intent=transcription"),
    ],
)
def test_providers_the_agents_address_names_the_model_where_gateways_route_by_it(
    provider: dict[str, Any], transcription: dict[str, Any], query: str
) -> None:
    model = ModelConfig.model_validate({**provider, "transcription": transcription})
    assert provider_of(model).transcription_endpoint(model, "k").url.partition("?")[2] == query


def test_providers_the_agents_realtime_session_never_answers() -> None:
    plan = plan_of(transcription={"agentSession": "Realtime"})
    event = json.loads(plan.transcription_update("u", detection=True, realtime=True))
    assert check_client_event(event) == []
    assert event["session"]["type"] == "realtime"
    assert event["session"]["audio"]["input"]["turn_detection"]["create_response"] is False
    model = plan.model
    assert "intent" not in provider_of(model).transcription_endpoint(model, "k", realtime=True).url


def test_providers_everything_that_newer_clients_can_set() -> None:
    plan = plan_of(
        transcription={"keywords": ["Gold waiver"], "languages": ["de-AT", "de", "en-GB"], "prompt": "Bank talk.", "delay": "XHigh"},
        noiseReduction="FarField",
        noiseReductionStrength=0.4,
        tracing="Auto",
        storedPrompt={"id": "pmpt_1", "version": "2"},
    )
    event = json.loads(plan.conversation_update("u"))
    assert check_client_event(event) == []
    session, heard = event["session"], event["session"]["audio"]["input"]
    assert heard["transcription"] == {
        "model": "gpt-transcribe",
        "prompt": "Bank talk.",
        "languages": ["de", "en"],
        "keywords": ["Gold waiver"],
        "delay": "xhigh",
    }
    assert heard["noise_reduction"] == {"type": "far_field", "strength": 0.4}
    assert (session["tracing"], session["prompt"]) == ("auto", {"id": "pmpt_1", "version": "2"})


def test_providers_a_strength_that_is_taken_back_does_not_stay() -> None:
    before = plan_of(noiseReduction="FarField", noiseReductionStrength=0.4).model
    after = json.loads(plan_of(noiseReduction="FarField").conversation_update("u", before))["session"]
    assert after["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 1.0}
    fresh = json.loads(plan_of(noiseReduction="FarField").conversation_update("u"))["session"]
    assert fresh["audio"]["input"]["noise_reduction"] == {"type": "far_field"}


def test_providers_a_prompts_revision_is_as_it_was_unless_something_new_is_set() -> None:
    plain, stored = plan_of(), plan_of(storedPrompt={"id": "p"})
    assert plain.model.wire() == {}
    assert stored.model.wire() == {"storedPrompt": {"id": "p"}}


def test_providers_names_that_end_are_told_sixty_days_ahead() -> None:
    names = ["openai/gpt-realtime-mini", "whisper-1", "gpt-transcribe"]
    assert retiring(names, date(2026, 11, 20)) == []
    assert retiring(names, date(2026, 11, 21)) == ["openai/gpt-realtime-mini ends in 60 days (2027-01-20); choose another"]
    assert [text.partition(" ")[0] for text in retiring(names, date(2027, 2, 1))] == ["openai/gpt-realtime-mini", "whisper-1"]
    assert "has ended" in retiring(names, date(2027, 3, 1))[0]
    assert set(SHUTDOWN.values()) == {date(2027, 1, 20), date(2027, 2, 26)}


@pytest.mark.parametrize(("form", "rate"), [(AudioFormat.PCM16K, 16_000), (AudioFormat.PCM24K, 24_000)])
def test_providers_audio_is_the_same_tone_at_another_rate(form: AudioFormat, rate: int) -> None:
    encode = encoder(form)
    assert encode is not None
    wave = bytes(mu_law(int(20_000 * math.sin(2 * math.pi * 400 * n / 8000))) for n in range(8000))
    out = b"".join(base64.b64decode(encode(base64.b64encode(wave[at : at + 160]))) for at in range(0, 8000, 160))
    samples = struct.unpack(f"<{len(out) // 2}h", out)
    assert abs(len(samples) - rate) <= 2 * rate // 8000
    crossings = sum(a < 0 <= b for a, b in pairwise(samples))
    assert abs(crossings - 400) <= 2
    assert 19_000 < max(samples) < 21_000
    jumps = max(abs(a - b) for a, b in pairwise(samples))
    assert jumps < 20_000 * 2 * math.pi * 400 / rate * 1.3  # no step where one frame follows another
    assert encode(b"!") == b""


def test_providers_audio_as_it_comes_is_not_touched() -> None:
    assert encoder(AudioFormat.PCMU) is None


def test_providers_the_sender_encodes_what_a_session_takes_and_keeps_what_came() -> None:
    sent: list[bytes] = []
    sender = AudioSender("customer", RelayMetrics(), SessionLimits())
    payload = base64.b64encode(b"\x80" * 160)
    sender.attach(sent.append, AudioClock(), math.inf, None, encoder(AudioFormat.PCM16K))
    sender.put(payload, 0.0)
    sender.put(payload, 0.02)
    plain: list[bytes] = []
    sender.attach(plain.append, AudioClock(), 0.0)
    assert len(sent) == len(plain) == 2
    assert len(sent[1]) - len(plain[1]) == 856 - 216


@pytest.mark.parametrize(("form", "told"), [("PCMU", {"type": "audio/pcmu"}), ("PCM16k", {"type": "audio/pcm", "rate": 16000})])
def test_providers_the_session_is_told_the_format(form: str, told: dict[str, Any]) -> None:
    plan = plan_of(audioFormat=form)
    for update in (plan.conversation_update("u"), plan.transcription_update("u", detection=True)):
        assert json.loads(update)["session"]["audio"]["input"]["format"] == told
    assert not same_endpoint(compatible(audioFormat="PCMU"), compatible(audioFormat="PCM16k"))


def test_providers_another_format_is_another_session_of_the_agent_too() -> None:
    profile = TranscriptionProfile(SessionLimits())
    one, other = plan_of(audioFormat="PCMU"), plan_of(audioFormat="PCM24k")
    assert profile.same_endpoint(one, one)
    assert not profile.same_endpoint(one, other)


def drift(*signs: tuple[float, float]) -> list[Hearing]:
    """What is told; `signs` are seconds that a server counts, and seconds that it was sent."""
    judge = AudioDrift()
    return [told for heard, sent in signs if (told := judge.heard(heard * 1000, sent * 1000)) is not None]


def speech_of(*, talk: float, pause: float, turns: int) -> list[float]:
    """When speech begins and ends, in seconds of audio."""
    return [at for turn in range(turns) for at in (turn * (talk + pause) + pause, (turn + 1) * (talk + pause))]


def test_providers_drift_of_a_server_that_reads_another_format() -> None:
    times = speech_of(talk=3, pause=4, turns=6)
    assert drift(*((at / 4, at + 0.5) for at in times)) == [Hearing.MISREAD]
    assert drift(*((at * 1.5, at + 0.5) for at in times)) == [Hearing.MISREAD]
    assert drift(*((at / 4, at + 0.5) for at in speech_of(talk=1.5, pause=4, turns=9))) == [Hearing.MISREAD]


def test_providers_drift_is_none_of_a_server_that_counts_right_and_that_is_told_once() -> None:
    assert drift(*((at, at + 0.7) for at in speech_of(talk=2, pause=4, turns=30))) == [Hearing.RIGHT]
    late = [(at, at + (2.5 if number % 2 else 0.3)) for number, at in enumerate(speech_of(talk=3, pause=4, turns=30))]
    assert Hearing.MISREAD not in drift(*late), "a server that thinks about a turn's end"
    assert AudioDrift().heard(None, 60_000) is AudioDrift().heard(0, 60_000) is None


def test_providers_drift_is_none_of_servers_that_count_each_buffer_or_by_the_clock_or_catch_up() -> None:
    times = speech_of(talk=2, pause=4, turns=30)
    each_buffer = [((4.0 if number % 2 == 0 else 6.0), at + 0.5) for number, at in enumerate(times)]
    assert Hearing.MISREAD not in drift(*each_buffer)
    by_the_clock = [(at + (120 if at > 40 else 0), at + 0.5) for at in times]  # on hold for two minutes
    assert Hearing.MISREAD not in drift(*by_the_clock)
    spoken = (1, 3, 6, 8, 11, 13, 16, 18, 21, 23, 26, 29)
    assert Hearing.MISREAD not in drift(*((at, 30 + at / 6) for at in spoken)), "30 s at once, heard at six times their pace"
    went_on = [(at, at + 0.5) for at in times[:6]] + [(at, max(at + 0.5, 66 + (at - 36) / 6)) for at in times[12:]]
    assert Hearing.MISREAD not in drift(*went_on)


def test_providers_drift_that_is_over_is_told() -> None:
    wrong = [(at / 4, at + 0.5) for at in speech_of(talk=3, pause=4, turns=4)]
    heard, sent = wrong[-1]
    right = [(heard + at, sent + at) for at in speech_of(talk=3, pause=4, turns=4)]
    assert drift(*wrong, *right) == [Hearing.MISREAD, Hearing.RIGHT]


async def test_providers_a_session_lives_as_long_as_is_set() -> None:
    for given, life in ((600, 600.0), (None, SessionLimits().session_life)):
        connection = SessionConnection(plan_of(sessionSeconds=given), RelayMetrics(), SessionLimits(), lambda: None)
        assert connection.expires_in == life


def test_providers_headers_that_are_secret_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "model-api-key").write_text("k")
    model = compatible(headers=[{"name": "X-Portkey-Config"}])
    with pytest.raises(ConfigRefused, match="model-header-x-portkey-config missing"):
        read_secrets(tmp_path, Checks.OFF, model)
    (tmp_path / "model-header-x-portkey-config").write_text("secret\n")
    secrets = read_secrets(tmp_path, Checks.OFF, model)
    assert secrets.model_headers == (("X-Portkey-Config", "secret"),)
    assert "secret" in secrets.values and "secret" not in repr(secrets)
