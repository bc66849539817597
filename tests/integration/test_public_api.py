"""schemathesis on the relay's public port, from docs/openapi.json: a relay and the stand-ins as processes, always the same requests.

What it finds is mended in the relay, told in the document, or named with its reason in schemathesis.toml.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from integration.functions_rig import rigged
from voiceassist_demo.stage import Stage

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/openapi.json"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
PREFIX = "/{prefix:path}"


async def run(document: Path, url: str, *more: str) -> tuple[int, str]:
    """Its exit code (0 where nothing was found), and what it says."""
    command = (
        *(SCHEMATHESIS, "--no-color", "--config-file", Path(__file__).with_name("schemathesis.toml")),
        *("run", document, "--url", url, "--seed", "14", "--generation-database", "none", "--warnings", "off", *more),
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await asyncio.wait_for(process.communicate(), 400)
    return process.returncode or 0, said.decode()


def generated(said: str) -> int:
    found = re.search(r"(\d+) generated", said)
    return int(found[1]) if found else 0


@pytest.mark.parametrize(
    ("checks", "more"),
    [
        # Every request reaches what carries it out. There is no authentication that could be passed by, so Twilio's callbacks need no
        # signature here, which the document demands: they are left to the other run.
        (
            "Off",
            (
                *("--phases", "coverage,fuzzing", "--max-examples", "3", "--exclude-checks", "ignored_auth"),
                *("--exclude-path", "/callbacks/stream"),
            ),
        ),
        # Signatures and tokens are checked, and requests are counted against the worker's rate. The worker's token is in the header: with
        # another one in the body, which the document cannot rule out, a request is refused for that. What is malformed is the other run's.
        ("All", ("--phases", "coverage", "--mode", "positive", "--exclude-checks", "positive_data_acceptance")),
    ],
    ids=["without checks", "with checks"],
)
async def test_the_relay_does_what_its_document_says(checks: str, more: tuple[str, ...], tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config={"checks": checks}) as stage:
        worker = await stage.new_worker("ann", "agent")
        header = ("-H", f"Authorization: Bearer {worker['flexToken']}") if checks == "All" else ()
        code, said = await run(DOCUMENT, stage.relay.public, *header, *more)
        assert code == 0, said
        assert f"{6 if checks == 'Off' else 7} selected / 7 total" in said
        assert generated(said) > (200 if checks == "Off" else 80), said
        assert not stage.gone()


async def test_what_the_document_does_not_say_is_found(tmp_path: Path) -> None:
    document = json.loads(DOCUMENT.read_text())
    document["paths"] = {"/readyz": document["paths"]["/readyz"]}
    document["paths"]["/readyz"]["get"]["responses"].pop("200")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(document))
    async with Stage(tmp_path / "stage", config={"checks": "Off"}) as stage:
        code, said = await run(wrong, stage.relay.public, "--phases", "fuzzing", "--max-examples", "1")
    assert code == 1, said
    assert "Undocumented HTTP status code" in said or "status code" in said, said


async def test_the_document_has_every_path_of_the_functions() -> None:
    async with rigged() as rig:
        routes = {route.path for route in rig.relays[0].functions.router().routes}  # type: ignore[attr-defined]  # routes of the framework
    paths = {path.removeprefix(PREFIX).rstrip("/") for path in routes}
    assert paths | {"/readyz", "/ws/{callSid}"} == set(json.loads(DOCUMENT.read_text())["paths"])
