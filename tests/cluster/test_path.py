"""The whole path on a real cluster: chart, object, relay pods, calls through the ingress controller with TLS, suggestions in Sync."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.calling import play
from cluster.lab import Lab
from cluster.standing import host_of, released, standing
from voiceassist_demo.report import complaints, document


@pytest.fixture(scope="module")
def release(lab: Lab) -> Iterator[str]:
    """The operator, for every namespace: each test has its objects in its own."""
    with lab.namespace("voiceassist-system") as home, released(lab, home, watch__allNamespaces=True, endpoint__caSecret="endpoint-ca"):
        yield home


@pytest.mark.usefixtures("release")
def test_a_call_through_the_ingress(lab: Lab, namespace: str) -> None:
    place = standing(lab, namespace)
    facts = play(lab, place, host_of(namespace), ["lost-parcel.wav"])
    report = document(facts)
    assert complaints(report) == []
    answers = [suggestion["answer"] for suggestion in report["calls"][0]["suggestions"]]
    assert answers, "no suggestion in Sync"
