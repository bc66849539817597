"""The addresses of a cluster: they exist in its own network namespace only, so they are the same for all and collide with nothing."""

from __future__ import annotations

NODE_NETWORK = "192.0.2.0/24"  # TEST-NET-1: set aside for examples, routed nowhere
API_SERVER = "192.0.2.1"  # also the first node, and the cluster's DNS server
INGRESS = "192.0.2.10"
OUTSIDE = "192.0.2.20"  # where pods reach what a test exposes to them of the machine outside
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
API_PORT = 6443
INGRESS_DOMAIN = "voiceassist.test"  # every name below it is the ingress controller, for pods


def node_address(index: int) -> str:
    """The address of a node."""
    return f"192.0.2.{1 + index}"


def pod_network(index: int) -> str:
    """The addresses of a node's pods."""
    return f"10.244.{index}.0/24"
