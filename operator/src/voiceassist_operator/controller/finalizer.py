"""Lets a VoiceAssist go: its Flex entry, its relays, whose calls may end, then what was made at Twilio; never for ever."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from voiceassist_crds import names

from ..kubernetes.client import VOICEASSIST, Cluster
from ..policy.observed import Ref
from ..policy.resources.deployment import CLOSE_SECONDS
from ..policy.resources.metadata import LABEL_NAME, Reference, label_value, relay_name
from ..twilio.cleanup import TwilioLeaving
from .apply import Applier

FINALIZER = f"{names.GROUP}/finalizer"
LET_GO_ANNOTATION = f"{names.GROUP}/let-go"
"""With the value "true" an object that is being deleted does not wait for Twilio."""
FLEX_SECONDS = 30.0
"""How long the relays wait for the Flex entry to go before them."""
EXTRA_SECONDS = 30
DRAIN_SECONDS = 3600

log = structlog.get_logger("voiceassist.reconcile")


def let_go_at(body: Mapping[str, Any]) -> float:
    """Epoch seconds after which the relays are not waited for any longer, whatever is left of them."""
    asked = datetime.fromisoformat(body["metadata"]["deletionTimestamp"]).astimezone(UTC).timestamp()
    drain = ((body.get("spec") or {}).get("relay") or {}).get("drainTimeoutSeconds", DRAIN_SECONDS)
    return float(asked + drain + CLOSE_SECONDS + EXTRA_SECONDS)


def waits_for_twilio(body: Mapping[str, Any], gone_for: float, patience: float, now: float) -> bool:
    """Whether an object whose relays have been gone for `gone_for` seconds goes on waiting for Twilio.

    `now` in epoch seconds: with an operator that was started again and again, the deletion itself says when it is enough.
    """
    if (body["metadata"].get("annotations") or {}).get(LET_GO_ANNOTATION) == "true":
        return False
    return gone_for < patience and now < let_go_at(body) + patience


async def hold_on(cluster: Cluster, body: Mapping[str, Any]) -> None:
    """Puts our finalizer on the object: it then goes only when its relays have ended their calls and Twilio is tidied up."""
    finalizers = list(body["metadata"].get("finalizers") or [])
    if FINALIZER not in finalizers:
        await _finalizers(cluster, body, [*finalizers, FINALIZER])


class Farewell:
    """An object's deletion, step by step."""

    def __init__(self, cluster: Cluster, applier: Applier, leaving: TwilioLeaving, patience: float) -> None:
        self._cluster, self._applier, self._leaving, self._patience = cluster, applier, leaving, patience
        self._begun_at = time.monotonic()
        self._gone_at: float | None = None
        self._told_trouble = ""
        self._told_freed = 0

    async def step(self, body: Mapping[str, Any], to: Reference) -> str:
        """The next step. Gives what is waited for in words, empty when the object is let go."""
        finalizers = list(body["metadata"].get("finalizers") or [])
        if FINALIZER not in finalizers:
            return ""
        leaving, now = self._leaving, time.monotonic()
        if not leaving.flex_tried and waits_for_twilio(body, now - self._begun_at, min(FLEX_SECONDS, self._patience), time.time()):
            return "the entry in the Flex configuration is removed first, so that no new calls come"
        await self._tell(to)
        if pods := await drain(self._cluster, body, time.time()):
            return f"{pods} relay pods finish their calls, for relay.drainTimeoutSeconds at most"
        leaving.relays_gone()
        self._gone_at = now if self._gone_at is None else self._gone_at
        if not leaving.done and waits_for_twilio(body, now - self._gone_at, self._patience, time.time()):
            if not leaving.trouble:
                return "what was made at Twilio is removed"
            left = f" of {', '.join(leaving.left)}" if leaving.left else ""
            return (
                f"Twilio is waited for, to remove what was made{left}: {leaving.trouble}; after {self._patience:.0f} s, or at once with "
                f'annotation {LET_GO_ANNOTATION}: "true", it is left behind'
            )
        await self._tell(to)  # what was freed while the pods were counted
        if leaving.left:
            text = f"left behind at Twilio, to be removed by hand: {', '.join(leaving.left)}; {leaving.trouble or 'not waited for'}"
            log.error("left behind at Twilio", namespace=to.namespace, name=to.name, left=leaving.left, trouble=leaving.trouble)
            await self._applier.note(to, "LeftAtTwilio", "Deleting", text, warning=True)
        await _finalizers(self._cluster, body, [one for one in finalizers if one != FINALIZER])
        return ""

    async def _tell(self, to: Reference) -> None:
        """An event for each new trouble, and for what was freed."""
        leaving = self._leaving
        if leaving.trouble and leaving.trouble != self._told_trouble:
            self._told_trouble = leaving.trouble
            await self._applier.note(to, "TwilioCleanupDelayed", "Deleting", f"not freed at Twilio yet: {leaving.trouble}", warning=True)
        if len(leaving.freed) > self._told_freed:
            fresh, self._told_freed = leaving.freed[self._told_freed :], len(leaving.freed)
            await self._applier.note(to, "FreedAtTwilio", "Deleting", f"removed at Twilio: {', '.join(fresh)}")


async def drain(cluster: Cluster, body: Mapping[str, Any], now: float) -> int:
    """Deletes the Deployment. Gives the number of pods that are waited for; none when the time for that is over.

    The rest of the cluster's objects goes with the VoiceAssist, by its owner references.
    """
    metadata = body["metadata"]
    namespace, name = metadata["namespace"], relay_name(metadata["name"])
    deployment = await cluster.get(("apps/v1", "Deployment"), name, namespace)
    if deployment is not None and _ours(deployment, metadata["uid"]) and "deletionTimestamp" not in deployment["metadata"]:
        await cluster.delete(Ref("apps/v1", "Deployment", name), namespace)
    if now >= let_go_at(body):
        return 0
    labels = {"app.kubernetes.io/name": "voiceassist-relay", LABEL_NAME: label_value(metadata["name"])}
    pods = await cluster.list(("v1", "Pod"), namespace, labels)
    return sum((pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"} for pod in pods)


def _ours(item: Mapping[str, Any], uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or [])


async def _finalizers(cluster: Cluster, body: Mapping[str, Any], wanted: list[str]) -> None:
    """Writes the finalizers, unless somebody else changed the object since it was read: then it is read again."""
    metadata = body["metadata"]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": wanted}}
    await cluster.patch(VOICEASSIST, metadata["name"], metadata["namespace"], patch)
