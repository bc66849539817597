"""Lets a VoiceAssist go: relays first, whose calls may end; never for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from voiceassist_crds import names

from .cluster import VOICEASSIST, Cluster
from .facts import Ref
from .resources.common import LABEL_NAME, label_value, relay_name
from .resources.deployment import CLOSE_SECONDS

FINALIZER = f"{names.GROUP}/finalizer"
EXTRA_SECONDS = 30
DRAIN_SECONDS = 3600


def let_go_at(body: Mapping[str, Any]) -> float:
    """Epoch seconds after which the object goes whatever is left of it."""
    asked = datetime.fromisoformat(body["metadata"]["deletionTimestamp"]).astimezone(UTC).timestamp()
    drain = ((body.get("spec") or {}).get("relay") or {}).get("drainTimeoutSeconds", DRAIN_SECONDS)
    return float(asked + drain + CLOSE_SECONDS + EXTRA_SECONDS)


async def hold_on(cluster: Cluster, body: Mapping[str, Any]) -> None:
    """Puts our finalizer on the object: it then goes only when its relays have ended their calls."""
    finalizers = list(body["metadata"].get("finalizers") or [])
    if FINALIZER not in finalizers:
        await _finalizers(cluster, body, [*finalizers, FINALIZER])


async def let_go(cluster: Cluster, body: Mapping[str, Any], now: float) -> int:
    """Deletes the Deployment and, when its pods are gone or the time for it is over, takes our finalizer away.

    Gives the number of pods that are waited for. The rest goes with the object, by its owner references.
    """
    metadata = body["metadata"]
    finalizers = list(metadata.get("finalizers") or [])
    if FINALIZER not in finalizers:
        return 0
    namespace, name = metadata["namespace"], relay_name(metadata["name"])
    deployment = await cluster.get(("apps/v1", "Deployment"), name, namespace)
    if deployment is not None and _ours(deployment, metadata["uid"]) and "deletionTimestamp" not in deployment["metadata"]:
        await cluster.delete(Ref("apps/v1", "Deployment", name), namespace)
    if now < let_go_at(body):
        labels = {"app.kubernetes.io/name": "voiceassist-relay", LABEL_NAME: label_value(metadata["name"])}
        pods = await cluster.list(("v1", "Pod"), namespace, labels)
        left = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}]
        if left:
            return len(left)
    await _finalizers(cluster, body, [one for one in finalizers if one != FINALIZER])
    return 0


def _ours(item: Mapping[str, Any], uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or [])


async def _finalizers(cluster: Cluster, body: Mapping[str, Any], wanted: list[str]) -> None:
    """Writes the finalizers, unless somebody else changed the object since it was read: then it is read again."""
    metadata = body["metadata"]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": wanted}}
    await cluster.patch(VOICEASSIST, metadata["name"], metadata["namespace"], patch)
