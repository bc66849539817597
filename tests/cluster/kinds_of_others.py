"""Kinds of others in a cluster, as their modules have them, and objects of them put there by the letter: an unknown field is an error."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from cluster.lab import CommandError, Lab, LabError
from cluster.lab.cache import Recipe, ensure
from cluster.lab.programs import GATEWAY_KINDS, MONITORING_KINDS, gateway_kinds, monitoring_kinds
from cluster.waiting import established

MONITORING_GROUP = "monitoring.coreos.com"
GATEWAY_GROUP = "gateway.networking.k8s.io"
GOOGLE_GROUP = "cloud.google.com"
SERVED_SECONDS = 180.0


def bring_monitoring_kinds(lab: Lab) -> None:
    """Makes the Prometheus operator's kinds known to the cluster, if they are not. Raises LabError."""
    _bring(lab, monitoring_kinds(), MONITORING_KINDS, MONITORING_GROUP)


def bring_gateway_kinds(lab: Lab) -> None:
    """Makes the Gateway API's kinds known to the cluster, if they are not. Raises LabError."""
    _bring(lab, gateway_kinds(), GATEWAY_KINDS, GATEWAY_GROUP)


def bring_backend_config(lab: Lab) -> None:
    """Makes a kind BackendConfig known to the cluster. Google's own definition cannot be had: its fields are those of the documents."""
    whole: dict[str, Any] = {"type": "integer", "format": "int64"}
    check = dict.fromkeys(("port", "checkIntervalSec", "timeoutSec", "healthyThreshold", "unhealthyThreshold"), whole)
    spec = {
        "timeoutSec": whole,
        "connectionDraining": {"type": "object", "properties": {"drainingTimeoutSec": whole}},
        "healthCheck": {"type": "object", "properties": {**check, "type": {"type": "string"}, "requestPath": {"type": "string"}}},
    }
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    named = {"kind": "BackendConfig", "listKind": "BackendConfigList", "plural": "backendconfigs", "singular": "backendconfig"}
    lab.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"backendconfigs.{GOOGLE_GROUP}"},
            "spec": {"group": GOOGLE_GROUP, "scope": "Namespaced", "names": named, "versions": [version]},
        }
    )
    _await_served(lab, [f"backendconfigs.{GOOGLE_GROUP}"])


def _bring(lab: Lab, recipe: Recipe, plurals: tuple[str, ...], group: str) -> None:
    files = ensure(recipe)
    for plural in plurals:  # server-side: the definitions are larger than an annotation may be
        lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", files / f"{plural}.yaml")
    _await_served(lab, [f"{plural}.{group}" for plural in plurals])


def _await_served(lab: Lab, names: list[str]) -> None:
    established(lab, *names)
    deadline = time.monotonic() + SERVED_SECONDS
    while not _served(lab, names):
        if time.monotonic() > deadline:
            raise LabError(f"{', '.join(names)} are established but not served")
        time.sleep(0.1)


def _served(lab: Lab, names: list[str]) -> bool:
    try:
        lab.kubectl("get", ",".join(names), "-n", "default")
    except CommandError:
        return False
    return True


def apply_strictly(lab: Lab, namespace: str, *objects: Mapping[str, Any]) -> None:
    """kubectl apply on the server's side with --validate=strict. Raises CommandError, for an unknown or doubled field too."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    lab.kubectl("apply", "--server-side", "--validate=strict", "-n", namespace, "-f", "-", stdin=text)
