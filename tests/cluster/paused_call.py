"""A call through the ingress controller that two relays have to talk about: paused and resumed by whichever is asked."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from cluster.calling import Agents, begin
from cluster.lab import Lab
from cluster.standing import Sandbox, condition, fetch, host_of, status_urls
from cluster.waiting import eventually

ROUNDS = 20
"""Pauses and resumes at most until each relay was asked: the one without the call's audio asks the other one. An ingress controller chooses
in each of its workers for itself, so that a few requests in a row may all go to one relay."""


def two_relays(lab: Lab, namespace: str) -> None:
    eventually(
        "two relays",
        lambda: len(status_urls(lab, namespace)) == 2 and condition(lab, namespace, "Progressing").get("status") == "False",
    )


def a_call(lab: Lab, place: Sandbox) -> None:
    """A call that gets a suggestion, and is paused and resumed through whichever relay is asked."""
    host = host_of(place.namespace)
    call = begin(lab, place, host, "lost-parcel.wav", hangUp=None)
    eventually("a suggestion", lambda: any(samples(lab, place.namespace, "turns_total", 'outcome="suggested"')))
    answers = asyncio.run(acts(lab, host, call, lambda: all(samples(lab, place.namespace, "http_requests_total", 'status="2xx"'))))
    assert {status for status, _ in answers} == {200}, answers
    assert all(answer["confirmed"] for _, answer in answers[:-1]), answers
    assert len(answers) > 2, "a pause and a resume at the least"
    assert all(samples(lab, place.namespace, "http_requests_total", 'status="2xx"')), "both relays were asked"
    assert [fetch(url).get("unreachedRelays", []) for url in status_urls(lab, place.namespace).values()] == [[], []]
    assert condition(lab, place.namespace, "RelaysConnected")["status"] == "True"


async def acts(lab: Lab, host: str, call: Mapping[str, Any], enough: Callable[[], bool]) -> list[tuple[int, Any]]:
    """Pauses and resumes the call until it is enough, then stops it; the answers."""
    answers = []
    async with Agents(lab, host) as agents:
        for _ in range(ROUNDS):
            answers += [await agents.act(action, call) for action in ("pause", "resume")]
            if await asyncio.to_thread(enough):
                break
        return [*answers, await agents.act("stop", call)]


def samples(lab: Lab, namespace: str, metric: str, label: str) -> list[float]:
    """A counter of each relay, for a label as it is written."""
    found = []
    for url in status_urls(lab, namespace).values():
        with urllib.request.urlopen(url.replace("/status", "/metrics"), timeout=60) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line.startswith(f"voiceassist_relay_{metric}{{")]
        found.append(sum(float(line.rpartition(" ")[2]) for line in lines if label in line))
    return found
