"""Unit tests of the product are named after the module that they test, so that each is found from the other."""

from __future__ import annotations

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
    "operator": {"documents", "golden_texts"},
    "relay": {"every_field", "goldens"},
}


@pytest.mark.parametrize("folder", SOURCES)
def test_names_of_tests_begin_with_a_modules(folder: str) -> None:
    source = ROOT / SOURCES[folder]
    modules = {"_".join(path.relative_to(source).with_suffix("").parts) for path in source.rglob("*.py")}
    modules |= {path.stem for path in source.rglob("*.py")} | {path.name for path in source.rglob("*") if path.is_dir()}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests/unit" / folder).glob("test_*.py")}
    others = {test for test in tests if not any(test == module or test.startswith(f"{module}_") for module in modules)}
    assert others == ABOUT_SEVERAL.get(folder, set())
