"""Observes a VoiceAssist: reads what is there, asks the relays, and gives it all as facts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from voiceassist_crds.config import MAX_INSTRUCTIONS
from voiceassist_crds.reasons import Reason
from voiceassist_crds.resource import VoiceAssistSpec

from ..errors import NotListed
from ..kubernetes.client import Cluster
from ..kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, POD, Kind, Manifest, Ref
from ..kubernetes.store import Entry, Store, holder_of, owners_of
from ..policy.allowed import Allowed
from ..policy.egress import ca_bundle_problem
from ..policy.endpoint_answers import report_of
from ..policy.next_pass import RETRY_SECONDS
from ..policy.observed import CaBundleFact, DeploymentFact, EndpointFact, Observed, Orders, PodFact, PromptFact, RelayAnswer, pod_fact
from ..policy.ownership import Taken, named_as_before, needed_kinds, taken
from ..policy.resources.config_map import KeptPrompt, kept_prompt, prompts_in_use
from ..policy.resources.metadata import (
    ABORT_ANNOTATION,
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
from ..policy.spending import Others
from .references import References, cause_of, writer_of
from .relay_status import RelayPoller


class KnownKinds(Protocol):
    """Which of the kinds that a cluster may or may not know it knows."""

    @property
    def known(self) -> frozenset[Kind]:
        """Those that it knows."""

    @property
    def undecided(self) -> frozenset[Kind]:
        """Those of which that is not known."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What observing an object needs and does not change while the operator runs."""

    cluster: Cluster
    store: Store
    references: References
    poller: RelayPoller
    default_image: str
    custom_endpoints: bool
    allowed: Allowed
    any_user_id: bool
    optional_kinds: KnownKinds
    pod_monitor_labels: Mapping[str, str]
    installation: Installation


async def observe(
    dependencies: Dependencies,
    body: Mapping[str, Any],
    conflicting: str,
    endpoint: EndpointFact | None,
    apply_error: str = "",
    others: Others | None = None,
) -> Observed:
    """Returns everything that a plan is made of. `others`: what relays are told of each other.

    Raises ContractError for a spec that cannot be read, OperatorError for the cluster, NotListed as long as it is not known what there is
    of ours.
    """
    store, metadata = dependencies.store, body["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    spec = VoiceAssistSpec.read(body["spec"])
    uid = metadata["uid"]
    optional_kinds = dependencies.optional_kinds.known
    ours = {
        one: entry
        for one, entry in store.of(namespace, label_value(name)).items()
        if one.kind.owned and uid in entry.owners and not (one.kind.optional and one.kind not in optional_kinds)
    }
    owner = Owner(namespace, name, uid, spec, dependencies.default_image, named_as_before(name, ours), dependencies.any_user_id)
    needed = needed_kinds(owner, optional_kinds)
    _require_listings(store, needed)
    deployment, route = _item(ours, DEPLOYMENT, owner), _item(ours, HTTP_ROUTE, owner)
    references = dependencies.references
    route_problem = http_route_problem(route) if route is not None and spec.http_route is not None else ""
    missing = [kind for kind in needed if Ref(kind, owner.relay) not in ours]
    pods = await _pods(dependencies, owner, endpoint, others)
    asked = await _taken_unwatched(dependencies.cluster, owner, missing)
    credentials = await references.secret(namespace, spec.twilio.credentials_secret_ref.name)
    model_key = await references.secret(namespace, spec.model.api_key_secret_ref.name)
    prompt, ca_bundle = await _prompt(references, metadata, spec), await _ca_bundle(references, namespace, spec)
    # Nothing is waited for from here on: of a name that is freed later, those that wait for it are told.
    all_taken = (*_taken(store, owner, missing), *asked)
    return Observed(
        owner=owner,
        generation=metadata["generation"],
        credentials=credentials,
        model_key=model_key,
        prompt=prompt,
        kept_prompts=_kept_prompts(ours),
        orders=_orders(metadata),
        deployment=_deployment(deployment) if deployment is not None else None,
        pods=pods,
        existing={one: entry.mark for one, entry in ours.items()},
        uids={one: entry.uid for one, entry in ours.items()},
        taken=all_taken,
        optional_kinds=optional_kinds,
        undecided_kinds=dependencies.optional_kinds.undecided,
        pod_monitor_labels=dependencies.pod_monitor_labels,
        conflicting=conflicting,
        endpoint=endpoint,
        route_problem=route_problem,
        created=metadata["creationTimestamp"],
        custom_endpoints=dependencies.custom_endpoints,
        installation=dependencies.installation,
        ca_bundle=ca_bundle,
        allowed=dependencies.allowed,
        status=dict(body.get("status") or {}),
        apply_error=apply_error,
    )


def _require_listings(store: Store, needed: Iterable[Kind]) -> None:
    """Raises NotListed as long as one of the listings that have what is ours was refused, or has not ended; of kinds that are needed."""
    for kind in (*needed, POD):
        if kind.watched and not store.shelf(kind).complete:
            raise NotListed(f"list {kind.name}: not answered yet; without it, nothing is decided", RETRY_SECONDS)


def _item(ours: Mapping[Ref, Entry], kind: Kind, owner: Owner) -> Manifest | None:
    entry = ours.get(Ref(kind, owner.relay))
    return None if entry is None else entry.item


def _kept_prompts(ours: Mapping[Ref, Entry]) -> dict[str, KeptPrompt]:
    """The prompts that can be gone back to: those that are kept for it, and those that calls have."""
    items = [entry.item for one, entry in ours.items() if one.kind is CONFIG_MAP and entry.item is not None]
    in_use = {revision: prompt for item in items for revision, prompt in prompts_in_use(item)}
    return in_use | dict(one for item in items if (one := kept_prompt(item)) is not None)


def _taken(store: Store, owner: Owner, missing: Iterable[Kind]) -> Iterator[Taken]:
    """What others have by the names of objects that are still to be made, of kinds that are watched."""
    for kind in missing:
        entry = store.entry(kind, owner.relay, owner.namespace) if kind.watched else None
        if entry is not None and (one := taken(kind, owner.relay, entry.owners, entry.holder, owner.uid)) is not None:
            yield one


async def _taken_unwatched(cluster: Cluster, owner: Owner, missing: Iterable[Kind]) -> list[Taken]:
    """The same of kinds that are not watched: the API server is asked."""
    kinds = [kind for kind in missing if not kind.watched]
    found = await asyncio.gather(*(cluster.find(kind, owner.relay, owner.namespace) for kind in kinds))
    there = ((kind, item) for kind, item in zip(kinds, found, strict=True) if item is not None)
    every = (taken(kind, owner.relay, owners_of(item), holder_of(item), owner.uid) for kind, item in there)
    return [one for one in every if one is not None]


async def _prompt(references: References, metadata: Mapping[str, Any], spec: VoiceAssistSpec) -> PromptFact:
    if spec.prompt.instructions is not None:
        return PromptFact(spec.prompt.instructions, manager=writer_of(metadata, ("f:spec", "f:prompt")), cause=cause_of(metadata))
    if spec.prompt.instructions_from is None:
        return PromptFact(None, Reason.INVALID_SPEC, "give one of prompt.instructions and prompt.instructionsFrom")
    ref = spec.prompt.instructions_from.config_map_key_ref
    found = await references.text(metadata["namespace"], ref.name, ref.key)
    if found is None:
        return PromptFact(
            None,
            Reason.PROMPT_SOURCE_NOT_FOUND,
            f"ConfigMap {ref.name} (prompt.instructionsFrom) does not exist; create it with key {ref.key}",
        )
    if not found.text:
        return PromptFact(None, Reason.PROMPT_SOURCE_NOT_FOUND, f"ConfigMap {ref.name} has no text under {ref.key}; put the prompt there")
    if len(found.text) > MAX_INSTRUCTIONS:
        return PromptFact(
            None,
            Reason.PROMPT_TOO_LONG,
            f"ConfigMap {ref.name}, key {ref.key}: {len(found.text)} characters; at most {MAX_INSTRUCTIONS} are allowed",
        )
    return PromptFact(found.text, manager=found.writer, cause=found.cause or cause_of(metadata))


async def _ca_bundle(references: References, namespace: str, spec: VoiceAssistSpec) -> CaBundleFact:
    if spec.network.ca_bundle is None:
        return CaBundleFact()
    ref = spec.network.ca_bundle.config_map_key_ref
    found = await references.text(namespace, ref.name, ref.key)
    text = found.text if found is not None else ""
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
    asks, tells = (writer_of(metadata, ("f:metadata", "f:annotations", f"f:{name}")) for name in (annotation, REASON_ANNOTATION))
    reason = str((metadata.get("annotations") or {}).get(REASON_ANNOTATION, "")) if tells == asks else ""
    who = "" if asks == PLUGIN_MANAGER and reason else asks
    return ": ".join(part for part in (who, reason) if part)[:200]


async def _pods(dependencies: Dependencies, owner: Owner, endpoint: EndpointFact | None, others: Others | None) -> tuple[PodFact, ...]:
    there = dependencies.store.of(owner.namespace, label_value(owner.name)).items()
    owned = sorted(
        (entry.item for one, entry in there if one.kind is POD and entry.item is not None and _selected(entry.item, owner)),
        key=lambda pod: str(pod["metadata"]["name"]),
    )
    asked = [(pod["metadata"]["name"], pod["status"].get("podIP") or "") for pod in owned]
    answers = await dependencies.poller.ask_all(asked, report_of(endpoint), others)
    return tuple(pod_fact(pod, answers.get(pod["metadata"]["name"], RelayAnswer())) for pod in owned)


def _selected(pod: Manifest, owner: Owner) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in owner.selector.items())


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
