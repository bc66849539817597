"""A cluster that knows nothing but IPv6: the chart, a VoiceAssist that gets ready, and a call through the ingress controller."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.lab import Lab
from cluster.lab.addresses import IPV6
from cluster.lab.images import all_images, image_archive
from cluster.lab.places import KEPT
from cluster.paused_call import a_call, two_relays
from cluster.standing import relay_pods, released, standing

pytestmark = [pytest.mark.needs_lab, pytest.mark.timeout(900, func_only=True)]


@pytest.fixture
def ipv6_alone(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A cluster of one node, without an IPv4 address but 127.0.0.1."""
    with Lab(families=(IPV6,)) as lab:
        lab.up(nodes=1)
        lab.load(*[image_archive(recipe) for recipe in all_images()])
        failed_before = request.session.testsfailed
        yield lab
        if request.session.testsfailed > failed_before:
            lab.save_logs(KEPT / "logs-ipv6")


def test_a_call_where_there_is_only_ipv6(ipv6_alone: Lab) -> None:
    lab = ipv6_alone
    with lab.namespace("six") as namespace, released(lab, namespace):
        place = standing(lab, namespace, replicas=2)
        two_relays(lab, namespace)
        for pod in relay_pods(lab, namespace):
            assert [":" in one["ip"] for one in pod["status"]["podIPs"]] == [True]
        a_call(lab, place)
        print(f"IPv6 alone: {lab.seconds}")
