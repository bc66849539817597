"""docs/tutorial.md: every command in it, run as it is written."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

import pytest

from cluster.lab import Lab
from cluster.lab.errors import CommandError
from cluster.lab.images import image_name
from cluster.lab.places import REPOSITORY
from cluster.standing import operator_log

TUTORIAL = REPOSITORY / "docs" / "tutorial.md"
PUBLISHED = {
    "operator": "ghcr.io/voiceassist/operator:0.0.0",
    "relay": "ghcr.io/voiceassist/relay:0.0.0",
    "sim": "docker.io/library/voiceassist-sim:0.0.0",
}


def blocks() -> list[str]:
    """The commands of the tutorial, block by block."""
    return re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def published(lab: Lab) -> None:
    """Our images under the names that a released version has."""
    for node in lab.nodes:
        for distribution, name in PUBLISHED.items():
            command = node.ctr("images", "tag", "--force", image_name(distribution), name)
            subprocess.run(lab.enclosure.inside(command), check=True, capture_output=True)


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.usefixtures("published")
def test_every_command(lab: Lab, tmp_path: Path) -> None:
    found = blocks()
    assert len(found) > 6
    for folder in ("charts", "examples"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    if "voiceassists.voiceassist.dev" in lab.kubectl("get", "customresourcedefinitions", "-o", "name"):
        # The kind is there already, of another test's release; in an empty cluster it is not, and the command does as it is.
        found = [block.replace("helm install", "helm install --take-ownership") for block in found]
    said = []
    try:
        for block in found:
            try:
                said.append(lab.run(["bash", "-euo", "pipefail", "-c", f"cd {tmp_path}\n{block}"]))
            except CommandError as error:
                state = lab.kubectl("describe", "voiceassists,pods", "-n", "voiceassist")
                raise AssertionError(f"{block}\n{error}\n{operator_log(lab)}\n{state[-6000:]}") from None
    finally:
        with contextlib.suppress(CommandError):  # it is gone, unless a command has failed
            lab.kubectl("patch", "voiceassist", "sandbox", "-n", "voiceassist", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        lab.kubectl("delete", "namespace", "voiceassist", "--ignore-not-found", "--wait=false")
    answers = re.findall(r'"answer": *"([^"]+)"', "".join(said))
    assert any(answers), said
    assert "one sentence" in said[-2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["charts", "examples"]
