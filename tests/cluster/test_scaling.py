"""Relays follow calls on a real cluster: more while places are few, fewer when they are not needed, and no call ends by it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cluster.calling import begin
from cluster.lab import Lab
from cluster.standing import (
    condition,
    events,
    fetch,
    host_of,
    operator_log,
    put,
    relay_pods,
    released,
    sandbox,
    status_urls,
    tls_secret,
    voiceassist,
    wait_ready,
)
from cluster.waiting import eventually

CALLS, PLACES = 5, 2
INGRESS_SECONDS = 2.0
"""In which the ingress controller has heard of a pod that is ready."""


@pytest.mark.timeout(900, func_only=True)
def test_relays_follow_calls_up_and_down(lab: Lab, namespace: str) -> None:
    with released(lab, namespace):
        host = host_of(namespace)
        place = sandbox(lab, namespace, host)
        lab.apply(tls_secret(lab), namespace=namespace)
        body = voiceassist(place, maxCallsPerPod=PLACES)
        body["spec"]["relay"]["autoscaling"] = {"minReplicas": 1, "maxReplicas": 4, "buffer": {"calls": 2}, "scaleDownAfter": "5s"}
        put(lab, body)
        wait_ready(lab, namespace)

        def relay() -> dict[str, Any]:
            found: dict[str, Any] = lab.get("voiceassist", "support", "-n", namespace)["status"]["relay"]
            return found

        def are(pods: int) -> bool:
            now = relay()
            return (now.get("desiredReplicas"), now["replicas"], len(status_urls(lab, namespace))) == (pods, pods, pods)

        def a_place_is_free() -> bool:
            ready = [
                pod["metadata"]["name"]
                for pod in relay_pods(lab, namespace)
                if any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
            ]
            urls = status_urls(lab, namespace)
            return any(fetch(urls[name])["activeCalls"] < PLACES for name in ready if name in urls)

        eventually("one relay", lambda: are(1))
        calls = []
        for number in range(CALLS):
            calls.append(begin(lab, place, host, "lost-parcel.wav", hangUp=None))
            wanted = (number + 1 + 2 + 1) // 2
            eventually(f"{wanted} relays for {number + 1} calls", lambda wanted=wanted: are(wanted))
            eventually("a free place", a_place_is_free)
            time.sleep(INGRESS_SECONDS)

        def live() -> int:
            return sum(fetch(url)["activeCalls"] for url in status_urls(lab, namespace).values())

        eventually("all calls", lambda: live() == CALLS)
        lab.kubectl("scale", "voiceassist/support", "--replicas=3", "-n", namespace)
        for call in calls[:-1]:
            fetch(f"{place.twilio}/_sim/calls/{call['callSid']}/complete", {}, method="POST")
        eventually("two relays for one call", lambda: are(2))
        assert live() == 1, f"the last call goes on\n{operator_log(lab)}"
        fetch(f"{place.twilio}/_sim/calls/{calls[-1]['callSid']}/complete", {}, method="POST")
        eventually("one relay", lambda: are(1))
        assert condition(lab, namespace, "RelayAvailable")["status"] == "True"
        told = [one.reason for one in events(lab, namespace)]
        assert told.count("ScaledUp") == 3
        assert "ScaledDown" in told
