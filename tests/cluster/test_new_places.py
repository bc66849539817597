"""How long it takes from a call that needs another relay until that relay has a place, and what the time consists of.

Run where VOICEASSIST_NEW_PLACES says how many times: 25 takes some 6 minutes. It prints rows for docs/scaling.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.calling import begin
from cluster.lab import Lab
from cluster.standing import fetch, host_of, put, relay_pods, released, sandbox, status_urls, tls_secret, voiceassist, wait_ready
from cluster.waiting import eventually

TIMES = int(os.environ.get("VOICEASSIST_NEW_PLACES", "0"))
pytestmark = [
    pytest.mark.timeout(1500, func_only=True),
    pytest.mark.skipif(TIMES < 1, reason="asked for by VOICEASSIST_NEW_PLACES: see the file's beginning"),
]
LONGEST_SECONDS = 10.0
"""Of 99 in 100, with the image on the node."""
INGRESS_SECONDS = 2.0
"""In which the ingress controller has heard of a pod that is ready."""
LOOK_SECONDS = 0.02
Seen = tuple[float, dict[str, Any]]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    return next(iter(pod["status"].get("containerStatuses") or []), {})


def is_ready(pod: dict[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or [])


def serves(pod: str, item: dict[str, Any]) -> bool:
    found = [one for one in item.get("endpoints") or [] if (one.get("targetRef") or {}).get("name") == pod]
    return any(one["conditions"].get("ready") for one in found)


STEPS: dict[str, tuple[str, Callable[[str, dict[str, Any]], bool]]] = {
    "the operator asks for it": ("Deployment", lambda _, item: item["spec"]["replicas"] == 2),
    "the pod is made": ("Pod", lambda pod, item: item["metadata"]["name"] == pod),
    "it has a node": ("Pod", lambda pod, item: item["metadata"]["name"] == pod and bool(item["spec"].get("nodeName"))),
    "its container runs": ("Pod", lambda pod, item: item["metadata"]["name"] == pod and "running" in container(item).get("state", {})),
    "its relay has begun": ("Pod", lambda pod, item: item["metadata"]["name"] == pod and container(item).get("started") is True),
    "it is ready": ("Pod", lambda pod, item: item["metadata"]["name"] == pod and is_ready(item)),
    "calls are sent there": ("EndpointSlice", serves),
}
"""In this order: the kind whose change tells it, and what it is known by, for the new pod."""


class Watching:
    """Every change of a namespace's objects, with this machine's time at which a watch told it."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def read(self, process: subprocess.Popen[str]) -> None:
        """Takes in what a `kubectl get --watch -o json` prints."""
        assert process.stdout is not None
        decoder, text = json.JSONDecoder(), ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                self.seen.append((time.monotonic(), decoder.decode(text)))
                text = ""

    def steps(self, pod: str, since: float) -> dict[str, float]:
        """When each step of a pod was seen for the first time. Raises StopIteration before all were."""
        told = [one for one in list(self.seen) if one[0] >= since]
        return {step: next(at for at, item in told if item["kind"] == kind and is_it(pod, item)) for step, (kind, is_it) in STEPS.items()}


@contextlib.contextmanager
def watching(lab: Lab, namespace: str) -> Iterator[Watching]:
    found, processes = Watching(), []
    for kind in ("deployments", "pods", "endpointslices"):
        command = ["kubectl", "get", kind, "-n", namespace, "--watch", "-o", "json"]
        processes.append(lab.popen(command, stdout=subprocess.PIPE, text=True, bufsize=1))
        threading.Thread(target=found.read, args=(processes[-1],), daemon=True).start()
    try:
        yield found
    finally:
        for process in processes:
            process.kill()
            process.wait()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def test_a_new_place_is_there_within_ten_seconds(lab: Lab, namespace: str) -> None:
    with released(lab, namespace), watching(lab, namespace) as found:
        host = host_of(namespace)
        place = sandbox(lab, namespace, host)
        lab.apply(tls_secret(lab), namespace=namespace)
        body = voiceassist(place, maxCallsPerPod=1)
        body["spec"]["relay"]["autoscaling"] = {"minReplicas": 1, "maxReplicas": 2, "buffer": {"calls": 1}, "scaleDownAfter": "1s"}
        put(lab, body)
        wait_ready(lab, namespace)
        totals: list[float] = []
        parts: dict[str, list[float]] = {step: [] for step in STEPS}

        def alone() -> str:
            pods = lab.get("pods", "-n", namespace, "-l", "app.kubernetes.io/name=voiceassist-relay")["items"]
            assert len(pods) == 1 and is_ready(pods[0])
            return str(pods[0]["metadata"]["name"])

        for number in range(TIMES + 1):  # the first one finds caches cold, and is not counted
            before = eventually("one relay", alone)
            time.sleep(INGRESS_SECONDS)
            url = status_urls(lab, namespace)[before]
            call = begin(lab, place, host, "lost-parcel.wav", hangUp=None)
            eventually("the call", lambda url=url: fetch(url)["activeCalls"] == 1, every=LOOK_SECONDS)
            needed = time.monotonic()

            def new(before: str = before) -> str:
                return next(name for name in (one["metadata"]["name"] for one in relay_pods(lab, namespace)) if name != before)

            pod = eventually("another pod", new)
            since = needed - 2  # its watch may have told of it before the call was seen here
            at = eventually("its steps", lambda pod=pod, since=since: found.steps(pod, since))
            if number:
                totals.append(at["calls are sent there"] - needed)
                for step, earlier in zip(STEPS, [needed, *list(at.values())[:-1]], strict=True):
                    parts[step].append(at[step] - earlier)
            print(number, {step: round(seconds - needed, 2) for step, seconds in at.items()}, flush=True)
            fetch(f"{place.twilio}/_sim/calls/{call['callSid']}/complete", {}, method="POST")
        longest = percentile(totals, 0.99)
        print(f"\n{TIMES} new relays, from the call until calls are sent there: ", end="")
        print(f"p50 {percentile(totals, 0.5):.2f} s, p99 {longest:.2f} s, longest {max(totals):.2f} s")
        for step, values in parts.items():
            print(f"  {step:<26} + {percentile(values, 0.5):.2f} s, p99 {percentile(values, 0.99):.2f} s")
        assert longest < LONGEST_SECONDS
