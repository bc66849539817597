"""Prompts that are kept in ConfigMaps, written and read again."""

from __future__ import annotations

import copy

import pytest

from voiceassist_crds.config import Prompt, PromptModel
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_operator.policy.resources.config_map import ANSWERS_ANNOTATION, KeptPrompt, history_config_map, kept_prompt
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
