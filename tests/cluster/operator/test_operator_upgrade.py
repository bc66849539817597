"""The chart of the version before, this one, and back, by Helm 4 with server-side apply: with objects in place, an operator for them,
and others who own fields beside it: a HorizontalPodAutoscaler the number of relays, a GitOps tool the rest. A chart that is older than the
kind is refused."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.lab import CommandError, Lab
from cluster.operator.bench import VOICEASSIST, Cluster, voiceassist
from cluster.standing import CHART
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(300, func_only=True)
ROOT = Path(__file__).parents[3]
CRD = ROOT / "crds/voiceassists.voiceassist.dev.yaml"
KIND = "customresourcedefinition/voiceassists.voiceassist.dev"
BEFORE = ROOT / "tests/contract/versions/0.1.0/chart.tar.gz"
"""The chart of the version before, as it was then."""
DEPLOYMENT = ("apps/v1", "Deployment")


@pytest.fixture(scope="module")
def chart_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(BEFORE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "charts/voiceassist"


@pytest.fixture(autouse=True)
def _crd(plane: Lab) -> Iterator[None]:
    """The kind is the tests' own again in the end."""
    yield
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRD)


def helm(plane: Lab, command: str, namespace: str, *more: str | Path) -> str:
    return plane.helm(command, "voiceassist", *more, "-n", namespace, "--timeout=60s")


def by_gitops(plane: Lab, namespace: str, body: dict[str, Any]) -> None:
    """Applies as a GitOps tool does, which owns all that it names; nothing is forced."""
    plane.kubectl("apply", "--server-side", "--field-manager=gitops", "-n", namespace, "-f", "-", stdin=json.dumps(body))


def known_fields(plane: Lab) -> set[str]:
    [version] = plane.get(KIND)["spec"]["versions"]
    return set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["relay"]["properties"])


@pytest.mark.usefixtures("operator")
def test_upgrade_and_back_beside_others_who_own_fields(plane: Lab, cluster: Cluster, chart_before: Path) -> None:
    where = cluster.namespace
    helm(plane, "install", where, chart_before, "--take-ownership", "--force-conflicts")
    before = known_fields(plane)
    body = voiceassist()
    del body["spec"]["relay"]
    body["metadata"]["annotations"] = {"example.com/owner": "gitops"}
    cluster.secrets()
    by_gitops(plane, where, body)
    target = {"apiVersion": VOICEASSIST[0], "kind": VOICEASSIST[1], "name": "support"}
    scaler = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 4}
    plane.apply(
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"}, "spec": scaler}, namespace=where
    )
    plane.kubectl("annotate", "deployment", "voiceassist-operator", "example.com/owner=gitops", "-n", where)

    def relays() -> int:
        return int(cluster.get(DEPLOYMENT, "support-relay")["spec"]["replicas"])

    eventually("the autoscaler's number of relays", lambda: relays() == 3)

    def stands() -> None:
        """What others own is as they left it, and each can still write its own."""
        found = cluster.assist()
        assert (found["spec"]["relay"]["replicas"], found["metadata"]["annotations"]["example.com/owner"]) == (3, "gitops")
        assert plane.get("deployment", "voiceassist-operator", "-n", where)["metadata"]["annotations"]["example.com/owner"] == "gitops"
        by_gitops(plane, where, body)
        assert cluster.assist()["spec"]["relay"]["replicas"] == 3
        assert relays() == 3

    stands()
    helm(plane, "upgrade", where, CHART)
    assert before < known_fields(plane)
    stands()
    revision = cluster.assist()["status"]["prompt"]["currentRevision"]  # before the edit: the operator may be quicker than its kubectl
    body["spec"]["prompt"] = {"instructions": "You help in other words."}
    by_gitops(plane, where, body)
    eventually("an object of before is edited", lambda: cluster.assist()["status"]["prompt"]["currentRevision"] != revision)
    helm(plane, "rollback", where)
    assert known_fields(plane) == before, "a roll-back asks nobody, and puts the older kind back"
    stands()
    helm(plane, "upgrade", where, CHART)
    assert before < known_fields(plane)
    stands()
    helm(plane, "uninstall", where)
    assert cluster.assist()["spec"]["relay"]["replicas"] == 3, "the kind is kept, and its objects"


def test_upgrade_to_an_older_chart_is_refused_in_words(plane: Lab, cluster: Cluster) -> None:
    where = cluster.namespace
    dry = ("--dry-run=server", "--take-ownership")

    def installed(version: str) -> None:
        plane.kubectl("annotate", KIND, f"voiceassist.dev/version={version}", "--overwrite")

    try:
        installed("99.1.0")
        with pytest.raises(CommandError, match=r"VoiceAssist of version 99\.1\.0 is installed.*--set crds\.install=false") as refused:
            helm(plane, "install", where, CHART, *dry)
        assert "or later" in refused.value.stderr
        helm(plane, "install", where, CHART, *dry, "--set=crds.install=false")
        for version in (yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], "of somebody's own"):
            installed(version)
            helm(plane, "install", where, CHART, *dry)
    finally:
        plane.kubectl("annotate", KIND, "voiceassist.dev/version-")
