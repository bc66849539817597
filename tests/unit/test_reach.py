"""`make test CHANGED=1`: a change reaches who imports, starts or names what was changed, and what cannot be told reaches everything."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    "relay/src/voiceassist_relay/__init__.py": "",
    "relay/src/voiceassist_relay/cli.py": "from . import app\n",
    "relay/src/voiceassist_relay/app.py": "from .call.bridge import Bridge\n",
    "relay/src/voiceassist_relay/call/__init__.py": "",
    "relay/src/voiceassist_relay/call/bridge.py": "from ..rules import decide\nBridge = decide\n",
    "relay/src/voiceassist_relay/rules.py": "def decide(): ...\n",
    "relay/src/voiceassist_relay/alone.py": "",
    "tests/unit/test_peer_health_rules.py": "import voiceassist_relay.rules\n",
    "tests/unit/test_alone.py": "from voiceassist_relay import alone\n",
    "tests/integration/rig.py": "COMMAND = ['.venv/bin/voiceassist-relay', '--config']\n",
    "tests/integration/test_line.py": "from integration.rig import COMMAND\n",
    "tests/charts/conftest.py": "",
    "tests/charts/test_chart.py": "",
    "docs/tutorial.md": "",
    "charts/voiceassist/values.yaml": "",
    "strange.bin": "",
}


@pytest.fixture
def reach() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reach_tool", ROOT / "tools/reach.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "-qm", "all"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "reached"),
    [
        ("relay/src/voiceassist_relay/rules.py", {"unit/test_peer_health_rules.py", "integration/test_line.py"}),
        ("relay/src/voiceassist_relay/alone.py", {"unit/test_alone.py"}),
        ("relay/src/voiceassist_relay/__init__.py", {"unit/test_peer_health_rules.py", "unit/test_alone.py", "integration/test_line.py"}),
        ("tests/integration/rig.py", {"integration/test_line.py"}),
        ("tests/charts/conftest.py", {"charts/test_chart.py"}),
        ("tests/unit/test_alone.py", {"unit/test_alone.py"}),
        ("charts/voiceassist/values.yaml", {"unit/test_peer_health_rules.py", "unit/test_alone.py", "charts/test_chart.py"}),
        ("strange.bin", {"unit/test_peer_health_rules.py", "unit/test_alone.py", "integration/test_line.py", "charts/test_chart.py"}),
    ],
)
def test_what_a_change_reaches(reach: ModuleType, tree: Path, changed: str, reached: set[str]) -> None:
    assert reach.Tree(tree).reached([changed]) == {f"tests/{name}" for name in reached}


def test_what_has_changed_is_what_differs_from_main_and_what_git_does_not_know(reach: ModuleType, tree: Path) -> None:
    assert reach.changed_files(tree) == []
    (tree / "relay/src/voiceassist_relay/alone.py").write_text("x = 1\n")
    (tree / "tests/unit/test_new.py").write_text("")
    assert reach.reached_tests(tree) == {"unit": ["tests/unit/test_alone.py", "tests/unit/test_new.py"]}


def test_a_relays_module_reaches_its_tests_here(reach: ModuleType) -> None:
    reached = reach.Tree(ROOT).reached(["relay/src/voiceassist_relay/sync/document_rules.py"])
    assert {
        "tests/unit/sync/test_document_rules.py",
        "tests/integration/test_publisher.py",
        "tests/integration/test_end_to_end.py",
    } <= reached
    assert "tests/unit/sim_openai/test_audio.py" not in reached
