"""A call through the ingress controller that two relays have to talk about: paused and resumed by whichever is asked."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Mapping
from typing import Any

from cluster.calling import Agents, begin
from cluster.lab import Lab
from cluster.standing import Sandbox, condition, fetch, host_of, status_urls
from cluster.waiting import eventually

ROUNDS = 4
"""Requests, taken in turns by two relays: the one without the call's audio asks the other one."""


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
