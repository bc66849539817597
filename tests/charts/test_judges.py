"""kube-score and checkov on the objects of the chart and on those that the operator makes of each example.

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
from charts.checkov import found_by_checkov
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

ACCEPTED_OF_CHECKOV = (
    Accepted("CKV_K8S_11", "CPU limits should be set", EVERYWHERE, "as of kube-score: a container at its limit stands still."),
    Accepted("CKV_K8S_15", "Image Pull Policy should be Always", EVERYWHERE, "as of kube-score: a release's tag never moves."),
    Accepted(
        "CKV_K8S_43", "Image should use digest", EVERYWHERE, "the tag is the release's own; relay.image and image.digest take a digest."
    ),
    Accepted(
        "CKV_K8S_38",
        "Ensure that Service Account Tokens are only mounted where necessary",
        frozenset({CHART, POLICIES}),
        "the operator asks the API server; relays do not, and have no token.",
    ),
    Accepted(
        "CKV_K8S_21",
        "The default namespace should not be used",
        frozenset({LEAST, FULL}),
        "the examples name no namespace: who applies them chooses it.",
    ),
    Accepted(
        "CKV2_K8S_6",
        "Minimize the admission of pods which lack an associated NetworkPolicy",
        frozenset({LEAST}),
        "as of kube-score. Of the operator's pod it does not ask.",
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


@pytest.mark.timeout(600)
def test_what_checkov_finds_is_named_with_the_reason_and_what_is_wrong_is_found(tmp_path: Path) -> None:
    made = renderings()
    wrong = json.loads(json.dumps(made[LEAST]))
    pod = next(each for each in wrong if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    pod["containers"][0]["securityContext"] = {"privileged": True}
    pod["hostNetwork"] = True
    for name, documents in {**made, "wrong": wrong}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(documents))
    passed, findings = found_by_checkov(tmp_path)
    assert passed > 300
    found: Found = defaultdict(set)
    for check, words, where in findings:
        found[check, words].add(where)
    checks = {check for (check, _), where in found.items() if "wrong" in where}
    assert {"CKV_K8S_16", "CKV_K8S_19", "CKV_K8S_22"} <= checks, "privileged, the host's network, a root that can be written"
    named = {finding: where - {"wrong"} for finding, where in found.items() if where != {"wrong"}}
    assert named == {(one.check, one.finding): set(one.where) for one in ACCEPTED_OF_CHECKOV}
