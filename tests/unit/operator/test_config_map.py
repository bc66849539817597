"""Prompts that are kept in ConfigMaps, written and read again."""

from __future__ import annotations

import copy

import pytest

from voiceassist_crds.config import Prompt, PromptModel, RelayConfig
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_operator.policy.resources.config_map import (
    ANSWERS_ANNOTATION,
    KeptPrompt,
    history_config_map,
    kept_prompt,
    prompts_in_use,
    relay_config_map,
)
from voiceassist_operator.policy.resources.metadata import Owner

SPEC = VoiceAssistSpec.read(
    {
        "host": "a.example.com",
        "twilio": {"accountSid": "AC" + "0" * 32, "credentialsSecretRef": {"name": "twilio"}},
        "model": {"apiKeySecretRef": {"name": "model"}},
        "prompt": {"instructions": "x"},
    }
)
OWNER = Owner("shop", "support", "uid", SPEC, "relay:1")


@pytest.mark.parametrize("model", [None, PromptModel(), PromptModel(name="another", max_output_tokens=77)])
def test_config_map_a_kept_prompt_is_read_as_it_was_written(model: PromptModel | None) -> None:
    written = history_config_map(OWNER, Prompt(revision="abcd1234", instructions="You help.", model=model))
    del written["kind"], written["apiVersion"]  # as the API server lists it
    assert kept_prompt(written) == ("abcd1234", KeptPrompt("You help.", model))


def test_config_map_what_is_no_kept_prompt_is_none() -> None:
    written = history_config_map(OWNER, Prompt(revision="abcd1234", instructions="You help.", model=PromptModel()))
    edited = copy.deepcopy(written)
    edited["metadata"]["annotations"][ANSWERS_ANNOTATION] = '{"maxOutputTokens": "many"}'
    assert kept_prompt(edited) == ("abcd1234", KeptPrompt("You help."))
    assert kept_prompt({"metadata": {"name": "support-relay"}, "data": {"relay.json": "{}"}}) is None
    assert kept_prompt({**written, "data": {}}) is None


def test_config_map_prompts_in_use_are_read_from_the_relays_own() -> None:
    model = PromptModel(name="another", max_output_tokens=77)
    prompts = [
        Prompt(revision="0000aaaa", weight=95, instructions="Old.", model=model),
        Prompt(revision="0000bbbb", weight=5, instructions="New."),
    ]
    twilio = {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32}
    config = RelayConfig.model_validate({"host": "a.example.com", "twilio": twilio, "prompts": prompts}).with_revisions()
    written = relay_config_map(OWNER, config, "")
    found = dict(prompts_in_use(written))
    assert found["0000aaaa"] == KeptPrompt("Old.", model)
    assert found["0000bbbb"].instructions == "New."
    assert found["0000bbbb"].model is not None and found["0000bbbb"].model.name == config.model.name
    edited = copy.deepcopy(written)
    edited["data"]["relay.json"] = edited["data"]["relay.json"].replace("Old.", "Other.")
    assert dict(prompts_in_use(edited)) == {}
    without = copy.deepcopy(edited)
    without["data"]["relay.json"] = without["data"]["relay.json"].replace("configRevision", "noRevision")
    assert dict(prompts_in_use(without)) == {}
    for other in ({"relay.json": "{"}, {"instructions": "x"}, None):
        assert dict(prompts_in_use({**written, "data": other})) == {}
