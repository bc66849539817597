"""Unit tests of the product are named after the module that they test, files and functions, so that each is found from the other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RELAY = "relay/src/voiceassist_relay"
SOURCES = {
    "call": f"{RELAY}/call",
    "crds": "crds/src/voiceassist_crds",
    "demo": "demo/src/voiceassist_demo",
    "functions": f"{RELAY}/functions",
    "media": f"{RELAY}/media",
    "operator": "operator/src/voiceassist_operator",
    "realtime": f"{RELAY}/realtime",
    "relay": RELAY,
    "sync": f"{RELAY}/sync",
    "twilio": f"{RELAY}/twilio",
}
ABOUT_SEVERAL = {
    "crds": {"contract"},
    "functions": {"rules"},
    "operator": {"documents", "generated_specs", "golden_texts", "killed_at_every_write", "unforeseen_answers"},
    "relay": {"every_field", "goldens"},
}


def _modules(folder: str) -> set[str]:
    """The modules of a folder's sources, by their own name and by their path, and its packages."""
    source = ROOT / SOURCES[folder]
    modules = {"_".join(path.relative_to(source).with_suffix("").parts) for path in source.rglob("*.py")}
    return modules | {path.stem for path in source.rglob("*.py")} | {path.name for path in source.rglob("*") if path.is_dir()}


def _module(test: str, modules: set[str]) -> str | None:
    """The module that a test file is about, by the file's name."""
    return max((one for one in modules if test == one or test.startswith(f"{one}_")), key=len, default=None)


@pytest.mark.parametrize("folder", SOURCES)
def test_names_of_tests_begin_with_a_modules(folder: str) -> None:
    modules = _modules(folder)
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests/unit" / folder).glob("test_*.py")}
    assert {test for test in tests if _module(test, modules) is None} == ABOUT_SEVERAL.get(folder, set())


@pytest.mark.parametrize("folder", SOURCES)
def test_names_of_tests_functions_begin_with_their_modules(folder: str) -> None:
    modules, others = _modules(folder), list[str]()
    for path in sorted((ROOT / "tests/unit" / folder).glob("test_*.py")):
        stem = path.stem.removeprefix("test_")
        begin = f"test_{_module(stem, modules) or stem}"
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        named = [one.name for one in functions if one.name.startswith("test_")]
        others += [f"{path.name}: {name}: {begin}_…" for name in named if name != begin and not name.startswith(f"{begin}_")]
    assert others == []
