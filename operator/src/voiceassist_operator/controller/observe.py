"""Observes a VoiceAssist: reads what is there, asks the relays, and gives it all as facts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from voiceassist_crds.config import MAX_INSTRUCTIONS
from voiceassist_crds.reasons import Reason
from voiceassist_crds.resource import VoiceAssistSpec

from ..errors import Forbidden, NotThere, OperatorError, UnknownKind
from ..kubernetes.client import Cluster
from ..kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HTTP_ROUTE,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    MANAGER,
    OPTIONAL,
    OWNED,
    POD,
    SECRET,
    Kind,
    Manifest,
    Ref,
    owned_by,
)
from ..kubernetes.secrets import is_released, secret_value
from ..policy.allowed import Allowed
from ..policy.egress import ca_bundle_problem
from ..policy.endpoint_answers import report_of
from ..policy.observed import (
    CaBundleFact,
    DeploymentFact,
    EndpointFact,
    Observed,
    Orders,
    PodFact,
    PromptFact,
    RelayAnswer,
    SecretFact,
)
from ..policy.ownership import Taken, named_as_before, needed_kinds, taken
from ..policy.resources.config_map import KeptPrompt, kept_prompt, prompts_in_use
from ..policy.resources.metadata import (
    ABORT_ANNOTATION,
    CAUSE_ANNOTATION,
    HOLD_ANNOTATION,
    PLUGIN_MANAGER,
    PROMOTE_ANNOTATION,
    REASON_ANNOTATION,
    RETRY_ANNOTATION,
    Installation,
    Owner,
    label_value,
)
from ..policy.resources.network import http_route_problem
from .relay_status import RelayPoller

ASK_KINDS_SECONDS = 20.0
"""Between two questions whether the cluster knows a kind."""
ASK_AGAIN_SECONDS = 5.0
"""The same after an answer that said nothing."""

log = structlog.get_logger("voiceassist.observe")


class OptionalKinds:
    """Kinds that the cluster may or may not know; asked again every 20 s, as somebody may bring them later."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.undecided = frozenset(OPTIONAL)
        """Those of which the API server has not said yet whether it knows them."""
        self._cluster, self._namespace = cluster, namespace
        self._known: frozenset[Kind] = frozenset()
        self._ask_at = float("-inf")

    async def known(self) -> frozenset[Kind]:
        """Returns those that the cluster knows and lets us list.

        What is known stays known until the API server itself says that it is not: an answer that failed says nothing of the kind.
        """
        if time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + ASK_KINDS_SECONDS
            for kind in OPTIONAL:
                await self._ask(kind)
        return self._known

    async def _ask(self, kind: Kind) -> None:
        try:
            await self._cluster.list(kind, self._namespace, {LABEL_MANAGED_BY: MANAGER})
        except (UnknownKind, NotThere):
            self._known -= {kind}
        except Forbidden:
            pass  # a right that was never there; or one that is away, and comes back with the next release of the chart
        except OperatorError as error:
            self._ask_at = time.monotonic() + ASK_AGAIN_SECONDS
            log.warning("whether the cluster knows a kind could not be asked", kind=kind.name, error=str(error))
            return
        else:
            self._known |= {kind}
        self.undecided -= {kind}


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What observing an object needs and does not change while the operator runs."""

    cluster: Cluster
    poller: RelayPoller
    default_image: str
    custom_endpoints: bool
    allowed: Allowed
    any_user_id: bool
    optional_kinds: OptionalKinds
    pod_monitor_labels: Mapping[str, str]
    installation: Installation


async def observe(
    dependencies: Dependencies, body: Mapping[str, Any], conflicting: str, endpoint: EndpointFact | None, apply_error: str = ""
) -> Observed:
    """Returns everything that a plan is made of. Raises ContractError for a spec that cannot be read, OperatorError for the cluster."""
    cluster, metadata = dependencies.cluster, body["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    spec = VoiceAssistSpec.read(body["spec"])
    uid = metadata["uid"]
    labels = {LABEL_NAME: label_value(name), LABEL_MANAGED_BY: MANAGER}
    ours: dict[Ref, Manifest] = {}
    optional_kinds = await dependencies.optional_kinds.known()
    for kind in OWNED:
        if kind.optional and kind not in optional_kinds:
            continue
        for item in await cluster.list(kind, namespace, labels):
            if owned_by(item, uid):
                ours[Ref(kind, item["metadata"]["name"])] = item
    owner = Owner(namespace, name, uid, spec, dependencies.default_image, named_as_before(name, ours), dependencies.any_user_id)
    deployment, route = ours.get(Ref(DEPLOYMENT, owner.relay)), ours.get(Ref(HTTP_ROUTE, owner.relay))
    route_problem = http_route_problem(route) if route is not None and spec.http_route is not None else ""
    return Observed(
        owner=owner,
        generation=metadata["generation"],
        credentials=await _secret(cluster, namespace, spec.twilio.credentials_secret_ref.name),
        model_key=await _secret(cluster, namespace, spec.model.api_key_secret_ref.name),
        prompt=await _prompt(cluster, metadata, spec),
        kept_prompts=_kept_prompts([item for ref, item in ours.items() if ref.kind == CONFIG_MAP]),
        orders=_orders(metadata),
        deployment=_deployment(deployment) if deployment is not None else None,
        pods=await _pods(dependencies, owner, endpoint),
        existing={one: item["metadata"]["resourceVersion"] for one, item in ours.items()},
        uids={one: item["metadata"]["uid"] for one, item in ours.items()},
        taken=await _taken(cluster, owner, ours, optional_kinds),
        optional_kinds=optional_kinds,
        undecided_kinds=dependencies.optional_kinds.undecided,
        pod_monitor_labels=dependencies.pod_monitor_labels,
        conflicting=conflicting,
        endpoint=endpoint,
        route_problem=route_problem,
        created=metadata["creationTimestamp"],
        custom_endpoints=dependencies.custom_endpoints,
        installation=dependencies.installation,
        ca_bundle=await _ca_bundle(cluster, namespace, spec),
        allowed=dependencies.allowed,
        status=dict(body.get("status") or {}),
        apply_error=apply_error,
    )


def _kept_prompts(config_maps: Sequence[Manifest]) -> dict[str, KeptPrompt]:
    """The prompts that can be gone back to: those that are kept for it, and those that calls have."""
    in_use = {revision: prompt for item in config_maps for revision, prompt in prompts_in_use(item)}
    return in_use | dict(one for item in config_maps if (one := kept_prompt(item)) is not None)


async def _taken(cluster: Cluster, owner: Owner, ours: Mapping[Ref, Manifest], optional: frozenset[Kind]) -> tuple[Taken, ...]:
    """What others have by the names of objects that are still to be made."""
    found = []
    for kind in needed_kinds(owner, optional):
        if Ref(kind, owner.relay) in ours:
            continue
        item = await cluster.find(kind, owner.relay, owner.namespace)
        if item is not None and (foreign := taken(kind, item, owner.uid)) is not None:
            found.append(foreign)
    return tuple(found)


async def _secret(cluster: Cluster, namespace: str, name: str) -> SecretFact:
    found = await cluster.get(SECRET, name, namespace)
    if found is None:
        return SecretFact(name)
    keys, spoilt = set(), {}
    for key in found.get("data") or {}:
        try:
            if secret_value(found, key):
                keys.add(key)
        except ValueError as error:
            keys.add(key)
            spoilt[key] = str(error)
    return SecretFact(name, True, frozenset(keys), found["metadata"]["resourceVersion"], spoilt, is_released(found))


async def _prompt(cluster: Cluster, metadata: Mapping[str, Any], spec: VoiceAssistSpec) -> PromptFact:
    if spec.prompt.instructions is not None:
        return PromptFact(spec.prompt.instructions, manager=_writer(metadata, ("f:spec", "f:prompt")), cause=_cause(metadata))
    if spec.prompt.instructions_from is None:
        return PromptFact(None, Reason.INVALID_SPEC, "give one of prompt.instructions and prompt.instructionsFrom")
    ref = spec.prompt.instructions_from.config_map_key_ref
    found = await cluster.get(CONFIG_MAP, ref.name, metadata["namespace"])
    if found is None:
        return PromptFact(
            None,
            Reason.PROMPT_SOURCE_NOT_FOUND,
            f"ConfigMap {ref.name} (prompt.instructionsFrom) does not exist; create it with key {ref.key}",
        )
    text = (found.get("data") or {}).get(ref.key)
    if not text:
        return PromptFact(None, Reason.PROMPT_SOURCE_NOT_FOUND, f"ConfigMap {ref.name} has no text under {ref.key}; put the prompt there")
    if len(text) > MAX_INSTRUCTIONS:
        return PromptFact(
            None,
            Reason.PROMPT_TOO_LONG,
            f"ConfigMap {ref.name}, key {ref.key}: {len(text)} characters; at most {MAX_INSTRUCTIONS} are allowed",
        )
    writer = _writer(found["metadata"], ("f:data", f"f:{ref.key}"))
    return PromptFact(text, manager=writer, cause=_cause(found["metadata"]) or _cause(metadata))


async def _ca_bundle(cluster: Cluster, namespace: str, spec: VoiceAssistSpec) -> CaBundleFact:
    if spec.network.ca_bundle is None:
        return CaBundleFact()
    ref = spec.network.ca_bundle.config_map_key_ref
    found = await cluster.get(CONFIG_MAP, ref.name, namespace)
    text = ((found or {}).get("data") or {}).get(ref.key) or ""
    return CaBundleFact(text, ca_bundle_problem(text, f"ConfigMap {ref.name}, key {ref.key} (network.caBundle)"))


def _orders(metadata: Mapping[str, Any]) -> Orders:
    annotations = metadata.get("annotations") or {}
    promote, abort, retry = (str(annotations.get(name, ""))[:60] for name in (PROMOTE_ANNOTATION, ABORT_ANNOTATION, RETRY_ANNOTATION))
    asking = {"promote": PROMOTE_ANNOTATION, "abort": ABORT_ANNOTATION, "retry": RETRY_ANNOTATION, "hold": HOLD_ANNOTATION}
    hold = annotations.get(HOLD_ANNOTATION) == "true"
    return Orders(promote, abort, retry, hold, {word: _said(metadata, name) for word, name in asking.items()})


def _said(metadata: Mapping[str, Any], annotation: str) -> str:
    """Who asks by an annotation, and why. The plugin of kubectl says who itself; of others the field manager is known, and the reason
    if it is the same one's."""
    asks, tells = (_writer(metadata, ("f:metadata", "f:annotations", f"f:{name}")) for name in (annotation, REASON_ANNOTATION))
    reason = str((metadata.get("annotations") or {}).get(REASON_ANNOTATION, "")) if tells == asks else ""
    who = "" if asks == PLUGIN_MANAGER and reason else asks
    return ": ".join(part for part in (who, reason) if part)[:200]


def _cause(metadata: Mapping[str, Any]) -> str:
    return str((metadata.get("annotations") or {}).get(CAUSE_ANNOTATION, ""))


async def _pods(dependencies: Dependencies, owner: Owner, endpoint: EndpointFact | None) -> tuple[PodFact, ...]:
    pods = await dependencies.cluster.list(POD, owner.namespace, owner.selector)
    owned = [pod for pod in pods if pod["metadata"].get("labels", {}).get(LABEL_NAME) == label_value(owner.name)]
    asked = [(pod["metadata"]["name"], pod["status"].get("podIP") or "") for pod in owned]
    answers = await dependencies.poller.ask_all(asked, report_of(endpoint))
    return tuple(_pod(pod, answers.get(pod["metadata"]["name"], RelayAnswer())) for pod in owned)


def _pod(pod: Manifest, answer: RelayAnswer) -> PodFact:
    state = pod.get("status") or {}
    conditions = {one["type"]: one for one in state.get("conditions") or []}
    container: Manifest = next(iter(state.get("containerStatuses") or []), {})
    waiting = (container.get("state") or {}).get("waiting") or {}
    scheduled = conditions.get("PodScheduled", {})
    return PodFact(
        name=pod["metadata"]["name"],
        ip=state.get("podIP") or "",
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in pod["metadata"] or state.get("phase") in {"Failed", "Succeeded"},
        waiting_reason=waiting.get("reason") or "",
        waiting_message=(waiting.get("message") or "")[:300],
        unschedulable=(scheduled.get("message") or "")[:300] if scheduled.get("status") == "False" else "",
        restarts=container.get("restartCount") or 0,
        annotations=dict(pod["metadata"].get("annotations") or {}),
        status=answer.status,
        unreadable=answer.unreadable,
        late=answer.late,
    )


def _deployment(item: Manifest) -> DeploymentFact:
    status = item.get("status") or {}
    failure = next(
        (one.get("message", "") for one in status.get("conditions") or [] if one["type"] == "ReplicaFailure" and one["status"] == "True"),
        "",
    )
    return DeploymentFact(
        replicas=item["spec"].get("replicas", 1),
        ready=status.get("readyReplicas") or 0,
        updated=status.get("updatedReplicas") or 0,
        total=status.get("replicas") or 0,
        observed=(status.get("observedGeneration") or 0) >= item["metadata"]["generation"],
        failure=failure[:300],
    )


def _writer(metadata: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """The field manager that owns a field; the newest where several do."""
    owners = [
        (entry.get("time") or "", entry.get("manager") or "")
        for entry in metadata.get("managedFields") or []
        if _owns(entry.get("fieldsV1") or {}, path)
    ]
    return max(owners)[1] if owners else ""


def _owns(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    for part in path:
        if part not in fields:
            return False
        fields = fields[part]
    return True
