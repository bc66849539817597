"""The session's cluster has IPv4 and IPv6: relays serve both."""

from __future__ import annotations

from cluster.lab import Lab
from cluster.paused_call import a_call, two_relays
from cluster.standing import fetch, relay_pods, released, standing


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
