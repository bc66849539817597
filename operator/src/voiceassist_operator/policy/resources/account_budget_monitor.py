"""The small ones: ServiceAccount, PodDisruptionBudget, PodMonitor."""

from __future__ import annotations

from collections.abc import Mapping

from ...kubernetes.kinds import DISRUPTION_BUDGET, POD_MONITOR, SERVICE_ACCOUNT, Manifest
from .metadata import Owner, manifest


def relay_service_account(owner: Owner) -> Manifest:
    """Returns an account without any right, and without a token in the pods."""
    return manifest(SERVICE_ACCOUNT, owner, owner.relay, {"automountServiceAccountToken": False})


def relay_disruption_budget(owner: Owner) -> Manifest:
    """Returns the PodDisruptionBudget: one pod at a time leaves by eviction."""
    body = {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": owner.selector}}}
    return manifest(DISRUPTION_BUDGET, owner, owner.relay, body)


def relay_pod_monitor(owner: Owner, labels: Mapping[str, str]) -> Manifest | None:
    """Returns the PodMonitor, if wanted. `labels` are further ones, by which a Prometheus selects it."""
    monitoring = owner.spec.monitoring
    if not monitoring.pod_monitor:
        return None
    # The relays name their namespace and object themselves: their labels stand.
    endpoint = {"port": "private", "path": "/metrics", "interval": monitoring.interval, "honorLabels": True}
    body = {
        "spec": {
            "selector": {"matchLabels": owner.selector},
            "namespaceSelector": {"matchNames": [owner.namespace]},
            "podMetricsEndpoints": [endpoint],
        }
    }
    made = manifest(POD_MONITOR, owner, owner.relay, body)
    made["metadata"]["labels"] = {**labels, **owner.labels}
    return made
