"""Operator and relay of two versions, by the RelayConfig: each reads the other's, and both mean the same by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.versions.shapes import EarlierReader, means_the_same, recorded
from voiceassist_crds.config import RelayConfig
from voiceassist_crds.resource import VoiceAssistSpec
from voiceassist_operator.policy.relay_config import relay_config

EXAMPLES = sorted(recorded("configs"))


def written_now(example: str) -> str:
    """What this operator writes for an object that was stored before."""
    body = recorded("objects")[example]
    spec = VoiceAssistSpec.read(body["spec"])
    return relay_config("team", body["metadata"]["name"], spec, spec.prompt.instructions or "Help.", "IS" + "0" * 32).to_json()


def without_revision(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "configRevision"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_this_relay_reads_what_the_operator_before_wrote(example: str) -> None:
    before = recorded("configs")[example]
    config, passed_over = RelayConfig.read(json.dumps(before))
    assert passed_over == ()
    assert means_the_same(before, config.model_dump(mode="json", by_alias=True))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_relay_before_reads_what_this_operator_writes_and_means_the_same(example: str) -> None:
    read = EarlierReader("relay-config").read(json.loads(written_now(example)))
    assert without_revision(read) == without_revision(recorded("configs")[example])


@pytest.mark.parametrize("example", EXAMPLES)
def test_prompt_revisions_stay_as_they_were(example: str) -> None:
    """They stand in the objects' history and in calls' Documents: the same prompt must have the same name in every version."""
    before = recorded("configs")[example]
    unnamed = {**before, "prompts": [{"instructions": prompt["instructions"]} for prompt in before["prompts"]]}
    config, _ = RelayConfig.read(json.dumps(unnamed))
    assert [prompt.revision for prompt in config.prompts] == [prompt["revision"] for prompt in before["prompts"]]


def test_limits_of_all_relays_are_written_only_where_they_are_used_and_read_with_what_a_later_operator_adds() -> None:
    assert "totalLimits" not in json.loads(written_now(EXAMPLES[0]))
    price = {"model": "m", "textInput": 1, "audioInput": 1, "textOutput": 1}
    later = {
        "maxCalls": 9,
        "perYear": 7,
        "budget": {"perDay": 5, "perMonth": 70, "action": "Stop", "prices": [{**price, "imageInput": 2}], "currency": "x"},
    }
    config, passed_over = RelayConfig.read(json.dumps({**recorded("configs")[EXAMPLES[0]], "totalLimits": later}))
    assert passed_over == ("totalLimits.budget.prices[0].imageInput", "totalLimits.budget.currency", "totalLimits.perYear")
    assert config.total_limits.wire() == {"maxCalls": 9, "budget": {"perDay": 5.0, "perMonth": 70.0, "action": "Stop", "prices": [price]}}


def test_a_later_operators_fields_are_passed_over_and_named() -> None:
    before = recorded("configs")[EXAMPLES[0]]
    later = {
        **before,
        "later": {"deep": 1},
        "model": {**before["model"], "laterInside": True},
        "prompts": [{**before["prompts"][0], "tool": "x"}],
    }
    config, passed_over = RelayConfig.read(json.dumps(later))
    assert set(passed_over) == {"later", "model.laterInside", "prompts[0].tool"}
    assert config == RelayConfig.read(json.dumps(before))[0]


def test_what_nobody_uses_is_not_written() -> None:
    """A field that a later version adds must be news to no relay as long as nobody sets it."""
    config = json.loads(written_now("voiceassist-minimal"))
    assert set(config) == {"namespace", "name", "configRevision", "host", "twilio", "prompts"}
    assert set(config["twilio"]) == {"accountSid", "syncServiceSid"}
