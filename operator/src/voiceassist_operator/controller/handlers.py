"""kopf's decorators and nothing else: which events of the cluster wake which keeper. kopf watches; it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf

from voiceassist_crds import names

from ..policy.resources.metadata import LABEL_NAME, MANAGER
from .workers import Keepers

_RESOURCE = (names.GROUP, names.VERSION, names.PLURAL)
_OURS = {"app.kubernetes.io/managed-by": MANAGER}
_CHILDREN = (
    ("apps", "v1", "deployments"),
    ("", "v1", "services"),
    ("", "v1", "serviceaccounts"),
    ("networking.k8s.io", "v1", "ingresses"),
    ("networking.k8s.io", "v1", "networkpolicies"),
    ("policy", "v1", "poddisruptionbudgets"),
)


def register(registry: kopf.OperatorRegistry, keepers: Keepers) -> None:
    """Puts the handlers into kopf's registry."""

    @kopf.on.login(registry=registry)
    async def login(**login: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**login) or kopf.login_with_kubeconfig(**login)

    @kopf.on.event(*_RESOURCE, registry=registry)
    async def changed(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        if event["type"] == "DELETED":
            keepers.gone(body["metadata"]["uid"])
        else:
            keepers.there(dict(body))

    for group, version, plural in _CHILDREN:

        @kopf.on.event(group, version, plural, labels=_OURS, registry=registry)
        async def child_changed(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
            keepers.wake_named(namespace or "", labels.get(LABEL_NAME, ""))

    @kopf.on.event("", "v1", "pods", labels={"app.kubernetes.io/name": "voiceassist-relay"}, registry=registry)
    async def pod_changed(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        keepers.wake_named(namespace or "", labels.get(LABEL_NAME, ""))

    @kopf.on.event("", "v1", "secrets", registry=registry)
    async def secret_changed(name: str, namespace: str | None, **_: Any) -> None:
        keepers.wake_referring(namespace or "", secret=name)

    @kopf.on.event("", "v1", "configmaps", registry=registry)
    async def config_map_changed(name: str, namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        keepers.heard(namespace or "", name)
        keepers.wake_referring(namespace or "", config_map=name)
        if labels.get("app.kubernetes.io/managed-by") == MANAGER:
            keepers.wake_named(namespace or "", labels.get(LABEL_NAME, ""))


def settings() -> kopf.OperatorSettings:
    """kopf's settings: nothing posted, watches that are renewed."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.finalizer = f"{names.GROUP}/kopf"  # never set: kopf has no handler that would need one
    chosen.posting.enabled = False
    chosen.watching.server_timeout = 120
    chosen.watching.client_timeout = 150
    chosen.networking.request_timeout = 20
    chosen.scanning.disabled = True  # the kinds that we watch do not change while we run
    return chosen
