"""`voiceassist-operator plan FILE`: what it prints for the examples, and how it refuses. The goldens are its own output:

VOICEASSIST_WRITE_GOLDEN=1 pytest tests/unit/operator/test_cli.py
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from voiceassist_crds.errors import ContractError
from voiceassist_operator.cli import plan_documents

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
COMMAND = Path(sys.executable).parent / "voiceassist-operator"


def plan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "plan", *arguments], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(("name", "prompt"), [("minimal", False), ("full", True)])
def test_cli_examples(name: str, prompt: bool, tmp_path: Path) -> None:
    text = tmp_path / "prompt"
    text.write_text("You help.\n")
    done = plan(ROOT / f"examples/voiceassist-{name}.yaml", "--relay-image", "relay:1", *(["--prompt", text] if prompt else []))
    assert (done.returncode, done.stderr) == (0, "")
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("VOICEASSIST_WRITE_GOLDEN"):
        golden.write_text(done.stdout)
    assert done.stdout == golden.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod\napiVersion: v1\n", "it must be voiceassist.dev/v1alpha1 VoiceAssist"),
        ("kind: VoiceAssist\napiVersion: voiceassist.dev/v1alpha1\nspec: {}\n", "spec: 'host' is a required property"),
        ("- a\n", "it must be voiceassist.dev/v1alpha1 VoiceAssist"),
        ("a: [\n", "while parsing"),
    ],
)
def test_cli_a_file_that_does_not_fit_is_one_clear_line(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    done = plan(file)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


MINIMAL: dict[str, Any] = yaml.safe_load((ROOT / "examples/voiceassist-minimal.yaml").read_text())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # refused by the API server: schema, unknown fields, CEL rules
        ({"host": "https://assist.example.com"}, "spec.host: host must be a DNS name"),
        ({"host": f"{'a' * 64}.example.com"}, "spec.host: host has a part of more than 63 characters"),
        ({"pathPrefix": "assist/"}, "spec.pathPrefix: pathPrefix must be empty or begin with a slash"),
        ({"twilio.accountSid": "AC123"}, "spec.twilio.accountSid: accountSid must be AC followed by 32 hexadecimal digits"),
        ({"twilio.edge": "dublin"}, "spec.twilio: edge needs region"),
        ({"model.provider": "AzureOpenAI"}, "spec.model: "),
        ({"model.transcription.language": "german"}, "spec.model.transcription.language: 'german' does not match"),
        ({"relay.replicas": -1}, "spec.relay.replicas: -1 is less than the minimum"),
        ({"relay.replica": 2}, "spec.relay.replica: there is no such field"),
        (
            {"rollout.canary.steps": [{"weight": 25}, {"weight": 5}]},
            "spec.rollout.canary.steps: rollout.canary.steps: a step's weight must not be smaller than the one before",
        ),
        ({"rollout.canary.steps": [{"weight": 5, "pause": {"duration": "10 minutes"}}]}, "pause.duration: '10 minutes' does not match"),
        ({"rollout.canary.analysis.checks": [{"metric": "TurnFailure"}]}, "give one of max and maxIncrease"),
        ({"prompt.instructionsFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}, "spec.prompt: "),
        ({"relay.podLabels": {"voiceassist.dev/x": "y"}}, "spec.relay.podLabels: "),
        ({"metadata.name": "1st-line"}, "metadata.name must begin with a letter"),
        # not deployed by the operator
        ({"paused": True}, "Paused: spec.paused is true"),
        ({"prompt.instructions": "x" * 32_769}, "spec.prompt.instructions: "),
    ],
    ids=str,
)
def test_cli_what_would_not_be_deployed_is_not_planned(changes: dict[str, Any], words: str) -> None:
    body = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = body if parents[:1] == ["metadata"] else body["spec"]
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    assert plan_documents(MINIMAL, None, "relay:1"), "without the changes it would be"
    with pytest.raises(ContractError) as refused:
        plan_documents(body, None, "relay:1")
    assert words in "; ".join(refused.value.problems)


def test_cli_what_would_not_be_deployed_ends_with_2_and_the_condition(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text((ROOT / "examples/voiceassist-minimal.yaml").read_text().replace("spec:\n", "spec:\n  paused: true\n", 1))
    done = plan(file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Paused: spec.paused is true" in done.stderr


def test_cli_a_prompt_in_a_config_map_has_to_be_given() -> None:
    done = plan(ROOT / "examples/voiceassist-full.yaml")
    assert done.returncode == 2
    assert "--prompt FILE" in done.stderr


def test_cli_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "run", "--metrics-port", "0"],
        env={"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "set KUBECONFIG" in done.stderr
    assert "Traceback" not in done.stderr
