"""kopf's decorators and nothing else: VoiceAssists start and wake their reconcilers. kopf watches; it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf

from voiceassist_crds import names

from ..kubernetes.kinds import VOICEASSIST
from ..kubernetes.watch import SERVER_SECONDS, SILENT_SECONDS
from .workers import Workers


def register(registry: kopf.OperatorRegistry, workers: Workers) -> None:
    """Puts the handlers into kopf's registry."""

    @kopf.on.login(registry=registry)
    async def login(**login: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**login) or kopf.login_with_kubeconfig(**login)

    @kopf.on.event(VOICEASSIST.group, VOICEASSIST.version, VOICEASSIST.plural, registry=registry)
    async def changed(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        if event["type"] == "DELETED":
            workers.object_deleted(body["metadata"]["uid"])
        else:
            workers.object_changed(dict(body))


def settings() -> kopf.OperatorSettings:
    """Returns kopf's settings: nothing posted, watches that are renewed."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.finalizer = f"{names.GROUP}/kopf"  # never set: kopf has no handler that would need one
    chosen.posting.enabled = False
    chosen.watching.server_timeout = SERVER_SECONDS
    chosen.watching.client_timeout = SILENT_SECONDS
    chosen.networking.request_timeout = 20
    chosen.scanning.disabled = True  # the kinds that we watch do not change while we run
    return chosen
