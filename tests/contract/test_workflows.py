"""GitHub's workflows: held against actionlint, which knows their grammar, and against the Makefile, whose targets they call."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.lab.cache import ensure
from cluster.lab.programs import actionlint

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SHELLCHECK = ROOT / ".venv/bin/shellcheck"


@pytest.mark.timeout(600)
def test_workflows_are_well_formed() -> None:
    assert WORKFLOWS
    program = ensure(actionlint()) / "actionlint"
    done = subprocess.run([program, "-shellcheck", SHELLCHECK, *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(600)
def test_the_checker_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:", 1))
    done = subprocess.run([ensure(actionlint()) / "actionlint", wrong], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "run-on" in done.stdout


def test_make_targets_that_workflows_call_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {found for path in WORKFLOWS for found in re.findall(r"\bmake ([a-z-]+)", path.read_text())}
    assert {"setup", "lint", "test", "coverage", "release"} <= called <= targets


def test_hooks_before_a_commit_are_the_checks_of_make_lint() -> None:
    makefile = (ROOT / "Makefile").read_text()
    wanted = re.search(r"^LINTS := (.*)$", makefile, re.MULTILINE)
    assert wanted is not None
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == wanted[1].split()
    assert [hook["entry"] for hook in hooks] == [f"make -s {name}" for name in wanted[1].split()]
