"""The plan: what is to be written for a VoiceAssist, from what was observed. Pure; every cause of a reconcile ends here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.errors import ContractError
from voiceassist_crds.reasons import Reason

from ..kubernetes.kinds import CONFIG_MAP, Manifest, Ref, kind_of, ref
from .autoscaling import autoscale, held, scale_news
from .blockers import blockers
from .canary.progress import Progress
from .canary.prompts import with_progress
from .canary.record import Told, decided, from_status, news
from .condition import Blocker
from .egress import egress
from .observed import Observed, Scaling, Spending
from .relay_config import relay_config
from .resources.account_budget_monitor import relay_disruption_budget, relay_pod_monitor, relay_service_account
from .resources.config_map import answers_of, history_config_map, relay_config_map
from .resources.deployment import relay_deployment
from .resources.network import relay_backend_config, relay_http_route, relay_ingress, relay_network_policy, relay_service
from .rollout import PodPatch, behind, pod_patches, prompt_history, rollout_progress
from .spending import spending, used
from .status import make_status
from .twilio_conditions import sync_service_sid


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order: apply, delete, pods, status."""

    apply: list[Manifest] = field(default_factory=list)
    delete: list[Ref] = field(default_factory=list)
    pods: list[PodPatch] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    rolling: bool = False
    """Whether a configuration is on its way: look again soon."""
    config: RelayConfig | None = None
    decided: bool = False
    """Whether what calls get is another than the status says: it is recorded before anything is applied."""
    news: list[Told] = field(default_factory=list)
    """What is to be told of the roll-out."""
    scaling: Scaling | None = None
    """How many relays there are to be, where calls decide."""
    scale_news: list[Told] = field(default_factory=list)
    spending: Spending | None = None
    """What is known of the spending, where it is limited."""
    used: Mapping[str, float] = field(default_factory=dict)
    """The share of each limit of the object that is used, by its name."""


def make_plan(seen: Observed, now: str) -> Plan:
    """Returns the plan. `now` is an RFC 3339 time; it only marks what changed."""
    stopping = blockers(seen)
    config, progress, problem = _config(seen, now, held=seen.owner.spec.paused or bool(stopping))
    if problem is not None:
        stopping.append(problem)
    epoch = datetime.fromisoformat(now).timestamp()
    scaling = held(seen) if seen.owner.spec.paused or stopping else autoscale(seen, epoch)
    told = scale_news(seen.scaling, scaling, seen.owner.spec.relay)
    seen = replace(seen, scaling=scaling, spending=spending(seen, epoch))
    apply: list[Manifest] = []
    delete: list[Ref] = []
    pods: list[PodPatch] = []
    if not seen.owner.spec.paused and not stopping and config is not None and progress is not None:
        apply = _objects(seen, config)
        delete = _unwanted(seen, apply, progress)
        pods = pod_patches(seen, config)
    status = make_status(seen, config, progress, stopping, now)
    rolling = bool(apply) and config is not None and bool(behind(seen, config))
    before = from_status(seen.status.get("prompt") or {})
    changed = bool(apply) and before is not None and decided(seen.status["prompt"], status["prompt"])
    of_prompt = news(before, progress) if changed and progress is not None else []
    return Plan(apply, delete, pods, status, rolling, config, changed, of_prompt, seen.scaling, told, seen.spending, used(seen))


def _config(seen: Observed, now: str, *, held: bool) -> tuple[RelayConfig | None, Progress | None, Blocker | None]:
    owner = seen.owner
    instructions, service = seen.prompt.instructions, sync_service_sid(seen)
    if instructions is None or not service:
        return None, None, None
    try:
        desired = relay_config(owner.namespace, owner.name, owner.spec, instructions, service, egress(seen).network)
    except ContractError as error:
        return None, None, Blocker(Reason.INVALID_SPEC, "; ".join(error.problems))
    progress = rollout_progress(seen, desired, now, held=held)
    return with_progress(desired, progress, seen.kept_prompts), progress, None


def _histories(seen: Observed, config: RelayConfig) -> list[Manifest]:
    """The texts of all prompts that calls get, each with what else alters its answers."""
    own = answers_of(config)
    prompts = [prompt if prompt.model is not None else prompt.model_copy(update={"model": own}) for prompt in config.prompts]
    return [history_config_map(seen.owner, prompt) for prompt in prompts]


def _objects(seen: Observed, config: RelayConfig) -> list[Manifest]:
    owner, way_out = seen.owner, egress(seen)
    wanted = [
        relay_service_account(owner),
        relay_config_map(owner, config, way_out.ca_bundle),
        *_histories(seen, config),
        relay_deployment(owner, None if seen.scaling is None else seen.scaling.replicas),
        relay_service(owner),
        relay_disruption_budget(owner),
        relay_ingress(owner),
        relay_http_route(owner),
        relay_backend_config(owner),
        relay_network_policy(owner, seen.installation, way_out.ports),
        relay_pod_monitor(owner, seen.pod_monitor_labels),
    ]
    there = [manifest for manifest in wanted if manifest is not None]
    return [manifest for manifest in there if not kind_of(manifest).optional or kind_of(manifest) in seen.optional_kinds]


def _unwanted(seen: Observed, apply: list[Manifest], progress: Progress) -> list[Ref]:
    """Returns objects of ours that are not wanted any more; of the history the newest revisions stay."""
    wanted = {ref(manifest) for manifest in apply}
    kept = {Ref(CONFIG_MAP, seen.owner.history(entry["revision"])) for entry in prompt_history(seen, progress, "")}
    removable = {one for one in seen.existing if one.kind.removable}
    return sorted(removable - wanted - kept, key=lambda one: (one.kind.name, one.name))
