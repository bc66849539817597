"""The HTTPRoute that the operator makes, on an API server with the Gateway API's own kinds; and without them."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.kinds_of_others import GATEWAY_GROUP, apply_strictly, bring_gateway_kinds
from cluster.lab import CommandError, Lab
from cluster.operator.bench import VOICEASSIST, Cluster, voiceassist
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(900, func_only=True)
HTTP_ROUTE = (f"{GATEWAY_GROUP}/v1", "HTTPRoute")
PARENT: dict[str, Any] = {"name": "public", "namespace": "gateways", "sectionName": "https"}


@pytest.fixture(scope="module", autouse=True)
def _no_kinds(plane: Lab) -> None:
    """Before this module's operator starts: another module may have brought them."""
    plane.kubectl("delete", f"crd/httproutes.{GATEWAY_GROUP}", "--ignore-not-found")


@pytest.mark.usefixtures("operator")
def test_a_route_is_made_where_the_cluster_has_the_kind_and_kept(plane: Lab, cluster: Cluster) -> None:
    """Issue 15, number 4. The operator has started before the kind is there: it asks again."""
    cluster.secrets()
    cluster.create(voiceassist(httpRoute={"parentRefs": [PARENT]}, pathPrefix="/assist"))
    told = cluster.await_condition("Ready", "False", "KindNotInstalled")
    assert "spec.httpRoute needs the kind HTTPRoute (gateway.networking.k8s.io/v1)" in told["message"]
    assert cluster.find(("apps/v1", "Deployment"), "support-relay") is not None, "all else is made"

    bring_gateway_kinds(plane)
    made = eventually("a route", lambda: cluster.find(HTTP_ROUTE, "support-relay"))
    assert made["spec"]["hostnames"] == [cluster.assist()["spec"]["host"]]
    [rule] = made["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s"}
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/assist"}}]
    assert (rule["backendRefs"][0]["kind"], rule["backendRefs"][0]["name"], rule["backendRefs"][0]["port"]) == (
        "Service",
        "support-relay",
        80,
    )
    assert {key: made["spec"]["parentRefs"][0][key] for key in PARENT} == PARENT
    eventually("another word", lambda: cluster.condition("Ready")["reason"] != "KindNotInstalled")

    ours = {"apiVersion": HTTP_ROUTE[0], "kind": HTTP_ROUTE[1], "metadata": {"name": "to-the-letter"}, "spec": made["spec"]}
    apply_strictly(plane, cluster.namespace, ours)
    with pytest.raises(CommandError, match="noSuchField"):
        apply_strictly(plane, cluster.namespace, {**ours, "spec": {**made["spec"], "noSuchField": 1}})

    cluster.patch(HTTP_ROUTE, "support-relay", {"spec": {"hostnames": ["elsewhere.example.com"]}})
    eventually("put right", lambda: cluster.get(HTTP_ROUTE, "support-relay")["spec"]["hostnames"] == made["spec"]["hostnames"])
    cluster.patch(VOICEASSIST, "support", {"spec": {"httpRoute": None}})
    eventually("taken away", lambda: cluster.find(HTTP_ROUTE, "support-relay") is None)
