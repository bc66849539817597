"""kopf's decorators and nothing else: which events wake which keeper, and when an object may go."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import kopf

from voiceassist_crds import names

from .errors import OperatorError, Retryable
from .keepers import Keepers
from .resources.common import LABEL_NAME, MANAGER

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

    @kopf.daemon(*_RESOURCE, registry=registry, cancellation_backoff=1, cancellation_timeout=5)
    async def keep(name: str, namespace: str | None, uid: str, **_: Any) -> None:
        await keepers.keep(uid, name, namespace or "")

    @kopf.on.delete(*_RESOURCE, registry=registry)
    async def let_go(body: kopf.Body, **_: Any) -> None:
        try:
            await keepers.let_go(dict(body), time.time())
        except Retryable as error:
            raise kopf.TemporaryError(str(error), delay=error.delay) from None
        except OperatorError as error:
            raise kopf.TemporaryError(str(error), delay=5) from None

    @kopf.on.event(*_RESOURCE, registry=registry)
    async def changed(uid: str, **_: Any) -> None:
        keepers.wake(uid)

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
        keepers.heard(name)
        keepers.wake_referring(namespace or "", config_map=name)
        if labels.get("app.kubernetes.io/managed-by") == MANAGER:
            keepers.wake_named(namespace or "", labels.get(LABEL_NAME, ""))


def settings() -> kopf.OperatorSettings:
    """kopf's settings: our prefix for what it stores, the prompt left out of it, watches that are renewed."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.finalizer = f"{names.GROUP}/finalizer"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=names.GROUP, key="last-handled", ignored_fields=[("spec", "prompt")]
    )
    chosen.posting.enabled = False
    chosen.watching.server_timeout = 120
    chosen.watching.client_timeout = 150
    chosen.networking.request_timeout = 20
    chosen.scanning.disabled = True  # the kinds that we watch do not change while we run
    return chosen
