"""The documentation leads somewhere: links to files, `make` targets, and the original's variables in docs/migrating.md."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = set(subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
PAGES = sorted(path for path in TRACKED if path.endswith(".md"))
ORIGINAL = {
    "ACCOUNT_SID",
    "AUTH_TOKEN",
    "API_KEY",
    "API_SECRET",
    "SYNC_SERVICE_SID",
    "SYNC_TOKEN_IDENTITY",
    "STREAM_URL",
    "OPENAI_API_KEY",
    "SYNC_TOKEN_URL",
    "INSTRUCTION",
    "FLEX_APP_FUNCTIONS_URL",
    "FLEX_APP_SYNC_TOKEN_IDENTITY",
}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_of_this_repository(page: str) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text()):
        if "://" not in link:
            fragment = page.startswith("changelog.d/") and not page.endswith("README.md")  # will be a part of CHANGELOG.md
            target = (ROOT if fragment else (ROOT / page).parent).joinpath(link).resolve().relative_to(ROOT)
            assert str(target) in TRACKED or any(path.startswith(f"{target}/") for path in TRACKED), link


def test_make_targets_that_are_told_exist() -> None:
    files = (ROOT / "Makefile").read_text() + (ROOT / "cluster.mk").read_text()
    targets = set(re.findall(r"^([a-z-]+):", files, re.MULTILINE))
    assert {"help", "setup", "demo", "test", "test-fast", "lint", "bench"} <= targets
    for page in PAGES:
        told = re.findall(r"(?:^|`)make ([a-z][a-z-]*)", (ROOT / page).read_text(), re.MULTILINE)
        assert set(told) <= targets, page


def test_each_of_the_originals_variables_has_its_row() -> None:
    rows = [line for line in (ROOT / "docs/migrating.md").read_text().splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])}
    assert told == ORIGINAL
