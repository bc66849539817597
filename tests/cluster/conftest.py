"""Fixtures of the cluster tests: one cluster for the whole session, a namespace of its own for each test."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from cluster.lab import Lab, LabError, missing_prerequisites
from cluster.lab.addresses import IPV4, IPV6
from cluster.lab.cache import ensure
from cluster.lab.images import all_images, image_archive
from cluster.lab.places import KEPT
from cluster.lab.programs import all_programs
from cluster.lab.progress import say

_FIXTURES = {"lab", "control_plane"}


def _needs_cluster(item: pytest.Item) -> bool:
    return bool(_FIXTURES.intersection(getattr(item, "fixturenames", ())))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_lab: starts clusters of its own, and is not run where one cannot be started")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    chosen = [item for item in items if _needs_cluster(item) or item.get_closest_marker("needs_lab")]
    if not chosen:
        return
    missing = missing_prerequisites()
    for item in chosen:
        # The time limit is the test's own: fixtures that bring a cluster up or down are not counted.
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900, func_only=True))
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"NOT RUN: {'; '.join(missing)}"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is not in the cache before the first test, with progress on the terminal, as it can take half an hour."""
    items = [item for item in session.items if _needs_cluster(item) or item.get_closest_marker("needs_lab")]
    if session.config.option.collectonly or not items or any(item.get_closest_marker("skip") for item in items):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            for recipe in (*all_programs(), *all_images()):
                ensure(recipe)
    except LabError as error:
        pytest.exit(f"the test cluster could not be built: {error}", returncode=pytest.ExitCode.INTERNAL_ERROR)


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A cluster with two nodes, DNS, an ingress controller and our images, of IPv4 and IPv6, for the whole session."""
    terminal = request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    with Lab(families=(IPV4, IPV6), own_disks=bool(os.environ.get("VOICEASSIST_FAULTS"))) as cluster:
        with terminal():
            cluster.up(nodes=2)
            cluster.load(*[image_archive(recipe) for recipe in all_images()])
            say(", ".join(f"{what}: {seconds:.1f} s" for what, seconds in cluster.seconds.items()))
        failed_before = request.session.testsfailed
        yield cluster
        if request.session.testsfailed > failed_before:
            cluster.save_logs(KEPT / "logs")
            with terminal():
                say(f"the cluster's logs are in {KEPT / 'logs'}")


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """An API server with its controllers, no node: the session's cluster if another test needs that anyway."""
    if any("lab" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield request.getfixturevalue("lab")
        return
    with Lab() as cluster:
        yield cluster.control_plane_only()


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Kubernetes namespace of the test's own, in which pods have to keep to the "restricted" standard."""
    cluster: Lab = request.getfixturevalue("lab" if "lab" in request.fixturenames else "control_plane")
    prefix = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())
    with cluster.namespace(prefix) as name:
        yield name
