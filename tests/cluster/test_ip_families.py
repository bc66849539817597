"""Clusters with IPv6: one that knows nothing else, and the session's, which has both. A call through the ingress controller on each."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cluster.calling import Agents, begin
from cluster.lab import Lab
from cluster.lab.addresses import IPV6
from cluster.lab.images import all_images, image_archive
from cluster.lab.places import KEPT
from cluster.standing import Sandbox, condition, fetch, host_of, relay_pods, released, standing, status_urls
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(900, func_only=True)
ROUNDS = 4
"""Requests, taken in turns by two relays: the one without the call's audio asks the other one."""


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


@pytest.mark.needs_lab
def test_a_call_where_there_is_only_ipv6(ipv6_alone: Lab) -> None:
    lab = ipv6_alone
    with lab.namespace("six") as namespace, released(lab, namespace):
        place = standing(lab, namespace, replicas=2)
        two_relays(lab, namespace)
        for pod in relay_pods(lab, namespace):
            assert [":" in one["ip"] for one in pod["status"]["podIPs"]] == [True]
        a_call(lab, place)
        print(f"IPv6 alone: {lab.seconds}")


def test_a_call_where_there_are_both(lab: Lab, namespace: str) -> None:
    with released(lab, namespace):
        place = standing(lab, namespace, replicas=2)
        two_relays(lab, namespace)
        service = lab.get("service", "support-relay", "-n", namespace)["spec"]
        assert (service["ipFamilies"], len(service["clusterIPs"])) == (["IPv4", "IPv6"], 2)
        for pod in relay_pods(lab, namespace):
            addresses = [one["ip"] for one in pod["status"]["podIPs"]]
            assert [":" in address for address in addresses] == [False, True]
            for address in addresses:
                assert fetch(f"http://127.0.0.1:{lab.forward(address, 9090)}/status")["pod"] == pod["metadata"]["name"]
        a_call(lab, place)


def two_relays(lab: Lab, namespace: str) -> None:
    eventually(
        "two relays",
        lambda: len(status_urls(lab, namespace)) == 2 and condition(lab, namespace, "Progressing").get("status") == "False",
    )


def a_call(lab: Lab, place: Sandbox) -> None:
    """A call that gets a suggestion, and is paused and resumed through whichever relay is asked."""
    host = host_of(place.namespace)
    call = begin(lab, place, host, "lost-parcel.wav", hangUp=None)
    eventually("a suggestion", lambda: suggested(lab, place.namespace))
    answers = asyncio.run(acts(lab, host, call, *(["pause", "resume"] * (ROUNDS // 2)), "stop"))
    assert {status for status, _ in answers} == {200}, answers
    assert all(answer["confirmed"] for _, answer in answers[:-1]), answers
    assert [fetch(url).get("unreachedRelays", []) for url in status_urls(lab, place.namespace).values()] == [[], []]
    assert condition(lab, place.namespace, "RelaysConnected")["status"] == "True"


async def acts(lab: Lab, host: str, call: Mapping[str, Any], *actions: str) -> list[tuple[int, Any]]:
    async with Agents(lab, host) as agents:
        return [await agents.act(action, call) for action in actions]


def suggested(lab: Lab, namespace: str) -> bool:
    """Whether a relay says that Sync has a suggestion."""
    for url in status_urls(lab, namespace).values():
        with urllib.request.urlopen(url.replace("/status", "/metrics"), timeout=60) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line.startswith("voiceassist_relay_turns_total{")]
        if any('outcome="suggested"' in line and not line.endswith(" 0.0") for line in lines):
            return True
    return False
