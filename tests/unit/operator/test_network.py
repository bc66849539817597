"""Who reaches relays and how they reach others: the NetworkPolicy, and the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.operator.making import NOW, well
from voiceassist_crds.config import Network
from voiceassist_operator.policy.allowed import OPEN
from voiceassist_operator.policy.blockers import blockers
from voiceassist_operator.policy.egress import MOST_CA_BUNDLE, ca_bundle_problem, egress
from voiceassist_operator.policy.observed import CaBundleFact, Observed
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.policy.resources.metadata import Installation

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PLAIN, NONE = Installation(), CaBundleFact()
OWN = {"proxy": {"url": "http://proxy:3128", "noProxy": [".svc"]}, "caBundle": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}


def seen(installation: Installation = PLAIN, ca: CaBundleFact = NONE, **changes: Any) -> Observed:
    return replace(well(**changes), installation=installation, ca_bundle=ca, allowed=OPEN)


def made(found: Observed, kind: str) -> dict[str, Any]:
    return next(one for one in make_plan(found, NOW).apply if one["kind"] == kind)


def policy(installation: Installation = PLAIN, model: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    changes = {"model": {"apiKeySecretRef": {"name": "model"}, **(model or {})}}
    found = seen(installation, relay={"networkPolicy": {"enabled": True, **given}}, **changes)
    return dict(made(found, "NetworkPolicy")["spec"])


def namespaces(peer: dict[str, Any]) -> list[str]:
    """Of a peer: the namespaces by their names, which nobody but the API server gives."""
    (expression,) = peer["namespaceSelector"]["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("kubernetes.io/metadata.name", "In")
    return list(expression["values"])


def test_network_the_private_port_is_for_named_namespaces_only() -> None:
    relays, operator, prometheus = policy(Installation("ops"))["ingress"][1]["from"]
    assert "namespaceSelector" not in relays
    assert (namespaces(operator), namespaces(prometheus)) == (["ops"], ["team"])
    told = policy(Installation("ops", ("monitoring",)))["ingress"][1]["from"][2]
    assert namespaces(told) == ["monitoring"]
    told = policy(Installation("ops", ("monitoring",)), metricsNamespaces=["a", "b"])["ingress"][1]["from"][2]
    assert namespaces(told) == ["a", "b"]


def test_network_the_public_port_is_for_everybody_unless_namespaces_are_named() -> None:
    assert "from" not in policy()["ingress"][0]
    (peer,) = policy(ingressNamespaces=["ingress-nginx"])["ingress"][0]["from"]
    assert namespaces(peer) == ["ingress-nginx"]


@pytest.mark.parametrize(
    ("installation", "given", "model", "ports"),
    [
        (PLAIN, {}, {}, [443]),
        (Installation(proxy="http://proxy:3128"), {}, {}, [443, 3128]),
        (PLAIN, {"egressPorts": [8443, 25]}, {}, [25, 443, 8443]),
        (PLAIN, {}, {"provider": "Compatible", "url": "ws://model:8000/v1"}, [443, 8000]),
        (PLAIN, {}, {"provider": "Compatible", "url": "ws://model/v1"}, [80, 443]),
    ],
)
def test_network_out_go_names_relays_and_the_ports_of_addresses(
    installation: Installation, given: dict[str, Any], model: dict[str, Any], ports: list[int]
) -> None:
    spec = policy(installation, model, **given)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    names, relays, outside = spec["egress"]
    assert {one["protocol"] for one in names["ports"]} == {"UDP", "TCP"} and {one["port"] for one in names["ports"]} == {53}
    assert ([one["port"] for one in relays["ports"]], len(relays["to"])) == ([9090], 1)
    assert [one["port"] for one in outside["ports"]] == ports


def test_network_relays_take_the_operators_way_out_unless_their_object_says_another() -> None:
    operators = Installation(custom_network=True, proxy="http://all:1", no_proxy=("a",), ca_bundle=PEM)
    inherited = egress(seen(operators))
    assert (inherited.network.proxy, inherited.network.no_proxy, inherited.ca_bundle) == ("http://all:1", ["a"], PEM)
    assert inherited.network.ca_digest
    own = egress(seen(operators, CaBundleFact(PEM * 2), network=OWN))
    assert (own.network.proxy, own.network.no_proxy, own.ca_bundle) == ("http://proxy:3128", [".svc"], PEM * 2)
    assert own.network.ca_digest != inherited.network.ca_digest, "a changed bundle is a changed configuration"
    assert egress(seen()).network == Network()


def test_network_authorities_are_mounted_beside_the_configuration() -> None:
    data = made(seen(Installation(ca_bundle=PEM)), "ConfigMap")["data"]
    assert data["ca.crt"] == PEM
    assert "ca.crt" not in made(seen(), "ConfigMap")["data"]
    (container,) = made(seen(), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["args"][container["args"].index("--ca-bundle") + 1] == "/etc/voiceassist/config/ca.crt"


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"proxy": OWN["proxy"]}},
        {"network": {"caBundle": OWN["caBundle"]}},
        {"relay": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["api.openai.com"]}]}},
        {"relay": {"env": [{"name": "HTTPS_PROXY", "value": "http://elsewhere:1"}]}},
    ],
)
def test_network_a_way_out_of_ones_own_needs_the_operators_consent(changes: dict[str, Any]) -> None:
    (found,) = blockers(seen(**changes))
    assert found.reason == "CustomNetworkNotAllowed"
    assert "--allow-custom-network" in found.message
    assert make_plan(seen(**changes), NOW).apply == []
    assert blockers(seen(Installation(custom_network=True), CaBundleFact(PEM), **changes)) == []


def test_network_authorities_that_cannot_be_had_stop_the_roll_out() -> None:
    (found,) = blockers(seen(Installation(custom_network=True), CaBundleFact(problem="ConfigMap ca: nothing"), network=OWN))
    assert (found.reason, found.message) == ("CABundleUnusable", "ConfigMap ca: nothing")


@pytest.mark.parametrize("text", ["", "words", PEM * MOST_CA_BUNDLE, PEM + "-----BEGIN PRIVATE KEY-----", PEM + "\u00e9"])
def test_network_what_is_no_bundle(text: str) -> None:
    assert ca_bundle_problem(text, "here").startswith("here: ")
    assert ca_bundle_problem(PEM, "here") == ""


def test_network_the_pods_environment_and_hosts() -> None:
    relay = {"env": [{"name": "HTTPS_PROXY", "value": "x"}, {"name": "POD_IP", "value": "1.2.3.4"}], "hostAliases": [{"ip": "10.0.0.1"}]}
    pod = made(seen(Installation(custom_network=True), relay=relay), "Deployment")["spec"]["template"]["spec"]
    assert pod["hostAliases"] == [{"ip": "10.0.0.1"}]
    names = [one["name"] for one in pod["containers"][0]["env"]]
    assert names == ["POD_NAME", "POD_IP", "HTTPS_PROXY"], "what is ours stays ours"
