"""Server events are read leniently, client events are written strictly, endpoints are the providers' own."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.openai.strict_types import check_client_event
from unit.realtime.wire import plan_of, relay_config
from voiceassist_crds.config import AuthHeader, ModelConfig
from voiceassist_relay.realtime.core import client_events as client
from voiceassist_relay.realtime.core.response import Response
from voiceassist_relay.realtime.core.server_events import BETA_NAMES, PASSED_OVER, USED, NotAnEvent, decode, whole_characters
from voiceassist_relay.realtime.core.suggest_tool import SUGGEST
from voiceassist_relay.realtime.providers import provider_of, same_endpoint

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["type", "item_id", "delta", "response", "item", "error", "session", "usage", "rate_limits", "audio_end_ms", "transcript"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_core_any_json_is_an_event_or_is_refused_as_one(document) -> None:
    try:
        event = decode(json.dumps(document).encode())
    except NotAnEvent:
        return
    assert event.type == BETA_NAMES.get(document["type"], document["type"])


@given(st.binary(max_size=60))
def test_core_any_bytes_raise_nothing_else(data) -> None:
    with pytest.raises(NotAnEvent):
        decode(data)


def test_core_half_a_surrogate_pair_in_a_delta_can_be_read() -> None:
    assert decode(b'{"type":"response.output_text.delta","delta":"a\\ud83d"}').delta == "a\ud83d"
    assert decode(b'{"type":"x","text":"a\\ud83d","transcript":"\\ud83d\\ude00"}').text == "a\ufffd"
    assert decode(b'{"type":"x","text":"a\\ud83d","transcript":"\\ud83d\\ude00"}').transcript == "\U0001f600"
    assert whole_characters("\ud83d" + "\ude00 é") == "\U0001f600 é"


@pytest.mark.parametrize(
    "odd",
    [
        {"usage": "many"},
        {"usage": {"input_tokens": "7"}},
        {"response": {"id": "r1", "usage": {"output_token_details": [1]}}},
        {"response": {"id": "r1", "metadata": "none"}},
        {"rate_limits": {"name": "tokens"}},
        {"rate_limits": [{"remaining": "none left"}]},
        {"error": {"code": 429, "message": "Too many"}},
    ],
)
def test_core_what_is_only_counted_voids_no_event(odd) -> None:
    event = decode(json.dumps({"type": "response.done", "item_id": "i1", **odd}).encode())
    assert (event.type, event.item_id) == ("response.done", "i1")
    assert event.response is None or event.response.id == "r1"
    assert event.error is None or (event.error.code, event.error.message) == ("429", "Too many")


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        ({"item": 7}, "item"),
        ({"response": "x"}, "response"),
        ({"item_id": {}}, "item_id"),
        ({"delta": 5}, "delta"),
        ({"usage": []}, "usage"),
        ({"audio_end_ms": 10**400}, "audio_end_ms"),
    ],
)
def test_core_a_field_of_another_form_is_lost_and_the_event_is_not(odd, name) -> None:
    event = decode(json.dumps({"type": "response.done", "call_id": "c1", **odd}).encode())
    assert (event.type, event.call_id, getattr(event, name)) == ("response.done", "c1", None)


def test_core_the_forms_that_gateways_have_are_read_where_their_meaning_is_plain() -> None:
    bare = decode(b'{"type":"error","error":"model overloaded"}').error
    assert bare is not None and (bare.message, bare.code) == ("model overloaded", None)
    numbered = decode(b'{"type":"error","error":{"type":null,"code":429,"message":"Too many","param":["x"]}}').error
    assert numbered is not None and (numbered.code, numbered.message, numbered.param) == ("429", "Too many", None)
    done = decode(
        b'{"type":"response.done","response":{"id":"r1","status":"failed","status_details":"upstream went away","output":['
        b'{"type":"function_call","id":"i1","name":"suggest","arguments":"{}"},7,{"type":"message","id":9,"content":"x"}],'
        b'"usage":{"input_tokens":12.0,"output_tokens":7.6,"input_token_details":{"text_tokens":12.0,"audio_tokens":"none"}}}}'
    ).response
    assert done is not None and done.usage is not None and done.output is not None
    assert done.status_details is not None and done.status_details.reason == "upstream went away"
    assert (done.usage.input_tokens, done.usage.output_tokens) == (12, 8)
    assert [(item.id, item.type, item.status) for item in done.output] == [("i1", "function_call", None), ("9", "message", None)]


def test_core_without_a_type_it_is_no_event() -> None:
    for message in (b'{"type":7}', b'{"event":"x"}', b"[]", b"7"):
        with pytest.raises(NotAnEvent):
            decode(message)


@pytest.mark.parametrize(("status", "whole"), [({}, True), ({"status": "completed"}, True), ({"status": "incomplete"}, False)])
def test_core_a_call_without_a_status_is_a_whole_one(status: dict[str, str], whole: bool) -> None:
    call = {"id": "i1", "type": "function_call", "name": "suggest", "call_id": "c1", "arguments": '{"relevant":true,"answer":"Yes."}'}
    item = decode(json.dumps({"type": "response.output_item.done", "item": call | status}).encode()).item
    response = Response("va_r1", [])
    assert item is not None
    assert response.done(item) is whole
    arguments = response.call() if whole else None
    assert (arguments.answer if arguments is not None else None) == ("Yes." if whole else None)


def test_core_old_names_are_mapped_and_the_sets_do_not_overlap() -> None:
    assert decode(b'{"type":"response.text.delta","delta":"x"}').type == "response.output_text.delta"
    assert not USED & PASSED_OVER
    assert set(BETA_NAMES.values()) <= USED | PASSED_OVER
    assert not set(BETA_NAMES) & (USED | PASSED_OVER)


def test_core_cached_tokens_are_not_counted_twice() -> None:
    event = decode(
        b'{"type":"response.done","response":{"usage":{"input_token_details":{"text_tokens":119,"audio_tokens":113,"cached_tokens":64,'
        b'"cached_tokens_details":{"text_tokens":60,"audio_tokens":4}},"output_token_details":{"text_tokens":21}}}}'
    )
    assert event.response is not None
    assert event.response.usage is not None
    counts = {(modality, direction, cached): count for modality, direction, cached, count in event.response.usage.counts()}
    assert counts == {
        ("text", "input", False): 59,
        ("text", "input", True): 60,
        ("audio", "input", False): 109,
        ("audio", "input", True): 4,
        ("text", "output", False): 21,
        ("audio", "output", False): 0,
    }


MODELS = [
    {},
    {"name": "gpt-realtime-1.5"},
    {"turnDetection": {"type": "SemanticVAD", "eagerness": "Low"}, "noiseReduction": "FarField", "reasoningEffort": "High"},
    {"turnDetection": {"type": "ServerVAD", "threshold": 0.4, "prefixPaddingMs": 200, "silenceDurationMs": 700}},
    {"transcription": {"model": "whisper-1", "agentModel": "gpt-live-transcribe", "language": "en-GB"}, "noiseReduction": "NearField"},
    {"transcription": None},
]


@pytest.mark.parametrize("model", MODELS, ids=range(len(MODELS)))
def test_core_every_client_event_is_the_vendors(model) -> None:
    plan = plan_of(**model)
    events = [
        plan.conversation_update("u1"),
        client.append(b"//8="),
        client.buffer_clear("b1"),
        client.buffer_commit("b2"),
        client.response_create(plan.model, "r1", "item_1"),
        client.response_cancel("c1", "resp_1"),
        client.text_item("i1", "m1", "user", "Agent: hello", "root"),
        client.text_item("i1", "m1", "assistant", "Offer it.", None),
        client.call_output("i2", "o1", "call_1", shown=True),
    ]
    if plan.model.transcription is not None:
        events += [plan.transcription_update("u2", detection=detection) for detection in (True, False)]
    for event in events:
        assert check_client_event(json.loads(event)) == [], event


def test_core_a_beta_shaped_update_would_be_noticed() -> None:
    update = json.loads(plan_of().conversation_update("u1"))
    update["session"]["input_audio_format"] = "g711_ulaw"
    assert check_client_event(update)
    beta = {"type": "session.update", "session": {"modalities": ["text"], "turn_detection": {"type": "server_vad"}}}
    assert check_client_event(beta)


def test_core_what_a_session_is_told() -> None:
    session = json.loads(plan_of().conversation_update("u1"))["session"]
    assert session["output_modalities"] == ["text"]
    assert session["instructions"] == "Help the agent."
    heard = session["audio"]["input"]
    assert heard["format"] == {"type": "audio/pcmu"}
    assert heard["turn_detection"] == {
        "type": "server_vad",
        "silence_duration_ms": 500,
        "create_response": False,
        "interrupt_response": False,
    }
    assert heard["transcription"] == {"model": "gpt-transcribe"}
    assert session["reasoning"] == {"effort": "minimal"}
    assert session["parallel_tool_calls"] is False
    assert session["tool_choice"] == {"type": "function", "name": "suggest"}
    assert session["tools"] == [SUGGEST]
    assert list(SUGGEST["parameters"]["properties"]) == SUGGEST["parameters"]["required"] == ["relevant", "answer", "question"]
    assert session["truncation"] == {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 8000}}
    assert session["max_output_tokens"] == 400
    assert "model" not in session


def test_core_text_is_asked_for_with_each_response() -> None:
    """There are servers that heed the session's `output_modalities` not at all."""
    model = plan_of().model
    asked = (client.response_create(model, "r1", "item_1"), client.early_response_create(model, "r2", "item_1", ["item_0"], b"//8="))
    for event in map(json.loads, asked):
        assert event["response"]["output_modalities"] == ["text"]
        assert check_client_event(event) == []


def test_core_the_first_generation_is_told_nothing_of_reasoning() -> None:
    session = json.loads(plan_of(name="gpt-realtime-1.5").conversation_update("u1"))["session"]
    assert not {"reasoning", "parallel_tool_calls"} & set(session)


def test_core_the_agents_session_is_a_transcription_and_nothing_else() -> None:
    session = json.loads(plan_of().transcription_update("u1", detection=True))["session"]
    assert set(session) == {"type", "audio"}
    assert session["audio"]["input"]["turn_detection"] == {"type": "server_vad", "silence_duration_ms": 500}
    gated = json.loads(plan_of().transcription_update("u1", detection=False))["session"]
    assert gated["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("model", "url", "header"),
    [
        ({}, "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1-mini", ("Authorization", "Bearer k")),
        (
            {"provider": "AzureOpenAI", "url": "https://r.openai.azure.com", "name": "my talk"},
            "wss://r.openai.azure.com/openai/v1/realtime?model=my%20talk",
            ("api-key", "k"),
        ),
        (
            {"provider": "Compatible", "url": "ws://10.0.0.1:8000/v1", "authHeader": AuthHeader.X_API_KEY},
            "ws://10.0.0.1:8000/v1/realtime?model=gpt-realtime-2.1-mini",
            ("X-API-Key", "k"),
        ),
        ({"provider": "Compatible", "url": "http://h/api/rt"}, "ws://h/api/rt?model=gpt-realtime-2.1-mini", ("Authorization", "Bearer k")),
    ],
)
def test_core_endpoints(model, url, header) -> None:
    config = ModelConfig.model_validate(model)
    endpoint = provider_of(config).conversation_endpoint(config, "k")
    assert (endpoint.url, endpoint.headers) == (url, (header,))
    assert provider_of(config).transcription_endpoint(config, "k").url == url.split("?")[0] + "?intent=transcription"
    assert "k" not in repr(endpoint).replace(url, "")
    assert provider_of(config).conversation_endpoint(config, "").headers == ()
    assert same_endpoint(config, config)
    assert not same_endpoint(config, config.model_copy(update={"name": "other"}))


def told(tag: str, model: str = "gpt-transcribe", **more: object) -> tuple[dict[str, str], str, dict[str, str]]:
    """What the vendor is told of a language: the customer's transcription, the instructions, the agent's transcription."""
    plan = plan_of(transcription={"language": tag, "model": model, "agentModel": model}, **more)
    events = [json.loads(plan.conversation_update("u1")), json.loads(plan.transcription_update("u2", detection=True))]
    assert all(check_client_event(event) == [] for event in events)
    heard = [event["session"]["audio"]["input"]["transcription"] for event in events]
    return heard[0], events[0]["session"]["instructions"], heard[1]


@pytest.mark.parametrize("tag", ["de", "en", "zh"])
def test_core_a_language_that_is_its_code_is_told_as_the_code_alone(tag: str) -> None:
    spoken = {"model": "gpt-transcribe", "language": tag}
    assert told(tag) == (spoken, "Help the agent.", spoken)


@pytest.mark.parametrize(
    ("tag", "code", "script"),
    [
        ("pt-BR", "pt", None),
        ("zh-TW", "zh", "Traditional Chinese characters"),
        ("zh-HK", "zh", "Traditional Chinese characters"),
        ("zh-CN", "zh", "Simplified Chinese characters"),
        ("zh-Hant", "zh", "Traditional Chinese characters"),
        ("zh-hant-SG", "zh", "Traditional Chinese characters"),
        ("zh-Hans-HK", "zh", "Simplified Chinese characters"),
        ("yue-HK", "zh", "Traditional Chinese characters"),
        ("yue", "zh", None),
        ("es-419", "es", None),
        ("en-CN", "en", None),
        ("fil", "tl", None),
        ("fil-PH", "tl", None),
        ("sr-Latn-RS", "sr", "Latin script"),
        ("tzm-Tfng", None, "the script Tfng (ISO 15924)"),
        ("haw", None, None),
    ],
)
def test_core_what_a_tag_says_beyond_its_code_is_told_in_words(tag: str, code: str | None, script: str | None) -> None:
    customer, instructions, agent = told(tag)
    assert customer == agent
    assert customer.get("language") == code
    assert instructions.startswith("Help the agent.\n\n")
    for words in (instructions, customer["prompt"]):
        assert f'"{tag}" (BCP 47)' in words
        assert (script or "") in words
        assert script is not None or not re.search("script|characters", words)
    assert "write what the agent could say" in instructions


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("gpt-4o-transcribe", "Traditional Chinese characters"),
        ("gpt-4o-mini-transcribe-2025-12-15", "Traditional Chinese characters"),
        ("gpt-live-transcribe", "Traditional Chinese characters"),
        ("whisper-1", "以下是以繁體中文記錄的通話。"),
        ("gpt-4o-transcribe-diarize", None),
        ("gpt-realtime-whisper", None),
        ("a-deployment", None),
    ],
)
def test_core_a_prompt_goes_to_the_transcription_models_that_take_one(model: str, prompt: str | None) -> None:
    customer, instructions, _ = told("zh-TW", model)
    assert customer["language"] == "zh"
    assert (prompt is None) == ("prompt" not in customer)
    assert prompt is None or prompt in customer["prompt"]
    assert "Traditional Chinese characters" in instructions, "whatever becomes of the words heard, the answers are in the right script"
    assert "prompt" not in told("es-MX", "whisper-1")[0]


@pytest.mark.parametrize(("tag", "script"), [("de", ""), ("zh-TW", "Traditional Chinese characters")])
def test_core_a_language_is_told_where_nothing_is_written_down(tag: str, script: str) -> None:
    session = json.loads(plan_of(transcription=None, language=tag).conversation_update("u1"))["session"]
    assert session["audio"]["input"]["transcription"] is None
    assert session["instructions"].startswith("Help the agent.\n\n")
    assert f'"{tag}" (BCP 47)' in session["instructions"]
    assert script in session["instructions"]
    silent = json.loads(plan_of(transcription=None).conversation_update("u1"))["session"]
    assert silent["instructions"] == "Help the agent."


def test_core_a_language_that_answers_are_told_of_is_part_of_the_prompts_revision() -> None:
    def revision(**model: object) -> str:
        config = relay_config(prompts=[{"instructions": "Help the agent."}], model=model)
        return config.prompts[0].revision

    assert revision() == revision(transcription={"language": "zh"})
    assert len({revision(transcription={"language": tag}) for tag in ("zh", "zh-TW", "zh-CN")}) == 3
    assert len({revision(transcription=None, language=tag) for tag in (None, "de", "zh")}) == 3
