"""The layers, the pure modules and the circles are held by lint-imports: each contract of .importlinter is seen to fail.

The tree is copied, one violation of each contract is planted in the copy, and lint-imports has to name every one of them.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / ".importlinter")
CONTRACTS = {section.removeprefix("importlinter:contract:"): CONFIG[section] for section in CONFIG.sections() if section.count(":") == 2}
PLANTED = {
    # contract: module, what it is made to import
    "distributions": ("voiceassist_crds.names", "voiceassist_operator.logs"),
    "stand-ins": ("voiceassist_sim.audio", "voiceassist_crds.proof"),
    "no-sim": ("voiceassist_operator.logs", "voiceassist_sim.audio"),
    "monitoring": ("voiceassist_monitoring", "voiceassist_crds.names"),
    "operator": ("voiceassist_operator.policy.claims", "voiceassist_operator.controller.workers"),
    "operator-controller": ("voiceassist_operator.controller.apply", "voiceassist_operator.controller.handlers"),
    "operator-policy": ("voiceassist_operator.policy.peers", "voiceassist_operator.policy.plan"),
    "operator-twilio": ("voiceassist_operator.twilio.model.outcome", "voiceassist_operator.twilio.worker"),
    "relay": ("voiceassist_relay.twilio.rest", "voiceassist_relay.call.registry"),
    "relay-realtime": ("voiceassist_relay.realtime.websocket", "voiceassist_relay.realtime.dialer"),
    "relay-core": ("voiceassist_relay.realtime.core.turns", "voiceassist_relay.realtime.core.session_base"),
    "sim": ("voiceassist_sim.openai.ids", "voiceassist_sim.twilio.sids"),
    "no-circles": ("voiceassist_sim.openai.ids", "voiceassist_sim.openai.session"),
}
PURE = {
    # contract: a pure module; a module that it reaches, which is planted with the last of the forbidden ones
    "relay-pure": ("voiceassist_relay.realtime.core.responses", "voiceassist_relay.backoff"),
    "operator-pure": ("voiceassist_operator.policy.condition", "voiceassist_operator.errors"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Lints a copy of the tree."""
    sources = [str(path) for path in sorted(folder.glob("*/src"))]
    command = Path(sys.executable).parent / "lint-imports"
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sources), "COLUMNS": "200"}
    return subprocess.run(
        [command, "--no-cache", "--config", ROOT / ".importlinter"], cwd=folder, env=given, capture_output=True, text=True, check=False
    )


def file_of(folder: Path, module: str) -> Path:
    path = Path(*module.split("."))
    found = [*folder.glob(f"*/src/{path}.py"), *folder.glob(f"*/src/{path}/__init__.py")]
    assert len(found) == 1, module
    return found[0]


def plant(folder: Path, module: str, *imported: str) -> None:
    path = file_of(folder, module)
    path.write_text(path.read_text() + "".join(f"\nimport {one}  # planted\n" for one in imported))


def verdicts(output: str) -> dict[str, str]:
    """What lint-imports says of each contract, by its name; long names are wrapped."""
    told = " ".join(output.split())
    return {
        identifier: "KEPT" if re.search(rf"{re.escape(section['name'])} KEPT", told) else "BROKEN"
        for identifier, section in CONTRACTS.items()
        if section["name"] in told
    }


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for source in ROOT.glob("*/src"):
        shutil.copytree(source, folder / source.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_every_contract_has_a_planted_violation() -> None:
    assert {*PLANTED, *PURE} == set(CONTRACTS)


def test_every_contract_is_seen_to_fail(copied: Path) -> None:
    before = lint(copied)
    assert (before.returncode, set(verdicts(before.stdout).values())) == (0, {"KEPT"}), before.stdout
    for module, imported in PLANTED.values():
        plant(copied, module, imported)
    forbidden = {contract: CONTRACTS[contract]["forbidden_modules"].split() for contract in PURE}
    for contract, (module, reached) in PURE.items():
        *names, last = forbidden[contract]
        plant(copied, module, *names)
        plant(copied, reached, last)
    done = lint(copied)
    assert done.returncode == 1, done.stdout
    assert verdicts(done.stdout) == dict.fromkeys(CONTRACTS, "BROKEN")
    for contract, (module, reached) in PURE.items():
        *names, last = forbidden[contract]
        package = module.rpartition(".")[0]
        missing = [name for name in names if f"{module} -> {name} (" not in done.stdout]
        assert missing == [], f"{contract}: {module} reaches these, and nobody said so"
        assert re.search(rf"{re.escape(reached)} -> {last} \(", done.stdout), f"{package} reaches {last} through {reached}"


# What an import does not show

IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input", "read_text", "write_text", "getenv"}


def pure_files() -> list[Path]:
    modules = {module for contract in PURE for module in CONTRACTS[contract]["source_modules"].split()}
    files = []
    for module in sorted(modules):
        path = file_of(ROOT, module)
        files += sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return [path for path in files if path.name != "schema.py"]  # the contract's tool, which nothing imports


def impurities(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            found.append(f"{path.name}:{node.lineno}: async")
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in IMPURE_CALLS:
                found.append(f"{path.name}:{node.lineno}: {name}()")
    return found


def test_pure_modules_wait_for_nothing_and_read_no_clock_or_file(tmp_path: Path) -> None:
    files = pure_files()
    assert len(files) > 30
    assert [one for path in files for one in impurities(path)] == []
    planted = tmp_path / "planted.py"
    planted.write_text("from datetime import UTC, datetime\n\nasync def one():\n    return datetime.now(UTC)\n")
    assert impurities(planted) == ["planted.py:3: async", "planted.py:4: now()"]
