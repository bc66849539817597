"""`voiceassist-operator plan FILE`: what it prints for the examples, and how it refuses. The goldens are its own output:

VOICEASSIST_WRITE_GOLDEN=1 pytest tests/unit/operator/test_cli.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
COMMAND = Path(sys.executable).parent / "voiceassist-operator"


def plan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "plan", *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("name", "prompt"), [("minimal", False), ("full", True)])
def test_examples(name: str, prompt: bool, tmp_path: Path) -> None:
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
        ("kind: VoiceAssist\napiVersion: voiceassist.dev/v1alpha1\nspec: {}\n", "host: missing"),
        ("- a\n", "it must be voiceassist.dev/v1alpha1 VoiceAssist"),
        ("a: [\n", "while parsing"),
    ],
)
def test_a_file_that_does_not_fit_is_one_clear_line(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    done = plan(file)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prompt_in_a_config_map_has_to_be_given() -> None:
    done = plan(ROOT / "examples/voiceassist-full.yaml")
    assert done.returncode == 2
    assert "--prompt FILE" in done.stderr


def test_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "run", "--metrics-port", "0"],
        env={"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "set KUBECONFIG" in done.stderr
    assert "Traceback" not in done.stderr
