"""How relays are reached: Service, Ingress, NetworkPolicy."""

from __future__ import annotations

from voiceassist_crds import names

from ...kubernetes.kinds import INGRESS, LABEL_APP, MANAGER, NETWORK_POLICY, SERVICE, Manifest
from .metadata import Owner, manifest, relay_name

_HOUR = "3600"

INGRESS_ANNOTATIONS = {
    # An hour between two bytes: a stream may be silent, and closing it ends the call's assist.
    "nginx.ingress.kubernetes.io/proxy-read-timeout": _HOUR,
    "nginx.ingress.kubernetes.io/proxy-send-timeout": _HOUR,
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    "nginx.org/proxy-read-timeout": f"{_HOUR}s",
    "nginx.org/proxy-send-timeout": f"{_HOUR}s",
    "haproxy.org/timeout-tunnel": f"{_HOUR}s",
    "haproxy-ingress.github.io/timeout-tunnel": f"{_HOUR}s",
    "projectcontour.io/response-timeout": "infinity",
    "alb.ingress.kubernetes.io/load-balancer-attributes": f"idle_timeout.timeout_seconds={_HOUR}",
}


def relay_service(owner: Owner) -> Manifest:
    """Returns the Service of the public port; the private one is in none."""
    body = {
        "spec": {
            "type": "ClusterIP",
            "selector": owner.selector,
            "ports": [{"name": "http", "port": 80, "targetPort": "public", "protocol": "TCP", "appProtocol": "http"}],
        }
    }
    return manifest(SERVICE, owner, relay_name(owner.name), body)


def relay_ingress(owner: Owner) -> Manifest | None:
    """Returns the Ingress, if wanted. Contour also has to know which route is a websocket."""
    ingress, prefix = owner.spec.ingress, owner.spec.path_prefix
    if not ingress.enabled:
        return None
    name = relay_name(owner.name)
    path = {"path": prefix or "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"name": "http"}}}}
    spec: Manifest = {"rules": [{"host": owner.spec.host, "http": {"paths": [path]}}]}
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret_name:
        spec["tls"] = [{"hosts": [owner.spec.host], "secretName": ingress.tls_secret_name}]
    annotations = {**INGRESS_ANNOTATIONS, "projectcontour.io/websocket-routes": prefix or "/", **ingress.annotations}
    return manifest(INGRESS, owner, name, {"spec": spec}, annotations)


def relay_network_policy(owner: Owner) -> Manifest | None:
    """Returns the NetworkPolicy, if wanted.

    Anyone may reach the public port; the private one only this object's relays, the operator and Prometheus.
    """
    if not owner.spec.relay.network_policy.enabled:
        return None
    private_peers = [
        {"podSelector": {"matchLabels": owner.selector}},
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {LABEL_APP: MANAGER}}},
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {LABEL_APP: "prometheus"}}},
    ]
    spec = {
        "podSelector": {"matchLabels": owner.selector},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"ports": [{"port": names.PUBLIC_PORT, "protocol": "TCP"}]},
            {"ports": [{"port": names.PRIVATE_PORT, "protocol": "TCP"}], "from": private_peers},
        ],
    }
    return manifest(NETWORK_POLICY, owner, relay_name(owner.name), {"spec": spec})
