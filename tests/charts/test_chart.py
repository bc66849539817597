"""The chart: linted, rendered over a matrix of values, and every object of it valid in every Kubernetes that it is for."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import yaml
from helm_python import HelmError, lint

from charts.chart import CHART, ROOT, VERSIONS, chart, complaints, objects, one, rendered

DIGEST = "sha256:" + "0" * 64
MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "all namespaces": {"watch": {"allNamespaces": True}},
    "another namespace": {"watch": {"namespace": "calls"}},
    "no CRD": {"crds": {"install": False}},
    "sandbox": {"allowCustomEndpoints": True, "endpoint": {"caSecret": "authority", "port": 8443}, "logLevel": "debug"},
    "a slow API server": {"leaseSeconds": 60},
    "Twilio": {"twilio": {"resyncSeconds": 1800, "letGoSeconds": 0, "functionsGraceSeconds": 3600}},
    "own account": {"serviceAccount": {"create": False, "name": "mine"}},
    "annotated account": {"serviceAccount": {"annotations": {"example.com/role": "arn:x/y"}}},
    "placed": {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "calls", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}},
        "priorityClassName": "system-cluster-critical",
        "replicas": 2,
    },
    "labelled": {"podLabels": {"team": "telephony"}, "podAnnotations": {"example.com/a": "1"}, "imagePullSecrets": [{"name": "pull"}]},
    "monitored": {"podMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus", "example.com/on": "true"}}},
    "watched": {
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "labels": {"grafana_dashboard": "1"}, "annotations": {"grafana_folder": "Calls"}},
        "prices": [{"model": "m", "modality": "text", "direction": "input", "cached": "false", "usdPerMillionTokens": 0.6}],
    },
    "renamed": {"fullnameOverride": "assistant"},
    "tagged": {"image": {"tag": "1.2.3"}, "relayImage": {"repository": "registry.example.com/relay", "tag": "4.5.6"}},
    "no resources": {"resources": {}},
    "behind a proxy": {
        "allowCustomNetwork": True,
        "network": {
            "proxy": {"url": "http://proxy.example.com:3128", "noProxy": [".svc", "10.0.0.0/8"]},
            "caBundle": {"configMap": "authorities", "key": "ca-bundle.crt"},
        },
        "endpoint": {"caSecret": "authority"},
        "env": [{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}],
        "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["proxy.example.com"]}],
        "networkPolicy": {"enabled": True, "metricsNamespaces": ["monitoring"], "egressPorts": [8443]},
    },
    "policy": {"networkPolicy": {"enabled": True}, "watch": {"allNamespaces": True}},
    "by digest": {"image": {"digest": DIGEST}, "relayImage": {"repository": f"registry.example.com/relay@{DIGEST}"}},
    "OpenShift": {"fixedUserIds": False},
    "allowed": {
        "allow": {
            "modelHosts": ["*.openai.azure.com"],
            "images": ["registry.example.com/*"],
            "ingressAnnotations": ["nginx.org/*"],
            "anySecret": True,
        }
    },
    "no roles for people": {"userRoles": {"create": False}},
    "spread": {"topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]},
}


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())
def test_linted(values: dict[str, Any]) -> None:
    report = lint(CHART, values, strict=True, namespace="assist", kube_version="v1.31.0")
    bad = [message for message in report["messages"] if message["severity"] >= 2]
    assert bad == []
    assert report["errors"] in ([], None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())
def test_valid_in_every_kubernetes(values: dict[str, Any], version: str) -> None:
    found = objects(values)
    assert found
    assert [line for each in found for line in complaints(each, version)] == []


def test_an_unknown_field_is_complained_about() -> None:
    found = one(objects(), "Deployment")
    found["spec"]["template"]["spec"]["serviceAcountName"] = "typo"
    assert all(complaints(found, version) for version in VERSIONS)


def test_names_stay_within_limits() -> None:
    for name, override in itertools.product(("a" * 53, "voiceassist", "x"), ("", "n" * 40)):
        found = objects({"nameOverride": override, "watch": {"allNamespaces": True}}, name=name, namespace="s" * 63)
        assert [line for each in found for line in complaints(each, "1.37")] == []
        deployment = one(found, "Deployment")
        assert len(deployment["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in deployment["metadata"]["labels"].values())


def test_the_crd_is_the_contract_byte_for_byte() -> None:
    contract = (ROOT / "crds" / "voiceassists.voiceassist.dev.yaml").read_bytes()
    assert (CHART / "files" / "voiceassists.voiceassist.dev.yaml").read_bytes() == contract
    crd = one(objects(), "CustomResourceDefinition")
    version = crd["metadata"]["annotations"].pop("voiceassist.dev/version")
    assert version == yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], "by it an older chart sees that it is older"
    assert crd == yaml.safe_load(contract)
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_crd_can_be_left_out() -> None:
    assert not [each for each in objects({"crds": {"install": False}}) if each["kind"] == "CustomResourceDefinition"]


def test_pods_keep_to_the_restricted_standard() -> None:
    pod = one(objects(), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_rights_are_the_namespace_s_own_unless_asked_for() -> None:
    alone = {"userRoles": {"create": False}}
    assert not [each for each in objects(alone) if each["kind"].startswith("ClusterRole")]
    assert not [each for each in objects() if each["kind"] == "ClusterRoleBinding"]
    everywhere = objects({"watch": {"allNamespaces": True}, **alone})
    assert len([each for each in everywhere if each["kind"] == "ClusterRole"]) == 1
    for each in (*objects(), *everywhere):
        for rule in each.get("rules", []):
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])


def test_the_cluster_s_roles_for_people_know_voiceassists() -> None:
    roles = {each["metadata"]["name"]: each for each in objects() if each["kind"] == "ClusterRole"}
    aggregated = {
        name: sorted(label.rpartition("-to-")[2] for label in role["metadata"]["labels"] if "aggregate" in label)
        for name, role in roles.items()
    }
    assert aggregated == {"voiceassist-operator-view": ["view"], "voiceassist-operator-edit": ["admin", "edit"]}
    view, edit = ({verb for rule in roles[f"voiceassist-operator-{name}"]["rules"] for verb in rule["verbs"]} for name in ("view", "edit"))
    assert view == {"get", "list", "watch"}
    assert edit > view
    assert all(rule["apiGroups"] == ["voiceassist.dev"] for role in roles.values() for rule in role["rules"])
    assert not [each for each in objects({"crds": {"install": False}}) if each["kind"] == "ClusterRole"], (
        "one release of a cluster brings them"
    )


@pytest.mark.parametrize(
    ("image", "rendered"),
    [
        ({"repository": "x/y", "tag": "1"}, "x/y:1"),
        ({"repository": "x:5000/y", "tag": "1", "digest": DIGEST}, f"x:5000/y:1@{DIGEST}"),
        ({"repository": f"x/y@{DIGEST}"}, f"x/y@{DIGEST}"),
        ({"repository": f"x/y:1@{DIGEST}", "tag": "2"}, f"x/y:1@{DIGEST}"),
    ],
)
def test_an_image_may_be_named_by_its_digest(image: dict[str, str], rendered: str) -> None:
    assert _arguments({"relayImage": image})[2] == f"--relay-image={rendered}"
    assert _pod({"image": image})["containers"][0]["image"] == rendered


def test_the_operator_s_pods_are_bounded_spread_and_looked_after() -> None:
    pod = _pod({})
    [container] = pod["containers"]
    assert {"ephemeral-storage", "memory"} <= container["resources"]["limits"].keys()
    assert {"ephemeral-storage", "memory", "cpu"} <= container["resources"]["requests"].keys()
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    selector = one(objects(), "Deployment")["spec"]["selector"]
    assert pod["topologySpreadConstraints"][0]["labelSelector"] == selector
    assert one(objects(), "PodDisruptionBudget")["spec"] == {"maxUnavailable": 1, "selector": selector}


def test_where_the_platform_chooses_users_none_is_named() -> None:
    assert {"runAsUser", "runAsGroup"} <= _pod({})["securityContext"].keys()
    free = _pod({"fixedUserIds": False})["securityContext"]
    assert free == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_secrets_are_only_read() -> None:
    for each in objects({"watch": {"allNamespaces": True}}):
        for rule in each.get("rules", []):
            if "secrets" in rule["resources"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_another_namespace_s_rights_are_there() -> None:
    found = objects({"watch": {"namespace": "calls"}})
    assert one(found, "Role", "-operator")["metadata"]["namespace"] == "calls"
    binding = one(found, "RoleBinding", "-operator")
    assert (binding["metadata"]["namespace"], binding["subjects"][0]["namespace"]) == ("calls", "assist")
    assert one(found, "Role", "-lease")["metadata"]["namespace"] == "assist"


def _pod(values: dict[str, Any]) -> dict[str, Any]:
    return dict(one(objects(values), "Deployment")["spec"]["template"]["spec"])


def _arguments(values: dict[str, Any]) -> list[str]:
    return list(one(objects(values), "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"])


def test_values_become_arguments_that_the_operator_takes() -> None:
    from voiceassist_operator.cli import parser

    for values in MATRIX.values():
        options = parser().parse_args(_arguments(values))
        watch = values.get("watch", {})
        assert options.all_namespaces is watch.get("allNamespaces", False)
        assert options.namespace == (None if options.all_namespaces else watch.get("namespace", "assist"))
        assert options.allow_custom_endpoints is values.get("allowCustomEndpoints", False)
        assert options.lease_seconds == values.get("leaseSeconds", 15)
        assert options.endpoint_port == values.get("endpoint", {}).get("port", 443)
        twilio = {"resyncSeconds": 3600, "letGoSeconds": 600, "functionsGraceSeconds": 86400, **values.get("twilio", {})}
        given = (options.twilio_resync_seconds, options.twilio_let_go_seconds, options.functions_grace_seconds)
        assert given == (twilio["resyncSeconds"], twilio["letGoSeconds"], twilio["functionsGraceSeconds"])
        allowed = values.get("allow", {})
        given_allowed = (options.allow_model_host, options.allow_image, options.allow_ingress_annotation, options.any_secret)
        assert given_allowed == tuple(
            allowed.get(name, default)
            for name, default in (("modelHosts", []), ("images", []), ("ingressAnnotations", []), ("anySecret", False))
        )
        assert options.any_user_id is not values.get("fixedUserIds", True)
        assert bool(options.endpoint_ca) is bool(values.get("endpoint", {}).get("caSecret"))
        assert dict(options.pod_monitor_label) == values.get("podMonitor", {}).get("labels", {})
        network = values.get("network", {})
        assert (options.proxy, options.no_proxy) == (network.get("proxy", {}).get("url"), network.get("proxy", {}).get("noProxy", []))
        assert bool(options.ca_bundle) is bool(network)
        assert options.allow_custom_network is values.get("allowCustomNetwork", False)
        assert options.metrics_namespace == values.get("networkPolicy", {}).get("metricsNamespaces", [])
        assert options.relay_image.startswith(values.get("relayImage", {}).get("repository", "ghcr.io/voiceassist/relay"))


@pytest.mark.parametrize(
    ("name", "namespaces", "ports"), [("behind a proxy", ["monitoring"], {443, 6443, 3128, 8443}), ("policy", ["assist"], {443, 6443})]
)
def test_the_operators_network_policy_names_namespaces_and_ports(name: str, namespaces: list[str], ports: set[int]) -> None:
    spec = one(objects(MATRIX[name]), "NetworkPolicy")["spec"]
    (peer,) = spec["ingress"][0]["from"]
    assert peer["namespaceSelector"]["matchExpressions"][0]["values"] == namespaces
    assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    assert {port["port"] for port in spec["egress"][1]["ports"]} == ports
    assert spec["podSelector"]["matchLabels"] == one(objects(MATRIX[name]), "Deployment")["spec"]["selector"]["matchLabels"]
    assert not [each for each in objects() if each["kind"] == "NetworkPolicy"]


BAD: dict[str, dict[str, Any]] = {
    "unknown": {"replica": 1},
    "unknown below": {"image": {"digist": "x"}},
    "digest": {"image": {"digest": "latest"}},
    "pod label that is ours": {"podLabels": {"app.kubernetes.io/name": "x"}},
    "image with a digest": {"allow": {"images": [f"x@{DIGEST}"]}},
    "replicas": {"replicas": -1},
    "replicas as text": {"replicas": "two"},
    "policy": {"image": {"pullPolicy": "Sometimes"}},
    "repository": {"relayImage": {"repository": ""}},
    "port": {"endpoint": {"port": 70000}},
    "resync": {"twilio": {"resyncSeconds": 1}},
    "level": {"logLevel": "loud"},
    "interval": {"podMonitor": {"interval": "often"}},
    "label's value": {"podMonitor": {"labels": {"release": "my prometheus"}}},
    "label that is ours": {"podMonitor": {"labels": {"app.kubernetes.io/name": "x"}}},
    "namespace": {"watch": {"namespace": "Not_A_Name"}},
    "both": {"watch": {"allNamespaces": True, "namespace": "calls"}},
    "pull secret": {"imagePullSecrets": ["pull"]},
    "proxy": {"network": {"proxy": {"url": "https://proxy"}}},
    "proxy with a password": {"network": {"proxy": {"url": "http://me:secret@proxy:1"}}},
    "account without a name": {"serviceAccount": {"create": False}},
}


@pytest.mark.parametrize("values", BAD.values(), ids=BAD.keys())
def test_a_bad_value_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError):
        chart().validate_schema(values)


def _fields(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, field in schema.get("properties", {}).items():
        found += [(f"{path}{name}", field), *_fields(field, f"{path}{name}.")]
    return found


def _freely_named(value: str) -> bool:
    """Whether a value's last part is the user's own name: a label, or a resource."""
    return value.startswith(("resources.", "dashboards.labels."))


def test_every_value_is_described() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    described = dict(_fields(schema))
    assert [name for name, field in described.items() if not field.get("description", "").endswith(".")] == []

    def names(values: dict[str, Any], path: str = "") -> list[str]:
        return [
            inner
            for key, value in values.items()
            for inner in (names(value, f"{path}{key}.") if isinstance(value, dict) and value else [f"{path}{key}"])
        ]

    defaults = names(yaml.safe_load((CHART / "values.yaml").read_text()))
    missing = [name for name in defaults if name not in described and not _freely_named(name)]
    assert missing == []
    documented = (ROOT / "docs" / "install.md").read_text()
    leaves = [name for name, field in described.items() if "properties" not in field and name != "global"]
    assert [name for name in leaves if f"`{name}`" not in documented] == []


def test_rules_and_dashboards_are_the_generated_ones_to_the_letter() -> None:
    """Their own templates ({{ $labels.name }}) are Prometheus's and Grafana's, not Helm's."""
    found = objects(MATRIX["watched"])
    files = CHART / "files" / "monitoring"
    rule = one(found, "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    *shipped, prices = rule["spec"]["groups"]
    assert shipped == yaml.safe_load((files / "rules.yaml").read_text())["groups"]
    labels = {"model": "m", "modality": "text", "direction": "input", "cached": "false"}
    assert prices["rules"] == [{"record": "voiceassist:token_price_usd", "expr": "vector(6e-07)", "labels": labels}]
    maps = [each for each in found if each["kind"] == "ConfigMap"]
    assert {name: text for each in maps for name, text in each["data"].items()} == {
        path.name: path.read_text() for path in (files / "dashboards").iterdir()
    }
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)
    assert all(each["metadata"]["annotations"] == {"grafana_folder": "Calls"} for each in maps)
    assert not [each for each in objects() if each["kind"] in {"PrometheusRule", "ConfigMap"}], "only where they are wanted"


def test_a_pod_monitor_bears_our_labels_and_the_user_s() -> None:
    values = MATRIX["monitored"]
    labels = one(objects(values), "PodMonitor")["metadata"]["labels"]
    assert labels.items() >= values["podMonitor"]["labels"].items()
    assert labels["app.kubernetes.io/managed-by"] == "Helm"


@pytest.mark.parametrize("own", [{}, {"podAnnotations": {"example.com/a": "b"}}], ids=["", "with annotations of the user's"])
@pytest.mark.parametrize("monitored", [False, True], ids=["by annotations", "by a PodMonitor"])
def test_the_operator_is_scraped_by_a_pod_monitor_or_by_annotations_and_never_by_both(own: dict[str, Any], monitored: bool) -> None:
    found = objects({**own, "podMonitor": {"enabled": monitored}})
    annotations = one(found, "Deployment")["spec"]["template"]["metadata"].get("annotations", {})
    assert bool([each for each in found if each["kind"] == "PodMonitor"]) is monitored
    assert ("prometheus.io/scrape" in annotations) is not monitored
    assert annotations.items() >= own.get("podAnnotations", {}).items()
    assert all(key.startswith("prometheus.io/") for key in annotations.keys() - own.get("podAnnotations", {}).keys())


def test_the_notes_name_the_next_command() -> None:
    notes = rendered({"watch": {"namespace": "calls"}}, name="desk")["NOTES.txt"]
    assert "kubectl -n calls create secret generic twilio" in notes
    assert "wait --for=condition=Ready" in notes
    body = notes.partition("<<YAML\n")[2].partition("  YAML")[0]
    assert yaml.safe_load(body)["kind"] == "VoiceAssist"
