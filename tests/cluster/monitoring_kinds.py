"""The Prometheus operator's own kinds in a cluster, and objects of them put there by the letter: an unknown field is an error."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from cluster.lab import CommandError, Lab, LabError
from cluster.lab.cache import ensure
from cluster.lab.programs import MONITORING_KINDS, monitoring_kinds

GROUP = "monitoring.coreos.com"
SERVED_SECONDS = 180.0


def bring_monitoring_kinds(lab: Lab) -> None:
    """Makes the kinds known to the cluster, if they are not. Raises LabError."""
    names = [f"crd/{plural}.{GROUP}" for plural in MONITORING_KINDS]
    files = ensure(monitoring_kinds())
    for plural in MONITORING_KINDS:  # server-side: the definitions are larger than an annotation may be
        lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", files / f"{plural}.yaml")
    lab.kubectl("wait", "--for=condition=Established", "--timeout=300s", *names)
    deadline = time.monotonic() + SERVED_SECONDS
    while not _served(lab):
        if time.monotonic() > deadline:
            raise LabError(f"{', '.join(MONITORING_KINDS)} are established but not served")
        time.sleep(0.1)


def _served(lab: Lab) -> bool:
    try:
        lab.kubectl("get", ",".join(f"{plural}.{GROUP}" for plural in MONITORING_KINDS), "-n", "default")
    except CommandError:
        return False
    return True


def apply_strictly(lab: Lab, namespace: str, *objects: Mapping[str, Any]) -> None:
    """kubectl apply on the server's side with --validate=strict. Raises CommandError, for an unknown or doubled field too."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    lab.kubectl("apply", "--server-side", "--validate=strict", "-n", namespace, "-f", "-", stdin=text)
