"""How relays are reached: Service, Ingress, HTTPRoute, BackendConfig, NetworkPolicy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voiceassist_crds import names

from ...kubernetes.kinds import BACKEND_CONFIG, HTTP_ROUTE, INGRESS, LABEL_APP, MANAGER, NETWORK_POLICY, SERVICE, Manifest
from .metadata import Installation, Owner, manifest
from .proxy_annotations import STREAM_SECONDS, drain_seconds, ingress_annotations, route_annotations, service_annotations

SERVICE_PORT = 80
_DNS = 53
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def relay_service(owner: Owner) -> Manifest:
    """Returns the Service of the public port; the private one is in none."""
    body = {
        "spec": {
            "type": "ClusterIP",
            "ipFamilyPolicy": "PreferDualStack",
            "selector": owner.selector,
            "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": "public", "protocol": "TCP", "appProtocol": "http"}],
        }
    }
    return manifest(SERVICE, owner, owner.relay, body, service_annotations(owner))


def relay_ingress(owner: Owner) -> Manifest | None:
    """Returns the Ingress, if wanted."""
    ingress, prefix = owner.spec.ingress, owner.spec.path_prefix
    if not ingress.enabled:
        return None
    name = owner.relay
    path = {"path": prefix or "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"name": "http"}}}}
    spec: Manifest = {"rules": [{"host": owner.spec.host, "http": {"paths": [path]}}]}
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret_name:
        spec["tls"] = [{"hosts": [owner.spec.host], "secretName": ingress.tls_secret_name}]
    return manifest(INGRESS, owner, name, {"spec": spec}, ingress_annotations(owner))


def relay_http_route(owner: Owner) -> Manifest | None:
    """Returns the Gateway API's HTTPRoute, if wanted. Time-outs are off: a stream's answer ends when the stream does."""
    if owner.spec.http_route is None:
        return None
    name = owner.relay
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": owner.spec.path_prefix or "/"}}],
        "backendRefs": [{"name": name, "port": SERVICE_PORT}],
        "timeouts": {"request": "0s"},
    }
    parents = [one.model_dump(by_alias=True, exclude_none=True) for one in owner.spec.http_route.parent_refs]
    spec = {"parentRefs": parents, "hostnames": [owner.spec.host], "rules": [rule]}
    return manifest(HTTP_ROUTE, owner, name, {"spec": spec}, route_annotations())


def http_route_problem(route: Mapping[str, Any]) -> str:
    """Returns why Gateways do not take an HTTPRoute, as they wrote into its status; empty where all took it."""
    name = route["metadata"]["name"]
    parents = (route.get("status") or {}).get("parents") or []
    if not parents:
        return f"no Gateway has taken HTTPRoute {name}: is there one of the names in httpRoute.parentRefs, and a controller that keeps it?"
    problems = [
        f"Gateway {parent['parentRef']['name']} says of HTTPRoute {name}: {one['type']} is False, {one['reason']}: {one['message'][:200]}"
        for parent in parents
        for one in parent.get("conditions") or []
        if one["type"] in {"Accepted", "ResolvedRefs"} and one["status"] == "False"
    ]
    return "; ".join(problems)


def relay_backend_config(owner: Owner) -> Manifest | None:
    """Returns what GKE's Ingress controller takes from a BackendConfig and from no annotation, if wanted."""
    if owner.spec.ingress.flavour != "GKE":
        return None
    spec = {
        "timeoutSec": STREAM_SECONDS,
        "connectionDraining": {"drainingTimeoutSec": drain_seconds(owner)},
        "healthCheck": {"type": "HTTP", "requestPath": names.READY_PATH, "port": names.PUBLIC_PORT},
    }
    return manifest(BACKEND_CONFIG, owner, owner.relay, {"spec": spec})


def relay_network_policy(owner: Owner, installation: Installation, ports: Sequence[int]) -> Manifest | None:
    """Returns the NetworkPolicy, if wanted. `ports`: TCP, by which the relays reach Twilio, the model and the proxy.

    The public port is for everybody or for the namespaces that are named; the private one for this object's relays, the operator and
    Prometheus, each in its own namespace. Out go names' resolution, this object's relays, and `ports`.
    """
    policy = owner.spec.relay.network_policy
    if not policy.enabled:
        return None
    metrics = policy.metrics_namespaces or installation.metrics_namespaces or (owner.namespace,)
    own = {"podSelector": {"matchLabels": owner.selector}}
    private_peers = [
        own,
        {**_namespaces([installation.namespace]), "podSelector": {"matchLabels": {LABEL_APP: MANAGER}}},
        {**_namespaces(metrics), "podSelector": {"matchLabels": {LABEL_APP: "prometheus"}}},
    ]
    public: Manifest = {"ports": [_tcp(names.PUBLIC_PORT)]}
    if policy.ingress_namespaces:
        public["from"] = [_namespaces(policy.ingress_namespaces)]
    spec = {
        **own,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [public, {"ports": [_tcp(names.PRIVATE_PORT)], "from": private_peers}],
        "egress": [
            {"ports": [{"port": _DNS, "protocol": "UDP"}, _tcp(_DNS)]},
            {"ports": [_tcp(names.PRIVATE_PORT)], "to": [own]},
            {"ports": [_tcp(port) for port in ports]},
        ],
    }
    return manifest(NETWORK_POLICY, owner, owner.relay, {"spec": spec})


def _tcp(port: int) -> Manifest:
    return {"port": port, "protocol": "TCP"}


def _namespaces(given: Sequence[str]) -> Manifest:
    """A namespace's own label, which the API server sets: nobody can give another namespace that name."""
    return {"namespaceSelector": {"matchExpressions": [{"key": _NAMESPACE_NAME, "operator": "In", "values": list(given)}]}}
