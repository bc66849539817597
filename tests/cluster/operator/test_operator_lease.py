"""The Lease between real processes: one leads, hands over at once when asked to end, and writes nothing once its time is over."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.lab import Lab
from cluster.operator.bench import VOICEASSIST, Cluster, Operator, voiceassist
from cluster.waiting import PATIENCE, eventually
from support.load import slowdown
from voiceassist_operator.kubernetes.lease import DURATION, LeaseTimes

SLOW = LeaseTimes(30)
"""Where the time itself is not the matter: no busy machine makes a replica lose it."""

pytestmark = pytest.mark.timeout(900, func_only=True)
SERVICE, RELAY = ("v1", "Service"), "support-relay"


@contextlib.contextmanager
def replicas(plane: Lab, cluster: Cluster, folder: Path, times: LeaseTimes = SLOW) -> Iterator[list[Operator]]:
    """Replicas with users of their own; the first one leads."""
    made: list[Operator] = []
    try:
        arguments = ("--namespace", cluster.namespace, "--lease-namespace", cluster.namespace, "--lease-seconds", str(int(times.duration)))
        for number in range(2):
            user = plane.outside_kubeconfig(f"{cluster.namespace}-{number}", "system:masters")
            made.append(Operator(user, folder / f"log{number}", *arguments))
            made[-1].await_event("waiting for the Lease" if number else "operator up")
        yield made
    finally:
        for one in made:
            one.kill()


def test_one_leads_and_hands_over(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    cluster.secrets()
    with replicas(plane, cluster, tmp_path) as (first, second):
        cluster.create(voiceassist())
        eventually("served", lambda: cluster.find(SERVICE, RELAY))
        time.sleep(SLOW.renew_every + 1)
        assert (first.metrics()["voiceassist_operator_leading"], second.metrics()["voiceassist_operator_leading"]) == (1, 0)
        assert not second.events("leading")
        begin = time.monotonic()
        first.process.send_signal(signal.SIGTERM)
        second.await_event("leading")
        assert time.monotonic() - begin < 4 * slowdown()
        assert first.process.wait(PATIENCE) == 0
        assert first.events("the Lease is given up")
        cluster.delete(SERVICE, RELAY)
        eventually("the second serves", lambda: cluster.find(SERVICE, RELAY))


def test_a_killed_leader_is_replaced_when_its_time_is_over(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    with replicas(plane, cluster, tmp_path, LeaseTimes()) as (first, second):
        time.sleep(2)
        begin = time.monotonic()
        first.kill()
        second.await_event("leading")
        assert DURATION - 6 < time.monotonic() - begin < DURATION + 8 * slowdown()


def test_a_leader_that_slept_writes_nothing_and_ends(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    cluster.secrets()
    with replicas(plane, cluster, tmp_path) as (first, second):
        cluster.create(voiceassist())
        eventually("served", lambda: cluster.find(SERVICE, RELAY))
        cluster.await_condition("EndpointReachable", "False", "DNSFailed")
        time.sleep(2)  # nothing is under way: a request that was begun in time may be sent when the process goes on
        first.process.send_signal(signal.SIGSTOP)
        time.sleep(SLOW.deadline)
        second.await_event("operator up")
        second.process.send_signal(signal.SIGSTOP)  # or it would put everything right before the first one could be tempted
        try:
            cluster.delete(SERVICE, RELAY)
            cluster.patch(VOICEASSIST, "support", {"spec": {"prompt": {"instructions": "Changed while the leader slept."}}})
            woken = datetime.now(UTC)
            first.process.send_signal(signal.SIGCONT)
            assert first.process.wait(PATIENCE) == 1, first.log[-2000:]
        finally:
            second.process.send_signal(signal.SIGCONT)
        assert first.events("the Lease is lost")
        written = [
            (event["verb"], event["requestURI"])
            for event in plane.audit_events(f"{cluster.namespace}-0")
            if event["verb"] not in {"get", "list", "watch"} and datetime.fromisoformat(event["requestReceivedTimestamp"]) > woken
        ]
        assert written == []
        eventually("the second puts it right", lambda: cluster.find(SERVICE, RELAY))
