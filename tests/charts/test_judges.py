"""kube-score on the objects of the chart and on those that the operator makes of each example.

What it finds is mended, or named below with the reason. A finding that is not named fails, and so does a name without a finding.
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.chart import ROOT, objects
from cluster.lab.cache import ensure
from cluster.lab.programs import kube_score
from voiceassist_operator.cli import plan_documents

EXAMPLES = sorted((ROOT / "examples").glob("voiceassist-*.yaml"))
GOOD = 10
"""kube-score's grade for a check without a finding."""
Found = dict[tuple[str, str], set[str]]
"""By check and finding: in which renderings."""


@dataclass(frozen=True)
class Accepted:
    """A finding that is meant, and in which renderings it shows."""

    check: str
    finding: str
    where: frozenset[str]
    why: str


CHART, POLICIES, LEAST, FULL = "the chart", "the chart with NetworkPolicies", "voiceassist-minimal", "voiceassist-full"
EVERYWHERE = frozenset({CHART, POLICIES, LEAST, FULL})
ACCEPTED = (
    Accepted(
        "container-resources",
        "CPU limit is not set",
        EVERYWHERE,
        "a container at its limit stands still for the rest of 100 ms: audio and leases wait. Requests are set; a limit may be.",
    ),
    Accepted(
        "container-image-pull-policy",
        "ImagePullPolicy is not set to Always",
        EVERYWHERE,
        "a tag of a release never moves, an image may be given by digest, and a relay must start while the registry is away.",
    ),
    Accepted(
        "pod-networkpolicy",
        "The pod does not have a matching NetworkPolicy",
        frozenset({CHART, LEAST}),
        "who scrapes and where the model is are the installer's to know: networkPolicy.enabled and spec.relay.networkPolicy turn them on.",
    ),
    *(
        Accepted(
            "container-ephemeral-storage-request-and-limit",
            f"Ephemeral Storage {one} is not set",
            frozenset({FULL}),
            "the example gives the relays' resources itself, and with them all their bounds; without that they have ours.",
        )
        for one in ("request", "limit")
    ),
)


def renderings() -> dict[str, list[dict[str, Any]]]:
    """The objects under judgement."""
    plans = {}
    for path in EXAMPLES:
        plans[path.stem] = plan_documents(yaml.safe_load(path.read_text()), "Help.", "ghcr.io/voiceassist/relay:0.1.0")
    return {CHART: objects(), POLICIES: objects({"networkPolicy": {"enabled": True}}), **plans}


def judged(documents: Iterable[dict[str, Any]], file: Path) -> set[tuple[str, str]]:
    """What kube-score finds: the check's name and what it says, once each."""
    file.write_text(yaml.safe_dump_all(documents))
    command = [ensure(kube_score()) / "kube-score", "score", "--output-format", "json", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1}, done.stderr
    told = json.loads(done.stdout)
    assert any(check["grade"] == GOOD for one in told for check in one["checks"]), "nothing was checked"
    return {
        (check["check"]["id"], comment["summary"])
        for one in told
        for check in one["checks"]
        if not check["skipped"] and check["grade"] < GOOD
        for comment in check["comments"]
    }


@pytest.mark.timeout(600)
def test_what_kube_score_finds_is_named_with_the_reason(tmp_path: Path) -> None:
    assert {path.stem for path in EXAMPLES} == {LEAST, FULL}
    found: Found = defaultdict(set)
    for name, documents in renderings().items():
        for finding in judged(documents, tmp_path / f"{name}.yaml"):
            found[finding].add(name)
    assert dict(found) == {(one.check, one.finding): set(one.where) for one in ACCEPTED}


@pytest.mark.timeout(600)
def test_kube_score_finds_what_is_wrong(tmp_path: Path) -> None:
    documents = renderings()[LEAST]
    pod = next(each for each in documents if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    pod["containers"][0]["securityContext"] = {"privileged": True}
    del pod["containers"][0]["readinessProbe"]
    checks = {check for check, _ in judged(documents, tmp_path / "wrong.yaml")}
    assert {"container-security-context-privileged", "container-security-context-readonlyrootfilesystem", "pod-probes"} <= checks
