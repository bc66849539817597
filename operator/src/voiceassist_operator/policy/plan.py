"""The plan: what is to be written for a VoiceAssist, from what was observed. Pure; every cause of a reconcile ends here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.errors import ContractError
from voiceassist_crds.names import WS_PATH
from voiceassist_crds.reasons import ConditionType, Reason

from ..kubernetes.kinds import CONFIG_MAP, Manifest, Ref, ref
from ..twilio.model.functions import record_to_status
from .blockers import blockers
from .condition import Blocker, Condition, changed, merge
from .conditions import conditions
from .observed import Observed
from .relay_config import relay_config
from .resources.account_budget_monitor import relay_disruption_budget, relay_pod_monitor, relay_service_account
from .resources.config_map import history_config_map, relay_config_map
from .resources.deployment import relay_deployment
from .resources.metadata import history_name
from .resources.network import relay_ingress, relay_network_policy, relay_service
from .rollout import PodPatch, behind, current_pods, pod_patches, prompt_history
from .twilio_conditions import functions_url, sync_service_sid

CALLS_EVERY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order: apply, delete, pods, status, events."""

    apply: list[Manifest] = field(default_factory=list)
    delete: list[Ref] = field(default_factory=list)
    pods: list[PodPatch] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    """Conditions that changed."""
    rolling: bool = False
    """Whether a configuration is on its way: look again soon."""
    config: RelayConfig | None = None


def make_plan(seen: Observed, now: str) -> Plan:
    """Returns the plan. `now` is an RFC 3339 time; it only marks what changed."""
    stopping = blockers(seen)
    config, problem = _config(seen)
    if problem is not None:
        stopping.append(problem)
    apply: list[Manifest] = []
    delete: list[Ref] = []
    pods: list[PodPatch] = []
    if not seen.owner.spec.paused and not stopping and config is not None:
        apply = _objects(seen, config)
        delete = _unwanted(seen, apply, config)
        pods = pod_patches(seen, config)
    status = _status(seen, config, stopping, now)
    old = seen.status.get("conditions", [])
    rolling = bool(apply) and config is not None and bool(behind(seen, config))
    return Plan(apply, delete, pods, status, [dict(entry) for entry in changed(old, status["conditions"])], rolling, config)


def _config(seen: Observed) -> tuple[RelayConfig | None, Blocker | None]:
    owner = seen.owner
    instructions, service = seen.prompt.instructions, sync_service_sid(seen)
    if instructions is None or not service:
        return None, None
    try:
        return relay_config(owner.namespace, owner.name, owner.spec, instructions, service), None
    except ContractError as error:
        return None, Blocker(Reason.INVALID_SPEC, "; ".join(error.problems))


def _objects(seen: Observed, config: RelayConfig) -> list[Manifest]:
    owner = seen.owner
    wanted = [
        relay_service_account(owner),
        relay_config_map(owner, config),
        history_config_map(owner, config.prompts[0]),
        relay_deployment(owner),
        relay_service(owner),
        relay_disruption_budget(owner),
        relay_ingress(owner),
        relay_network_policy(owner),
        relay_pod_monitor(owner, seen.pod_monitor_labels) if seen.pod_monitors else None,
    ]
    return [manifest for manifest in wanted if manifest is not None]


def _unwanted(seen: Observed, apply: list[Manifest], config: RelayConfig) -> list[Ref]:
    """Returns objects of ours that are not wanted any more; of the history the newest revisions stay."""
    wanted = {ref(manifest) for manifest in apply}
    kept = {Ref(CONFIG_MAP, history_name(seen.owner.name, entry["revision"])) for entry in prompt_history(seen, config, "")}
    removable = {one for one in seen.existing if one.kind.removable}
    return sorted(removable - wanted - kept, key=lambda one: (one.kind.name, one.name))


def _status(seen: Observed, config: RelayConfig | None, stopping: list[Blocker], now: str) -> dict[str, Any]:
    owner, old = seen.owner, seen.status
    pods = current_pods(seen)
    status: dict[str, Any] = {
        "observedGeneration": seen.generation,
        "conditions": merge(old.get("conditions", []), conditions(seen, config, stopping), seen.generation, now),
        "relay": {
            "replicas": len(pods),
            "readyReplicas": sum(pod.ready for pod in pods),
            "activeCalls": sum(pod.status.active_calls for pod in seen.pods if pod.status is not None),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(owner.selector.items())),
        },
        "endpoints": {
            "streamUrl": f"wss://{owner.spec.host}{owner.spec.path_prefix}{WS_PATH}/{{callSid}}",
            "functionsUrl": functions_url(seen),
        },
        **_twilio_status(seen),
    }
    if config is not None and not stopping and not owner.spec.paused:
        status["prompt"] = {
            "currentRevision": config.prompts[0].revision,
            "configRevision": config.config_revision,
            "history": prompt_history(seen, config, now),
        }
    elif "prompt" in old:
        status["prompt"] = old["prompt"]
    return status


def _twilio_status(seen: Observed) -> dict[str, Any]:
    """Returns what is recorded of Twilio: the next operator starts from there."""
    record, sid = seen.twilio.record, sync_service_sid(seen)
    status: dict[str, Any] = {}
    if sid:
        status["sync"] = {"serviceSid": sid, "made": record.sync.made and record.sync.sid == sid}
    if functions := record_to_status(record.functions):
        status["functions"] = functions
    if record.flex_written:
        status["flex"] = {"written": True}
    return status


def unreadable(problems: Sequence[str]) -> Condition:
    """Returns Ready of an object whose spec cannot be read."""
    return Condition(ConditionType.READY, False, Reason.INVALID_SPEC, "; ".join(problems))


def deleting(waits_for: str) -> Condition:
    """Returns Ready of an object that is being deleted."""
    return Condition(ConditionType.READY, False, Reason.DELETING, f"being deleted: {waits_for}")


def status_with(old: dict[str, Any], ready: Condition, generation: int, now: str) -> dict[str, Any]:
    """Returns the status as it is known, with another Ready: for an object of which no more can be said."""
    known = old.get("conditions", [])
    others = [entry for entry in known if entry["type"] != ready.type.value]
    return {**old, "observedGeneration": generation, "conditions": [*merge(known, [ready], generation, now), *others]}


def worth_writing(old: dict[str, Any], new: dict[str, Any], since_calls: float) -> bool:
    """Returns whether the status is to be written: at once when anything but the number of calls changed, else every 30 s.

    `since_calls` is seconds since the number of calls was last written.
    """
    if old == new:
        return False
    plain_old = {**old, "relay": {**old.get("relay", {}), "activeCalls": 0}}
    plain_new = {**new, "relay": {**new["relay"], "activeCalls": 0}}
    return plain_old != plain_new or since_calls >= CALLS_EVERY_SECONDS
