"""Every field of RelayConfig has a test that sees it change something: the table says which."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from voiceassist_crds.config import ModelConfig, RelayConfig
from voiceassist_crds.errors import ContractError
from voiceassist_relay.call.prompt_choice import choose_prompt
from voiceassist_relay.realtime.core.client_events import conversation_update, transcription_update
from voiceassist_relay.realtime.core.session_settings import SessionSettings

TESTS = Path(__file__).parents[2]
HERE = "unit/relay/test_every_field.py"
SETTINGS = f"{HERE}::test_every_field_what_a_session_is_told_follows_the_configuration"
LINE, START, HTTP = "integration/test_end_to_end.py::", "integration/test_functions_start.py::", "integration/test_functions_http.py::"

ACCESS = "integration/test_functions_access.py::"
GATEWAYS = "unit/realtime/test_providers_gateways.py::test_providers_"
PROMPTS = f"{HERE}::test_every_field_a_prompts_own_model_is_what_its_sessions_are_told"
CANARY = LINE + "test_a_canary_keeps_its_calls_until_it_is_withdrawn"
LIMITS = "integration/test_total_limits.py::test_"
EAGER = "unit/realtime/test_core_eager_drafts.py::test_core_eager_drafts_"
SEEN_BY = {
    "version": f"{HERE}::test_every_field_another_version_is_refused",
    "namespace": "integration/test_relay_command.py::test_the_private_port_and_the_public_one",
    "name": "integration/test_relay_command.py::test_the_private_port_and_the_public_one",
    "configRevision": LINE + "test_configuration_swap_and_secret_rotation",
    "host": "integration/test_admission.py::test_let_in_with_either_token_and_every_form_of_the_address",
    "pathPrefix": HTTP + "test_the_path_prefix_is_that_of_the_configuration_in_force",
    "twilio.accountSid": "unit/media/test_stream.py::test_stream_a_start_that_does_not_fit",
    "twilio.syncServiceSid": HTTP + "test_the_token_opens_what_was_granted_and_nothing_else",
    "twilio.syncTtlSeconds": "integration/test_publisher.py::test_everything_ends_by_itself_even_if_it_lives_on",
    "twilio.legacyStream": START + "test_the_original_plugins_stream_name_has_no_suffix",
    "twilio.workspaceSid": ACCESS + "test_the_workspace_is_asked_for_once_where_it_is_not_configured",
    "twilio.callProof": ACCESS + "test_where_calls_are_in_no_conference_attributes_are_the_proof_and_nobody_is_robbed",
    "twilio.apiUrl": "unit/crds/test_config.py::test_config_another_server_for_every_product",
    "twilio.region": HTTP + "test_a_regions_token_names_the_region",
    "twilio.edge": "unit/crds/test_config.py::test_config_base_url",
    "functions.allowedOrigins": HTTP + "test_pages_of_configured_origins_may_ask",
    "audio.tracks": LINE + "test_customer_only_and_transcripts_off",
    "model.provider": LINE + "test_other_providers",
    "model.url": LINE + "test_other_providers",
    "model.name": "unit/realtime/test_core_events.py::test_core_endpoints",
    "model.authHeader": LINE + "test_other_providers",
    "model.turnDetection.type": SETTINGS,
    "model.turnDetection.threshold": SETTINGS,
    "model.turnDetection.prefixPaddingMs": SETTINGS,
    "model.turnDetection.silenceDurationMs": SETTINGS,
    "model.turnDetection.eagerness": SETTINGS,
    "model.turnDetection.eager.silenceMs": EAGER + "the_silence_that_is_waited_for_is_the_configured_one",
    "model.turnDetection.eager.maxPerTurn": EAGER + "at_most_so_many_for_a_turn",
    "model.transcription.model": SETTINGS,
    "model.transcription.agentModel": SETTINGS,
    "model.transcription.language": SETTINGS,
    "model.language": "unit/realtime/test_core_events.py::test_core_a_language_is_told_where_nothing_is_written_down",
    "model.check": "unit/relay/test_model_trial.py::test_model_trial_is_not_had_where_a_session_is_enough",
    "model.noiseReduction": SETTINGS,
    "model.maxOutputTokens": SETTINGS,
    "model.reasoningEffort": SETTINGS,
    "model.maxResponsesPerMinute": "integration/test_model_client.py::test_the_rate_cap_lets_turns_merge",
    "model.truncation.retentionRatio": SETTINGS,
    "model.truncation.postInstructionsTokens": SETTINGS,
    **{
        field: f"{GATEWAYS}{test}"
        for field, test in {
            "model.noiseReductionStrength": "everything_that_newer_clients_can_set",
            "model.family": "family_that_is_set_overrules_the_name",
            "model.audioFormat": "the_session_is_told_the_format",
            "model.headers.name": "headers_and_query_are_added_to_ours",
            "model.headers.value": "headers_and_query_are_added_to_ours",
            "model.query": "headers_and_query_are_added_to_ours",
            "model.sessionSeconds": "a_session_lives_as_long_as_is_set",
            "model.tracing": "everything_that_newer_clients_can_set",
            "model.storedPrompt.id": "everything_that_newer_clients_can_set",
            "model.storedPrompt.version": "everything_that_newer_clients_can_set",
            "model.transcription.languages": "everything_that_newer_clients_can_set",
            "model.transcription.keywords": "everything_that_newer_clients_can_set",
            "model.transcription.prompt": "everything_that_newer_clients_can_set",
            "model.transcription.delay": "everything_that_newer_clients_can_set",
            "model.transcription.agentQuery": "the_agents_address_names_the_model_where_gateways_route_by_it",
            "model.transcription.agentSession": "the_agents_realtime_session_never_answers",
        }.items()
    },
    "prompts.revision": LINE + "test_configuration_swap_and_secret_rotation",
    "prompts.weight": "unit/call/test_prompt_choice.py::test_prompt_choice_shares_follow_the_weights",
    "prompts.instructions": LINE + "test_configuration_swap_and_secret_rotation",
    "prompts.model.name": PROMPTS,
    "prompts.model.family": PROMPTS,
    "prompts.model.maxOutputTokens": PROMPTS,
    "prompts.model.reasoningEffort": PROMPTS,
    **{
        f"prompts.model.turnDetection.{field}": PROMPTS
        for field in ("type", "threshold", "prefixPaddingMs", "silenceDurationMs", "eagerness")
    },
    **{f"prompts.model.turnDetection.eager.{field}": EAGER + "a_prompts_own_model_has_its_own" for field in ("silenceMs", "maxPerTurn")},
    "promptSalt": f"{HERE}::test_every_field_the_salt_of_the_configuration_spreads_calls_anew",
    "rollout.applyTo": LINE + "test_all_calls_take_a_new_prompt",
    "rollout.id": CANARY,
    "rollout.withdrawn": CANARY,
    "limits.maxCalls": LINE + "test_full_relay_refuses_before_the_upgrade_and_the_stream_starts_elsewhere",
    "limits.streamPingSeconds": "integration/test_admission.py::test_a_silent_stream_is_pinged_as_often_as_the_configuration_says",
    "limits.gatherMs": "load/test_gathering.py::test_a_relay_pauses_with_many_calls_as_long_as_it_is_told_to",
    "limits.drainTimeoutSeconds": LINE + "test_drain_timeout_ends_live_calls_in_order",
    "limits.drainGraceSeconds": LINE + "test_drain",
    "totalLimits.maxCalls": LIMITS + "calls_beyond_the_limit_are_refused_whichever_relay_is_asked",
    "totalLimits.budget.perDay": "unit/relay/test_budget_count.py::test_budget_count_each_action_has_its_level",
    "totalLimits.budget.perMonth": LIMITS + "the_budget_stops_all_relays_within_a_response_and_they_go_on_when_it_is_raised",
    "totalLimits.budget.action": "unit/relay/test_budget_count.py::test_budget_count_each_action_has_its_level",
    **{
        f"totalLimits.budget.prices.{name}": "unit/relay/test_budget_count.py::test_budget_count_costs_by_model_and_kind"
        for name in ("model", "textInput", "cachedTextInput", "audioInput", "cachedAudioInput", "textOutput", "audioOutput")
    },
    "privacy.transcripts": LINE + "test_customer_only_and_transcripts_off",
    "network.proxy": "proxies/test_egress.py::test_a_call_through_a_proxy_that_alone_knows_the_way",
    "network.noProxy": "proxies/test_egress.py::test_what_is_named_is_reached_straight",
    "network.caDigest": "unit/operator/test_network.py::test_network_relays_take_the_operators_way_out_unless_their_object_says_another",
    "checks": "integration/test_admission.py::test_without_checks_neither_signature_nor_token_is_needed_but_the_call_must_fit",
}


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a field's type, behind unions and lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, types.UnionType, list}:
        for inner in get_args(annotation):
            yield from models(inner)


def leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = path + (field.alias or name)
        inner = list(models(field.annotation))
        for one in inner:
            yield from leaves(one, here + ".")
        if not inner:
            yield here


def test_every_field_is_in_the_table() -> None:
    assert sorted(leaves(RelayConfig)) == sorted(SEEN_BY)


@pytest.mark.parametrize("place", sorted(set(SEEN_BY.values())))
def test_every_field_the_tests_are_there(place: str) -> None:
    path, name = place.split("::")
    assert re.search(rf"^(async )?def {name}\(", (TESTS / path).read_text(), re.MULTILINE), place


def config(**changes: Any) -> dict[str, Any]:
    twilio = {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32}
    return {"host": "a.example.com", "twilio": twilio, "prompts": [{"instructions": "Help."}], **changes}


def test_every_field_another_version_is_refused() -> None:
    with pytest.raises(ContractError, match="version: 2 given"):
        RelayConfig.parse(json.dumps(config(version=2)))


def test_every_field_the_salt_of_the_configuration_spreads_calls_anew() -> None:
    prompts = [{"revision": "aaaa", "instructions": "A.", "weight": 50}, {"revision": "bbbb", "instructions": "B.", "weight": 50}]
    one, other = (RelayConfig.model_validate(config(prompts=prompts, promptSalt=salt)) for salt in ("one", "other"))
    calls = [f"CA{n:032x}" for n in range(100)]
    assert [choose_prompt(one, c).revision for c in calls] != [choose_prompt(other, c).revision for c in calls]  # type: ignore[arg-type]


def test_every_field_a_prompts_own_model_is_what_its_sessions_are_told() -> None:
    detection = {"type": "ServerVAD", "threshold": 0.4, "prefixPaddingMs": 200, "silenceDurationMs": 700}
    own = {"name": "mine", "family": "GPTRealtime2", "maxOutputTokens": 77, "reasoningEffort": "High", "turnDetection": detection}
    semantic = {"turnDetection": {"type": "SemanticVAD", "eagerness": "High"}}
    prompts = [
        {"revision": "aaaa", "instructions": "A.", "weight": 98},
        {"revision": "bbbb", "instructions": "B.", "weight": 1, "model": own},
        {"revision": "cccc", "instructions": "C.", "weight": 1, "model": semantic},
    ]
    read = RelayConfig.model_validate(config(prompts=prompts, model={"noiseReduction": "FarField"}))
    first, second, third = (SessionSettings.of(read, prompt).model for prompt in read.prompts)
    assert first == read.model
    kept = {"noise_reduction", "turn_detection", "name", "family", "max_output_tokens", "reasoning_effort"}
    assert {key for key in ModelConfig.model_fields if getattr(first, key) != getattr(second, key)} == kept - {"noise_reduction"}
    assert (second.name, second.family, second.max_output_tokens, second.reasoning_effort) == ("mine", "GPTRealtime2", 77, "High")
    told = json.loads(conversation_update(second, "B.", "e"))["session"]
    vad = {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 700}
    assert {key: told["audio"]["input"]["turn_detection"][key] for key in vad} == vad
    assert (told["max_output_tokens"], told["audio"]["input"]["noise_reduction"]) == (77, {"type": "far_field"})
    heard = json.loads(conversation_update(third, "C.", "e"))["session"]["audio"]["input"]["turn_detection"]
    assert (heard["type"], heard["eagerness"]) == ("semantic_vad", "high")
    assert read.model_names == tuple(dict.fromkeys((*first.names, *second.names, *third.names)))


def test_every_field_what_a_session_is_told_follows_the_configuration() -> None:
    model = ModelConfig.model_validate(
        {
            "turnDetection": {"type": "ServerVAD", "threshold": 0.4, "prefixPaddingMs": 200, "silenceDurationMs": 700},
            "transcription": {"model": "whisper-1", "agentModel": "gpt-4o-transcribe", "language": "de-AT"},
            "noiseReduction": "FarField",
            "maxOutputTokens": 77,
            "reasoningEffort": "High",
            "truncation": {"retentionRatio": 0.6, "postInstructionsTokens": 1234},
        }
    )
    session = json.loads(conversation_update(model, "Help.", "e"))["session"]
    vad = {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 700}
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcmu"},
        "noise_reduction": {"type": "far_field"},
        "transcription": {"model": "whisper-1", "language": "de"},
        "turn_detection": {**vad, "create_response": False, "interrupt_response": False},
    }
    assert session["instructions"].startswith("Help.") and "de-AT" in session["instructions"]
    assert (session["max_output_tokens"], session["reasoning"]) == (77, {"effort": "high"})
    assert session["truncation"] == {"type": "retention_ratio", "retention_ratio": 0.6, "token_limits": {"post_instructions": 1234}}
    agent = json.loads(transcription_update(model, "e", detection=True))["session"]["audio"]["input"]
    written = {"model": "gpt-4o-transcribe", "language": "de", "prompt": 'The language is "de-AT" (BCP 47); write it as there.'}
    assert (agent["transcription"], agent["turn_detection"]) == (written, vad)
    assert agent["noise_reduction"] == {"type": "far_field"}
    semantic = ModelConfig.model_validate({"turnDetection": {"type": "SemanticVAD", "eagerness": "High"}, "transcription": None})
    heard = json.loads(conversation_update(semantic, "Help.", "e"))["session"]["audio"]["input"]
    assert heard["turn_detection"] == {"type": "semantic_vad", "eagerness": "high", "create_response": False, "interrupt_response": False}
    assert (heard["transcription"], heard["noise_reduction"]) == (None, None)
