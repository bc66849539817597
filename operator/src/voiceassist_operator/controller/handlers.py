"""kopf's decorators and nothing else: which events of the cluster wake which reconciler. kopf watches; it writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import kopf

from voiceassist_crds import names

from ..kubernetes.kinds import CONFIG_MAP, KINDS, LABEL_MANAGED_BY, LABEL_NAME, MANAGER, SECRET, VOICEASSIST, Kind
from .workers import Workers

Handler = TypeVar("Handler", bound=Callable[..., Any])

NAMED = tuple(kind for kind in KINDS if kind.watched is not None and kind not in {VOICEASSIST, SECRET, CONFIG_MAP})
"""Kinds whose objects say by a label which VoiceAssist they belong to."""


def register(registry: kopf.OperatorRegistry, workers: Workers) -> None:
    """Puts the handlers into kopf's registry: one for each kind that is watched."""

    def watch(kind: Kind) -> Callable[[Handler], Handler]:
        event = kopf.on.event(kind.group, kind.version, kind.plural, labels=dict(kind.watched or {}) or None, registry=registry)
        return cast(Callable[[Handler], Handler], event)

    @kopf.on.login(registry=registry)
    async def login(**login: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**login) or kopf.login_with_kubeconfig(**login)

    @watch(VOICEASSIST)
    async def changed(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        if event["type"] == "DELETED":
            workers.object_deleted(body["metadata"]["uid"])
        else:
            workers.object_changed(dict(body))

    @watch(SECRET)
    async def secret_changed(name: str, namespace: str | None, **_: Any) -> None:
        workers.wake_referring(namespace or "", secret=name)

    @watch(CONFIG_MAP)
    async def config_map_changed(name: str, namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        workers.config_map_delivered(namespace or "", name)
        workers.wake_referring(namespace or "", config_map=name)
        if labels.get(LABEL_MANAGED_BY) == MANAGER:
            workers.wake_named(namespace or "", labels.get(LABEL_NAME, ""))

    for kind in NAMED:

        @watch(kind)
        async def named_changed(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
            workers.wake_named(namespace or "", labels.get(LABEL_NAME, ""))


def settings() -> kopf.OperatorSettings:
    """Returns kopf's settings: nothing posted, watches that are renewed."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.finalizer = f"{names.GROUP}/kopf"  # never set: kopf has no handler that would need one
    chosen.posting.enabled = False
    chosen.watching.server_timeout = 120
    chosen.watching.client_timeout = 150
    chosen.networking.request_timeout = 20
    chosen.scanning.disabled = True  # the kinds that we watch do not change while we run
    return chosen
