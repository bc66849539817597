"""The Gateway API in a real cluster: with Traefik as the Gateway an HTTPRoute in place of the Ingress leads streams to relays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.kinds_of_others import GATEWAY_GROUP, bring_gateway_kinds
from cluster.lab import Lab
from cluster.lab.cache import ensure
from cluster.lab.programs import traefik
from cluster.standing import condition, host_of, operator_log, put, released, sandbox, tls_secret, voiceassist, wait_ready
from cluster.waiting import eventually

PORT = 8443
API = f"{GATEWAY_GROUP}/v1"


@pytest.fixture
def gateway(lab: Lab, namespace: str) -> Iterator[str]:
    """A Gateway in the test's namespace, kept by a Traefik of its own beside the cluster's ingress controller; its name."""
    bring_gateway_kinds(lab)
    listener = {
        "name": "https",
        "port": PORT,
        "protocol": "HTTPS",
        "tls": {"certificateRefs": [{"name": "support-tls"}]},
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    lab.apply(tls_secret(lab), namespace=namespace)
    lab.apply(
        {
            "apiVersion": API,
            "kind": "GatewayClass",
            "metadata": {"name": "traefik-gateway"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": API,
            "kind": "Gateway",
            "metadata": {"name": "public", "namespace": namespace},
            "spec": {"gatewayClassName": "traefik-gateway", "listeners": [listener]},
        },
    )
    options = {
        "entrypoints.websecure.address": f"{lab.first.ingress}:{PORT}",
        "entrypoints.websecure.http.tls": "true",
        "providers.kubernetesgateway": "true",
        "global.checknewversion": "false",
        "global.sendanonymoususage": "false",
    }
    with (lab.folder / "gateway.log").open("wb") as log:
        program = [ensure(traefik()) / "traefik", *(f"--{name}={value}" for name, value in options.items())]
        process = lab.popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield "public"
    finally:
        process.kill()
        process.wait()


def accepted(route: dict[str, Any]) -> bool:
    """Whether a Gateway has taken the route, and finds the Service that it leads to."""
    told = [one for parent in route.get("status", {}).get("parents", []) for one in parent["conditions"]]
    return {one["type"]: one["status"] for one in told} == {"Accepted": "True", "ResolvedRefs": "True"}


@pytest.mark.timeout(600, func_only=True)
def test_an_http_route_leads_streams_to_relays(lab: Lab, namespace: str, gateway: str) -> None:
    """Issue 15, number 4. The release dials the Gateway's port as Twilio would dial 443, where nothing routes the host."""
    place = sandbox(lab, namespace, host_of(namespace))
    with released(lab, namespace, endpoint__port=PORT):
        body = voiceassist(place)
        body["spec"]["ingress"] = {"enabled": False}
        body["spec"]["httpRoute"] = {"parentRefs": [{"name": "nobody-s"}]}
        put(lab, body)
        eventually("a word", lambda: "no Gateway has taken" in condition(lab, namespace, "EndpointReachable")["message"])
        body["spec"]["httpRoute"] = {"parentRefs": [{"name": gateway}]}
        put(lab, body)
        try:
            eventually("the route", lambda: accepted(lab.get(f"httproutes.{GATEWAY_GROUP}", "support-relay", "-n", namespace)))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(lab.folder / 'gateway.log').read_text()[-3000:]}\n{operator_log(lab)}") from None
        wait_ready(lab, namespace)
        assert condition(lab, namespace, "EndpointReachable")["status"] == "True"
        assert lab.get("ingress", "-n", namespace)["items"] == []
