"""Lets a VoiceAssist go: relays first, whose calls may end; never for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .cluster import Cluster
from .errors import Retryable
from .facts import Ref
from .resources.common import relay_name
from .resources.deployment import CLOSE_SECONDS

EXTRA_SECONDS = 30
AGAIN_SECONDS = 2.0


def let_go_at(body: Mapping[str, Any]) -> float:
    """Epoch seconds after which the object goes whatever is left of it."""
    asked = datetime.fromisoformat(body["metadata"]["deletionTimestamp"]).astimezone(UTC).timestamp()
    drain = (body["spec"].get("relay") or {}).get("drainTimeoutSeconds", 3600)
    return float(asked + drain + CLOSE_SECONDS + EXTRA_SECONDS)


async def release(cluster: Cluster, body: Mapping[str, Any], now: float) -> None:
    """Deletes the Deployment and waits for its pods; the rest goes with the object, by its owner references.

    Raises Retryable while calls go on; returns when they are over, or when the time for it is.
    """
    metadata = body["metadata"]
    namespace, name = metadata["namespace"], relay_name(metadata["name"])
    deployment = await cluster.get(("apps/v1", "Deployment"), name, namespace)
    if deployment is not None and "deletionTimestamp" not in deployment["metadata"]:
        owners = deployment["metadata"].get("ownerReferences") or []
        if not any(owner.get("uid") == metadata["uid"] for owner in owners):
            return
        await cluster.delete(Ref("apps/v1", "Deployment", name), namespace)
    labels = {"app.kubernetes.io/name": "voiceassist-relay", "voiceassist.dev/name": metadata["name"][:63]}
    pods = await cluster.list(("v1", "Pod"), namespace, labels)
    if pods and now < let_go_at(body):
        raise Retryable(f"{len(pods)} relay pods finish their calls", AGAIN_SECONDS)
