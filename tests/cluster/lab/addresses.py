"""The addresses of a cluster: they exist in its own network namespace only, so they are the same for all and collide with nothing."""

from __future__ import annotations

from dataclasses import dataclass

API_PORT = 6443
INGRESS_DOMAIN = "voiceassist.test"  # every name below it is the ingress controller, for pods


@dataclass(frozen=True)
class Family:
    """What a cluster has of one IP version; `host` is the part before a node's number, prefix lengths are bits."""

    version: int
    host: str
    node_bits: int
    api_service: str
    service_network: str
    pod_network: str
    pod_network_of_node: str
    pod_bits: int
    everywhere: str
    dns_record: str
    dns_zone: str

    @property
    def api_server(self) -> str:
        """Also the first node, and the cluster's DNS server."""
        return self.node_address(0)

    @property
    def ingress(self) -> str:
        """The ingress controller."""
        return f"{self.host}10"

    @property
    def outside(self) -> str:
        """Where pods reach what a test exposes to them of the machine outside."""
        return f"{self.host}20"

    def node_address(self, index: int) -> str:
        """The address of a node."""
        return f"{self.host}{1 + index}"

    def node_pods(self, index: int) -> str:
        """The addresses of a node's pods."""
        return self.pod_network_of_node.format(index)


IPV4 = Family(
    4,
    "192.0.2.",  # TEST-NET-1: set aside for examples, routed nowhere
    24,
    "10.96.0.1",
    "10.96.0.0/16",
    "10.244.0.0/16",
    "10.244.{}.0/24",
    24,
    "0.0.0.0",
    "A",
    "in-addr.arpa",
)
IPV6 = Family(
    6,
    "2001:db8::",  # set aside for documentation, routed nowhere
    64,
    "fd00:10:96::1",
    "fd00:10:96::/112",
    "fd00:10:244::/56",
    "fd00:10:244:{}::/64",
    64,
    "::",
    "AAAA",
    "ip6.arpa",
)
Families = tuple[Family, ...]
"""The first one is what Services and pods have first."""


def bracketed(address: str) -> str:
    """As it stands before a colon and a port."""
    return f"[{address}]" if ":" in address else address
