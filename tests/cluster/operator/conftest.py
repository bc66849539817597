"""Fixtures of the operator's tests: an API server of their own, so that no other operator is near and the audit log is theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.lab import Lab, missing_prerequisites
from cluster.operator.bench import Cluster, Operator, Relays
from cluster.operator.clouds import clouds
from cluster.waiting import established

CRD = Path(__file__).parents[3] / "crds/voiceassists.voiceassist.dev.yaml"
_planes: list[Lab] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The control plane ends with the last of these tests, not with the session: the tests that follow need the cores."""
    yield
    if nextitem is None or not nextitem.path.is_relative_to(Path(__file__).parent):
        while _planes:
            _planes.pop().down()


@pytest.fixture(scope="session")
def plane() -> Iterator[Lab]:
    """A control plane with our CRD, without nodes."""
    if missing := missing_prerequisites():
        pytest.skip(f"NOT RUN: {'; '.join(missing)}")
    with Lab() as lab:
        _planes.append(lab.control_plane_only())
        lab.kubectl("apply", "--server-side", "-f", CRD)
        established(lab, "voiceassists.voiceassist.dev")
        yield lab


@pytest.fixture(scope="session", autouse=True)
def _clouds() -> Iterator[None]:
    """Ends the Twilio stand-ins with the session, if any were started."""
    yield
    if clouds.cache_info().currsize:
        clouds().close()


@pytest.fixture(scope="session")
def relays() -> Iterator[Relays]:
    fleet = Relays()
    yield fleet
    fleet.close()


@pytest.fixture
def cluster(plane: Lab, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A namespace of the test's own."""
    prefix = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())
    with plane.namespace(prefix) as name:
        yield Cluster(plane.outside_kubeconfig(), name)


@pytest.fixture(scope="module")
def operator(plane: Lab, relays: Relays, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all namespaces, which looks at everything every 2 s."""
    log = tmp_path_factory.mktemp("operator") / "log"
    arguments = ("--all-namespaces", "--lease-namespace", "default", "--relay-port", str(relays.port), "--resync-seconds", "2")
    arguments += ("--pod-monitor-label", "release=prometheus")
    process = Operator(plane.outside_kubeconfig(), log, *arguments)
    try:
        process.await_event("operator up")
        yield process
    finally:
        process.kill()
        # Left behind by it: the next one need not wait until it has run out.
        plane.kubectl("delete", "lease", "voiceassist-operator", "--namespace", "default", "--ignore-not-found")
