"""Deletes a VoiceAssist in order: its Flex entry, its relays, whose calls may end, then what was made at Twilio; it never hangs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog

from ..errors import NotThere
from ..kubernetes.client import CONFLICT_SECONDS, Cluster
from ..kubernetes.kinds import DEPLOYMENT, LABEL_APP, LABEL_NAME, POD, RELAY_APP, VOICEASSIST, Manifest, Ref, owned_by
from ..policy.deletion import FINALIZER, FLEX_SECONDS, RELEASE_ANNOTATION, release_at, waits_for_twilio
from ..policy.resources.metadata import Reference, label_value
from ..twilio.cleanup import TwilioCleanup
from .apply import Applier

log = structlog.get_logger("voiceassist.reconcile")


async def ensure_finalizer(cluster: Cluster, body: Mapping[str, Any]) -> Manifest | None:
    """Puts our finalizer on the object: it then goes only when its relays have ended their calls and Twilio is cleaned up.

    Returns the object as it is now; None where nothing was written, as it is there. Raises NotThere where the object is gone.
    """
    finalizers = list(body["metadata"].get("finalizers") or [])
    if FINALIZER in finalizers:
        return None
    made = await _set_finalizers(cluster, body, [*finalizers, FINALIZER])
    if made is None:
        raise NotThere("the object is gone, and has no finalizer; it is read once more", CONFLICT_SECONDS)
    return made


class Finalizer:
    """An object's deletion, step by step."""

    def __init__(self, cluster: Cluster, applier: Applier, cleanup: TwilioCleanup, patience: float) -> None:
        """`patience`: seconds that Twilio is waited for once the relays are gone."""
        self._cluster, self._applier, self._cleanup, self._patience = cluster, applier, cleanup, patience
        self._begun_at = time.monotonic()
        self._gone_at: float | None = None
        self._reported_problem = ""
        self._reported_removed = 0

    async def step(self, body: Mapping[str, Any], to: Reference) -> str:
        """Takes the next step. Returns what is waited for, in words; empty when the object is released."""
        finalizers = list(body["metadata"].get("finalizers") or [])
        if FINALIZER not in finalizers:
            return ""
        cleanup, now = self._cleanup, time.monotonic()
        if not cleanup.flex_tried and waits_for_twilio(body, now - self._begun_at, min(FLEX_SECONDS, self._patience), time.time()):
            return "the entry in the Flex configuration is removed first, so that no new calls come"
        await self._report(to)
        if pods := await drain(self._cluster, body, time.time()):
            return f"{pods} relay pods finish their calls, for relay.drainTimeoutSeconds at most"
        cleanup.relays_gone()
        self._gone_at = now if self._gone_at is None else self._gone_at
        if not cleanup.done and waits_for_twilio(body, now - self._gone_at, self._patience, time.time()):
            if not cleanup.problem:
                return "what was made at Twilio is removed"
            left = f" of {', '.join(cleanup.left)}" if cleanup.left else ""
            return (
                f"Twilio is waited for, to remove what was made{left}: {cleanup.problem}; after {self._patience:.0f} s, or at once with "
                f'annotation {RELEASE_ANNOTATION}: "true", it is left behind'
            )
        await self._report(to)  # what was removed while the pods were counted
        if cleanup.left:
            text = f"left behind at Twilio, to be removed by hand: {', '.join(cleanup.left)}; {cleanup.problem or 'not waited for'}"
            log.error("left behind at Twilio", namespace=to.namespace, name=to.name, left=cleanup.left, problem=cleanup.problem)
            await self._applier.event(to, "LeftAtTwilio", "Deleting", text, warning=True)
        await _set_finalizers(self._cluster, body, [one for one in finalizers if one != FINALIZER])
        return ""

    async def _report(self, to: Reference) -> None:
        """Writes an event for each new problem, and for what was removed."""
        cleanup = self._cleanup
        if cleanup.problem and cleanup.problem != self._reported_problem:
            self._reported_problem = cleanup.problem
            text = f"not freed at Twilio yet: {cleanup.problem}"
            await self._applier.event(to, "TwilioCleanupDelayed", "Deleting", text, warning=True)
        if len(cleanup.removed) > self._reported_removed:
            fresh, self._reported_removed = cleanup.removed[self._reported_removed :], len(cleanup.removed)
            await self._applier.event(to, "FreedAtTwilio", "Deleting", f"removed at Twilio: {', '.join(fresh)}")


async def drain(cluster: Cluster, body: Mapping[str, Any], now: float) -> int:
    """Deletes the Deployment. Returns the number of pods that are waited for; none when the time for that is over (`now`: epoch seconds).

    The cluster deletes our other objects with the VoiceAssist, by their owner references.
    """
    metadata = body["metadata"]
    namespace, ours = metadata["namespace"], {LABEL_APP: RELAY_APP, LABEL_NAME: label_value(metadata["name"])}
    for deployment in await cluster.list(DEPLOYMENT, namespace, ours):
        if owned_by(deployment, metadata["uid"]) and "deletionTimestamp" not in deployment["metadata"]:
            await cluster.delete(Ref(DEPLOYMENT, deployment["metadata"]["name"]), namespace)
    if now >= release_at(body):
        return 0
    pods: list[Manifest] = await cluster.list(POD, namespace, ours)
    return sum((pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"} for pod in pods)


async def _set_finalizers(cluster: Cluster, body: Mapping[str, Any], finalizers: list[str]) -> Manifest | None:
    """Writes the finalizers, unless somebody else changed the object since it was read: then it is read again.

    Returns the object as it is now; None where it is gone.
    """
    metadata = body["metadata"]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
    return await cluster.patch(VOICEASSIST, metadata["name"], metadata["namespace"], patch)
