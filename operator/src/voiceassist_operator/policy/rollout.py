"""The roll-out of a configuration to the relay pods: which are behind, what is put on them and when, and the prompts' history. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from voiceassist_crds import names
from voiceassist_crds.config import RelayConfig

from ..kubernetes.kinds import POD_MONITOR
from .canary.counts import Report
from .canary.progress import Progress, advance, without_its_text
from .canary.record import from_status
from .observed import Observed, PodFact
from .resources.metadata import CONFIG_ANNOTATION, SECRETS_ANNOTATION

HISTORY = 10
"""Revisions of the prompt that are kept to go back to."""
ORDERS_KEPT = 10
"""What people asked of a roll-out, of each revision."""
NEVER_IN_FORCE = frozenset({"Canary", "Rejected", "Replaced"})
"""Outcomes in the history of prompts that not all calls had."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
COST_EVERY_SECONDS = 10.0
"""How often the number of calls is put on a pod at most."""
REANNOTATE_AFTER_SECONDS = 3.0
"""A pod that does not report a configuration after this time is annotated again: its node may have seen the annotation first."""
REANNOTATED = f"{names.GROUP}/reannotated"
SCRAPE = {"prometheus.io/scrape": "true", "prometheus.io/port": str(names.PRIVATE_PORT), "prometheus.io/path": "/metrics"}
"""By these a Prometheus finds pods that no PodMonitor selects."""


@dataclass(frozen=True, slots=True)
class PodPatch:
    """Annotations to put on a pod. A new one makes the kubelet bring the pod's volumes up to date at once."""

    pod: str
    annotations: dict[str, str | None]
    """None: to be taken away."""


def current_pods(seen: Observed) -> list[PodFact]:
    """Returns the pods that are there to stay: draining ones keep what they have and are not counted."""
    return [pod for pod in seen.pods if not pod.terminating]


def behind(seen: Observed, config: RelayConfig) -> list[PodFact]:
    """Returns the pods that are there to stay and do not report this configuration."""
    return [pod for pod in current_pods(seen) if pod.status is None or pod.status.config_revision != config.config_revision]


def secrets_version(seen: Observed) -> str:
    """Returns a text that changes when one of the Secrets does; it says nothing of their values."""
    return f"{seen.credentials.version}.{seen.model_key.version}"


def pod_patches(seen: Observed, config: RelayConfig) -> list[PodPatch]:
    """Returns the annotations that are missing, or too many: the configuration's revision, the Secrets' versions, the deletion cost,
    and those by which pods are scraped."""
    patches = []
    everywhere = {CONFIG_ANNOTATION: config.config_revision, SECRETS_ANNOTATION: secrets_version(seen), **scrape_annotations(seen)}
    for pod in seen.pods:
        desired = scrape_annotations(seen) if pod.terminating else {**everywhere, **_deletion_cost(pod)}
        new = {key: value for key, value in desired.items() if pod.annotations.get(key) != value}
        if new:
            patches.append(PodPatch(pod.name, new))
    return patches


def scrape_annotations(seen: Observed) -> dict[str, str | None]:
    """Returns what the pods bear to be scraped by: nothing beside a PodMonitor, or every sample would be there twice.

    They are put on the pods themselves, not into the Deployment's template: where PodMonitors become known, or are known no more, no
    relay is replaced. What `relay.podAnnotations` has of them is the user's own, and stays.
    """
    by_monitor = seen.owner.spec.monitoring.pod_monitor
    if by_monitor and POD_MONITOR in seen.undecided_kinds:
        return {}
    ours = {key: value for key, value in SCRAPE.items() if key not in seen.owner.spec.relay.pod_annotations}
    return dict.fromkeys(ours) if by_monitor and POD_MONITOR in seen.optional_kinds else {**ours}


def _deletion_cost(pod: PodFact) -> dict[str, str]:
    """Returns the deletion cost, so that idle pods leave first when the Deployment shrinks."""
    return {} if pod.status is None else {DELETION_COST: str(pod.status.active_calls)}


def annotations_due(
    pod: PodFact, missing: Mapping[str, str | None], config: RelayConfig | None, since_annotated: float, since_cost: float, stamp: str
) -> dict[str, str | None]:
    """Returns what is put on a pod now, of what is missing.

    `since_annotated` is seconds since it was annotated for a configuration or seen for the first time, `since_cost` seconds since
    its deletion cost was written, and `stamp` a text that was not used before.
    """
    due = {key: value for key, value in missing.items() if key != DELETION_COST or since_cost >= COST_EVERY_SECONDS}
    if config is not None and _could_report(pod, config) and since_annotated >= REANNOTATE_AFTER_SECONDS:
        due[REANNOTATED] = stamp
    return due


def _could_report(pod: PodFact, config: RelayConfig) -> bool:
    """Whether a pod that is there to stay does not report the configuration, although it could."""
    if pod.terminating or pod.status is None or pod.status.config_error:
        return False
    return pod.status.config_revision != config.config_revision


def rollout_progress(seen: Observed, desired: RelayConfig, now: str, *, held: bool = False) -> Progress:
    """Returns where the roll-out of the object's own prompt is at `now` (RFC 3339); `held`: nothing is written, so it stays where it is."""
    recorded = seen.status.get("prompt") or {}
    before = from_status(recorded)
    wanted, lost = desired.prompts[0].revision, ""
    if before is not None and before.stable != wanted and before.stable not in seen.kept_prompts:
        lost, other = before.stable, _latest_in_force(recorded.get("history") or [], seen.kept_prompts) or wanted
        before = without_its_text(before, other)
    previous = previous_in_force(recorded, wanted, seen.kept_prompts)
    reports = [Report(pod.name, pod.status.rollout) for pod in seen.pods if pod.status is not None]
    epoch = datetime.fromisoformat(now).timestamp()
    if held and before is not None:
        return before
    progress = advance(before, wanted, previous, seen.owner.spec.rollout, seen.orders, reports, epoch)
    if not lost:
        return progress
    decision = f"the text of {lost}, which was in force, is kept nowhere any more; {progress.stable} is in its place"
    return replace(progress, lost=lost, decision=decision)


def previous_in_force(recorded: Mapping[str, Any], newest: str, kept: Container[str]) -> str:
    """Returns the revision that a roll-back of `newest` leads to: the latest before it that was in force and is kept; empty for none."""
    first, *rest = recorded.get("history") or [{}]
    if first.get("revision") != newest:
        return ""
    return _latest_in_force(rest, kept)


def _latest_in_force(history: Iterable[Mapping[str, Any]], kept: Container[str]) -> str:
    was_in_force = (entry["revision"] for entry in history if entry.get("outcome") not in NEVER_IN_FORCE)
    return next((one for one in was_in_force if one in kept), "")


def prompt_history(seen: Observed, progress: Progress, now: str) -> list[dict[str, Any]]:
    """Returns the newest revisions of the prompt as the status has them: the object's own first, whatever became of it. `now` is RFC 3339.

    The one that is in force for most calls is always among them.
    """
    old: list[dict[str, Any]] = list(seen.status.get("prompt", {}).get("history", []))
    newest = progress.canary or progress.rejected or progress.stable
    if not old or old[0]["revision"] != newest:
        entry = {
            "revision": newest,
            "time": now,
            "manager": seen.prompt.manager[:200],
            "cause": seen.prompt.cause[:500],
            "configMap": seen.owner.history(newest),
        }
        old = [entry, *(one for one in old if one["revision"] != newest)]
    outcome = "Canary" if progress.canary else "Rejected" if progress.rejected else ""
    first = {key: value for key, value in old[0].items() if key != "outcome"} | ({"outcome": outcome} if outcome else {})
    if decision := progress.rejected_for or progress.decision:
        first["decision"] = decision[:500]
    elif progress.canary:
        first.pop("decision", None)
    if progress.asked:
        asked = [{"order": one.order, "time": now, "by": one.by[:200]} for one in progress.asked]
        first["orders"] = [*first.get("orders", []), *asked][-ORDERS_KEPT:]
    rest = [one | {"outcome": "Replaced"} if one.get("outcome") == "Canary" else one for one in old[1:]]
    stable = [one for one in rest if one["revision"] == progress.stable]
    kept = [*stable, *(one for one in rest if one["revision"] != progress.stable)][: HISTORY - 1]
    return [first, *(one for one in rest if one in kept)]
