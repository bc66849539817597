"""What ingress controllers are told: one row for each controller, and what docs/install.md says of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from unit.operator.making import owner
from voiceassist_operator.policy.resources.network import (
    http_route_problem,
    relay_backend_config,
    relay_http_route,
    relay_ingress,
    relay_service,
)

INSTALL = (Path(__file__).parents[3] / "docs/install.md").read_text()


def on_ingress(**changes: Any) -> dict[str, str]:
    made = relay_ingress(owner(**changes))
    assert made is not None
    return dict(made["metadata"]["annotations"])


def on_service(**changes: Any) -> dict[str, str]:
    return dict(relay_service(owner(**changes))["metadata"]["annotations"])


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        ("nginx.ingress.kubernetes.io/", {"proxy-read-timeout": "3600", "proxy-send-timeout": "3600", "proxy-buffering": "off"}),
        ("nginx.org/", {"websocket-services": "support-relay", "proxy-read-timeout": "3600s", "proxy-send-timeout": "3600s"}),
        ("haproxy-ingress.github.io/", {"timeout-tunnel": "3600s"}),
        ("haproxy.org/", {}),  # timeout-tunnel is for its ConfigMap alone
        ("projectcontour.io/", {"response-timeout": "infinity", "websocket-routes": "/assist"}),
        ("konghq.com/", {"strip-path": "false"}),
        (
            "alb.ingress.kubernetes.io/",
            {
                "target-type": "ip",
                "healthcheck-port": "traffic-port",
                "healthcheck-path": "/readyz",
                "load-balancer-attributes": "idle_timeout.timeout_seconds=3600",
                "target-group-attributes": "deregistration_delay.timeout_seconds=900",
            },
        ),
        (
            "appgw.ingress.kubernetes.io/",
            {
                "request-timeout": "3600",
                "connection-draining": "true",
                "connection-draining-timeout": "900",
                "health-probe-path": "/readyz",
                "health-probe-port": "8080",
            },
        ),
    ],
)
def test_proxy_annotations_a_controller_is_told_by_the_ingress(prefix: str, told: dict[str, str]) -> None:
    made = on_ingress(pathPrefix="/assist", relay={"drainTimeoutSeconds": 900})
    assert {name.removeprefix(prefix): value for name, value in made.items() if name.startswith(prefix)} == told


def test_proxy_annotations_kong_is_told_by_the_service() -> None:
    assert on_service() == {"konghq.com/read-timeout": "3600000", "konghq.com/write-timeout": "3600000"}


@pytest.mark.parametrize(("drain", "told"), [(0, 1), (900, 900), (3600, 3600), (14_400, 3600)])
def test_proxy_annotations_balancers_let_streams_go_on_as_long_as_they_can(drain: int, told: int) -> None:
    changes: dict[str, Any] = {"relay": {"drainTimeoutSeconds": drain}, "ingress": {"flavour": "GKE"}}
    made, backend = on_ingress(**changes), relay_backend_config(owner(**changes))
    assert made["alb.ingress.kubernetes.io/target-group-attributes"] == f"deregistration_delay.timeout_seconds={told}"
    assert made["appgw.ingress.kubernetes.io/connection-draining-timeout"] == f"{told}"
    assert backend is not None and backend["spec"]["connectionDraining"] == {"drainingTimeoutSec": told}


def test_proxy_annotations_what_the_object_says_wins() -> None:
    mine = {"alb.ingress.kubernetes.io/target-type": "instance", "example.com/mine": "1"}
    made = on_ingress(ingress={"annotations": mine})
    assert {name: made[name] for name in mine} == mine


def test_proxy_annotations_google_is_told_by_a_backend_config_that_the_service_names() -> None:
    gke = {"ingress": {"flavour": "GKE"}}
    made = relay_backend_config(owner(**gke))
    assert made is not None
    assert (made["apiVersion"], made["kind"], made["spec"]["timeoutSec"]) == ("cloud.google.com/v1", "BackendConfig", 86_400)
    assert made["spec"]["healthCheck"] == {"type": "HTTP", "requestPath": "/readyz", "port": 8080}
    told = on_service(**gke)
    assert json.loads(told["cloud.google.com/backend-config"]) == {"default": made["metadata"]["name"]}
    assert json.loads(told["cloud.google.com/neg"]) == {"ingress": True}
    assert relay_backend_config(owner()) is None and "cloud.google.com/neg" not in on_service()


def test_proxy_annotations_a_route_leads_the_host_and_prefix_to_the_service_without_a_time_out() -> None:
    parents = [{"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}, {"name": "other"}]
    made = relay_http_route(owner(pathPrefix="/assist", httpRoute={"parentRefs": parents}))
    assert made is not None
    assert made["spec"] == {
        "parentRefs": parents,
        "hostnames": ["assist.example.com"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/assist"}}],
                "backendRefs": [{"name": "support-relay", "port": 80}],
                "timeouts": {"request": "0s"},
            }
        ],
    }
    assert relay_http_route(owner()) is None


def test_proxy_annotations_what_a_gateway_says_of_a_route_is_told() -> None:
    def route(*conditions: dict[str, str]) -> dict[str, Any]:
        parent = {"parentRef": {"name": "public"}, "controllerName": "example.com/gateway", "conditions": list(conditions)}
        return {"metadata": {"name": "support-relay"}, "status": {"parents": [parent]}}

    good = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
    bad = {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "no such Service"}
    assert http_route_problem(route(good)) == ""
    told = "Gateway public says of HTTPRoute support-relay: ResolvedRefs is False, BackendNotFound: no such Service"
    assert http_route_problem(route(good, bad)) == told
    assert "no Gateway has taken HTTPRoute support-relay" in http_route_problem({"metadata": {"name": "support-relay"}})


def test_proxy_annotations_the_docs_name_every_annotation_with_its_source() -> None:
    written = set(on_ingress()) | set(on_service(ingress={"flavour": "GKE"}))
    rows = {name: line for line in INSTALL.splitlines() for name in re.findall(r"`([a-z.-]+/[a-z-]+)`", line) if line.startswith("| `")}
    assert set(rows) == written
    assert [name for name, line in rows.items() if "https://" not in line] == []
