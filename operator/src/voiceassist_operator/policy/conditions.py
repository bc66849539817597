"""Conditions: the truth about a VoiceAssist, from what was observed. Pure; one function for each type, then how they merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.reasons import ConditionType, Reason
from voiceassist_crds.status import PeerReason, PeerStatus

from .condition import Blocker, Condition, known_condition
from .observed import Endpoint, Observed, PodFact
from .twilio_conditions import flex_condition, functions_condition, sync_blocker, sync_condition

CREDENTIALS = frozenset({"authToken", "apiKeySid", "apiKeySecret"})
"""Keys of the Secret of Twilio's credentials."""


def blockers(seen: Observed) -> list[Blocker]:
    """What keeps the relays from being deployed; empty when nothing does."""
    spec, found = seen.owner.spec, []
    if seen.rival:
        text = (
            f"VoiceAssist {seen.rival} has host {spec.host} and path prefix {spec.path_prefix or '(none)'} already; change one of the two"
        )
        found.append(Blocker(Reason.HOST_CONFLICT, text))
    if spec.twilio.api_url and not seen.custom_endpoints:
        text = "twilio.apiUrl needs an operator with --allow-custom-endpoints; remove it, or start the operator so"
        found.append(Blocker(Reason.CUSTOM_ENDPOINTS_NOT_ALLOWED, text))
    model = spec.model.api_key_secret_ref
    for secret, needed, where in (
        (seen.credentials, CREDENTIALS, "twilio.credentialsSecretRef"),
        (seen.model_key, frozenset({model.key}), "model.apiKeySecretRef"),
    ):
        if not secret.found:
            keys = ", ".join(sorted(needed))
            text = f"Secret {secret.name} ({where}) does not exist; create it with {'keys' if len(needed) > 1 else 'key'} {keys}"
            found.append(Blocker(Reason.SECRET_NOT_FOUND, text))
        elif missing := sorted(needed - secret.keys):
            text = f"Secret {secret.name} ({where}) lacks {', '.join(missing)}; add what is missing, and nothing needs a restart"
            found.append(Blocker(Reason.SECRET_INCOMPLETE, text))
    if seen.prompt.instructions is None:
        found.append(Blocker(seen.prompt.reason or Reason.PROMPT_SOURCE_NOT_FOUND, seen.prompt.message))
    if (blocker := sync_blocker(seen)) is not None:
        found.append(blocker)
    return found


def current_pods(seen: Observed) -> list[PodFact]:
    """Pods that are there to stay: draining ones keep what they have and are not counted."""
    return [pod for pod in seen.pods if not pod.terminating]


def sync_configured(seen: Observed) -> Condition:
    """Whether the Sync service is as it should be, and the relays can write to it."""
    return sync_condition(seen, _peer(ConditionType.SYNC_CONFIGURED, seen, "sync", Reason.SYNC_OK, _SYNC_REASONS))


def model_reachable(seen: Observed) -> Condition:
    """Whether the model takes the relays' key and settings."""
    return _peer(ConditionType.MODEL_REACHABLE, seen, "model", Reason.MODEL_OK, _MODEL_REASONS)


_SYNC_REASONS = {
    PeerReason.REFUSED: Reason.SYNC_REFUSED,
    PeerReason.MISCONFIGURED: Reason.SYNC_NOT_FOUND,
}
_MODEL_REASONS = {
    PeerReason.REFUSED: Reason.MODEL_REFUSED,
    PeerReason.QUOTA: Reason.MODEL_QUOTA,
    PeerReason.MISCONFIGURED: Reason.MODEL_MISCONFIGURED,
}


def _peer(kind: ConditionType, seen: Observed, peer: str, good: Reason, reasons: Mapping[PeerReason, Reason]) -> Condition:
    told: list[tuple[str, PeerStatus]] = [(pod.name, getattr(pod.status, peer)) for pod in current_pods(seen) if pod.status is not None]
    bad = [(name, status) for name, status in told if not status.ok and status.reason is not PeerReason.UNKNOWN]
    if bad:
        name, status = bad[0]
        reason = reasons.get(
            status.reason or PeerReason.UNREACHABLE, Reason.SYNC_UNREACHABLE if peer == "sync" else Reason.MODEL_UNREACHABLE
        )
        return Condition(kind, False, reason, f"{len(bad)} of {len(told)} relays report it ({name}): {status.message}")
    if not any(status.ok for _, status in told):
        return Condition(kind, None, Reason.UNKNOWN, "no relay has reported yet")
    return Condition(kind, True, good, "")


def relay_available(seen: Observed) -> Condition:
    """Whether relay pods are ready."""
    kind, wanted = ConditionType.RELAY_AVAILABLE, seen.owner.spec.relay.replicas
    ready = sum(pod.ready for pod in current_pods(seen))
    if ready:
        reason, why = _why_not_ready(seen)
        if reason is not Reason.RELAYS_STARTING:
            return Condition(kind, True, Reason.RELAYS_AVAILABLE, f"{ready} of {wanted} relay pods are ready, but {why}")
        note = "" if ready >= wanted else f"{ready} of {wanted} relay pods are ready"
        return Condition(kind, True, Reason.RELAYS_AVAILABLE, note)
    if wanted == 0:
        return Condition(kind, False, Reason.NO_RELAYS, "relay.replicas is 0; scale it up to take calls")
    return Condition(kind, False, *_why_not_ready(seen))


def _why_not_ready(seen: Observed) -> tuple[Reason, str]:
    for pod in current_pods(seen):
        if pod.waiting_reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}:
            text = f"pod {pod.name}: {pod.waiting_reason}: {pod.waiting_message or 'no image'}; check relay.image and imagePullSecrets"
            return Reason.IMAGE_PULL_FAILED, text
        if pod.waiting_reason in {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError"}:
            text = f"pod {pod.name}: {pod.waiting_reason} after {pod.restarts} restarts; see kubectl logs --previous {pod.name}"
            return Reason.RELAYS_CRASHING, text
        if pod.unschedulable:
            return Reason.UNSCHEDULABLE, f"pod {pod.name} fits no node: {pod.unschedulable}"
    if seen.deployment is not None and seen.deployment.failure:
        return Reason.APPLY_FAILED, f"the Deployment cannot make its pods: {seen.deployment.failure}"
    return Reason.RELAYS_STARTING, "no relay pod is ready yet"


_ENDPOINT = {
    Endpoint.DNS: Reason.DNS_FAILED,
    Endpoint.CERTIFICATE: Reason.CERTIFICATE_INVALID,
    Endpoint.CONNECTION: Reason.CONNECTION_FAILED,
    Endpoint.PATH: Reason.PATH_NOT_ROUTED,
}


def endpoint_reachable(seen: Observed) -> Condition:
    """Whether the public address leads to our relays."""
    kind = ConditionType.ENDPOINT_REACHABLE
    if seen.endpoint is None:
        # An operator that has just begun to lead has not dialled yet; what its forerunner found stands until then.
        if (known := known_condition(seen.status, kind)) is not None:
            return replace(known, generation=None)
        return Condition(kind, None, Reason.UNKNOWN, "the public address was not tried yet")
    if seen.endpoint.result is Endpoint.OK:
        return Condition(kind, True, Reason.ENDPOINT_OK, "")
    return Condition(kind, False, _ENDPOINT[seen.endpoint.result], seen.endpoint.message)


def behind(seen: Observed, config: RelayConfig) -> list[PodFact]:
    """Pods that are there to stay and do not report this configuration."""
    return [pod for pod in current_pods(seen) if pod.status is None or pod.status.config_revision != config.config_revision]


def prompt_rolled_out(seen: Observed, config: RelayConfig | None) -> Condition:
    """Whether every pod that is there to stay reports the configuration in force."""
    kind = ConditionType.PROMPT_ROLLED_OUT
    pods = current_pods(seen)
    if config is None:
        return Condition(kind, False, Reason.NOT_READY, "there is no valid configuration to roll out")
    if not pods:
        return Condition(kind, False, Reason.NO_RELAYS, "there is no relay pod")
    refused = [pod for pod in pods if pod.status is not None and pod.status.config_error]
    if refused:
        text = f"pod {refused[0].name} refused the configuration: {refused[0].status.config_error if refused[0].status else ''}"
        return Condition(kind, False, Reason.CONFIG_REFUSED, text)
    late = behind(seen, config)
    if not late:
        return Condition(kind, True, Reason.ROLLED_OUT, f"prompt {config.prompts[0].revision} is at all {len(pods)} relays")
    silent = all(pod.status is None for pod in late)
    reason = Reason.PODS_NOT_REPORTING if silent and any(pod.ready for pod in pods) else Reason.ROLLING_OUT
    names = ", ".join(pod.name for pod in late[:3])
    return Condition(kind, False, reason, f"{len(late)} of {len(pods)} relays do not report {config.config_revision} yet: {names}")


def conditions(seen: Observed, config: RelayConfig | None, stopping: Sequence[Blocker]) -> list[Condition]:
    """All conditions. Ready sums up: what keeps agents from being helped comes first, with its own reason and way out."""
    parts = [
        relay_available(seen),
        sync_configured(seen),
        model_reachable(seen),
        endpoint_reachable(seen),
        prompt_rolled_out(seen, config),
    ]
    parts += [functions_condition(seen), flex_condition(seen)]
    summary = _ready(seen, parts, stopping)
    return [summary, *parts, _progressing(seen, parts, stopping), _degraded(seen, summary, parts)]


_COUNTED = (
    ConditionType.RELAY_AVAILABLE,
    ConditionType.SYNC_CONFIGURED,
    ConditionType.MODEL_REACHABLE,
    ConditionType.ENDPOINT_REACHABLE,
    ConditionType.FUNCTIONS_CONFIGURED,
)


def _ready(seen: Observed, parts: Sequence[Condition], stopping: Sequence[Blocker]) -> Condition:
    kind = ConditionType.READY
    if stopping:
        return Condition(kind, False, stopping[0].reason, "; ".join(blocker.message for blocker in stopping))
    if seen.trouble:
        return Condition(kind, False, Reason.APPLY_FAILED, seen.trouble)
    by_type = {part.type: part for part in parts}
    about = min((part.generation for kind, part in by_type.items() if kind in _COUNTED and part.generation is not None), default=None)
    for wanted in _COUNTED:
        part = by_type[wanted]
        if part.status is not True:
            return Condition(kind, False, part.reason if part.status is False else Reason.NOT_READY, part.message, about)
    note = by_type[ConditionType.RELAY_AVAILABLE].message
    return Condition(kind, True, Reason.READY, note or "agents are being helped", about)


def _progressing(seen: Observed, parts: Sequence[Condition], stopping: Sequence[Blocker]) -> Condition:
    kind = ConditionType.PROGRESSING
    if seen.owner.spec.paused:
        return Condition(kind, False, Reason.PAUSED, "spec.paused is true: nothing is written")
    if stopping:
        return Condition(kind, False, stopping[0].reason, "waiting for what is missing")
    rolled = next(part for part in parts if part.type is ConditionType.PROMPT_ROLLED_OUT)
    deployment = seen.deployment
    settled = deployment is not None and deployment.observed and deployment.updated == deployment.total == deployment.replicas
    if rolled.status is True and settled:
        return Condition(kind, False, Reason.RECONCILED, "everything is as described")
    return Condition(kind, True, Reason.RECONCILING, rolled.message if rolled.status is not True else "relay pods are being replaced")


def _degraded(seen: Observed, summary: Condition, parts: Sequence[Condition]) -> Condition:
    kind, wanted = ConditionType.DEGRADED, seen.owner.spec.relay.replicas
    ready = sum(pod.ready for pod in current_pods(seen))
    reason, why = _why_not_ready(seen)
    if ready and reason is not Reason.RELAYS_STARTING:  # the old pods serve while a new one cannot start
        return Condition(kind, True, reason, f"{ready} of {wanted} relay pods are ready, but {why}")
    if 0 < ready < wanted:
        return Condition(kind, True, reason, f"{ready} of {wanted} relay pods are ready")
    flex = next(part for part in parts if part.type is ConditionType.FLEX_CONFIGURED)
    if flex.status is False and flex.reason is not Reason.NOT_CONFIGURED:
        return Condition(kind, True, flex.reason, f"the plugin may not find the functions: {flex.message}")
    return Condition(kind, False, Reason.RECONCILED if summary.status else Reason.NOT_READY, "")
