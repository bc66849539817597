"""Conditions: the truth about a VoiceAssist, from what was observed. Pure: each is a chain of checks, and the first that has something to
say decides; the summaries (Ready, Progressing, Degraded) are chains over the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from voiceassist_crds.config import OverBudget, RelayConfig
from voiceassist_crds.reasons import ConditionType, Reason
from voiceassist_crds.status import PeerReason

from ..kubernetes.kinds import BACKEND_CONFIG, HTTP_ROUTE, Kind
from .canary.progress import Progress
from .condition import Blocker, Check, Condition, Verdict, first, known_condition
from .endpoint_answers import ENDPOINT_REASONS
from .observed import Endpoint, Observed, PodFact
from .peers import connected_verdict, peer_verdict
from .resources.metadata import RETRY_ANNOTATION
from .rollout import behind, current_pods
from .spending import bounds, is_limited, known_calls, silent_on_spending, uncounted
from .twilio_conditions import twilio_conditions


@dataclass(frozen=True, slots=True)
class State:
    """What the checks look at."""

    seen: Observed
    config: RelayConfig | None = None
    """The configuration in force; None where there is no valid one."""
    progress: Progress | None = None
    """Where the prompt's roll-out is."""
    blockers: Sequence[Blocker] = ()
    others: Mapping[ConditionType, Condition] = field(default_factory=dict)
    """For the summaries: the conditions that they sum up."""

    @property
    def ready_pods(self) -> int:
        """Pods that are there to stay and are ready."""
        return sum(pod.ready for pod in current_pods(self.seen))

    @property
    def wanted_pods(self) -> int:
        """Pods that the object asks for."""
        return self.seen.owner.spec.relay.replicas if self.seen.scaling is None else self.seen.scaling.replicas


# What keeps pods from starting


def _image_cannot_be_pulled(pod: PodFact) -> Verdict | None:
    if pod.waiting_reason not in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}:
        return None
    text = f"pod {pod.name}: {pod.waiting_reason}: {pod.waiting_message or 'no image'}; check relay.image and imagePullSecrets"
    return Verdict(False, Reason.IMAGE_PULL_FAILED, text)


def _container_crashes(pod: PodFact) -> Verdict | None:
    if pod.waiting_reason not in {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError"}:
        return None
    text = f"pod {pod.name}: {pod.waiting_reason} after {pod.restarts} restarts; see kubectl logs --previous {pod.name}"
    return Verdict(False, Reason.RELAYS_CRASHING, text)


def _fits_no_node(pod: PodFact) -> Verdict | None:
    if not pod.unschedulable:
        return None
    return Verdict(False, Reason.UNSCHEDULABLE, f"pod {pod.name} fits no node: {pod.unschedulable}")


POD_PROBLEMS: tuple[Check[PodFact], ...] = (_image_cannot_be_pulled, _container_crashes, _fits_no_node)


def start_problem(seen: Observed) -> Verdict | None:
    """Returns why pods cannot start: the first pod with a problem, else what the Deployment says; None where they only take their time."""
    for pod in current_pods(seen):
        for check in POD_PROBLEMS:
            if (verdict := check(pod)) is not None:
                return verdict
    if seen.deployment is not None and seen.deployment.failure:
        return Verdict(False, Reason.APPLY_FAILED, f"the Deployment cannot make its pods: {seen.deployment.failure}")
    return None


# RelayAvailable


def _some_are_ready(state: State) -> Verdict | None:
    ready, wanted = state.ready_pods, state.wanted_pods
    if not ready:
        return None
    if (problem := start_problem(state.seen)) is not None:
        return Verdict(True, Reason.RELAYS_AVAILABLE, f"{ready} of {wanted} relay pods are ready, but {problem.message}")
    return Verdict(True, Reason.RELAYS_AVAILABLE, "" if ready >= wanted else f"{ready} of {wanted} relay pods are ready")


def _none_are_asked_for(state: State) -> Verdict | None:
    if state.wanted_pods:
        return None
    return Verdict(False, Reason.NO_RELAYS, "relay.replicas is 0; scale it up to take calls")


def _pods_cannot_start(state: State) -> Verdict | None:
    return start_problem(state.seen)


def _pods_are_starting(_: State) -> Verdict:
    return Verdict(False, Reason.RELAYS_STARTING, "no relay pod is ready yet")


# ModelReachable

_MODEL_REASONS = {
    PeerReason.REFUSED: Reason.MODEL_REFUSED,
    PeerReason.QUOTA: Reason.MODEL_QUOTA,
    PeerReason.MISCONFIGURED: Reason.MODEL_MISCONFIGURED,
    PeerReason.AUDIO_FORMAT: Reason.AUDIO_FORMAT,
}


def _relays_reach_the_model(state: State) -> Verdict:
    verdict = peer_verdict(state.seen, "model", Reason.MODEL_OK, Reason.MODEL_UNREACHABLE, _MODEL_REASONS)
    families = {pod.status.model_family for pod in current_pods(state.seen) if pod.status is not None and pod.status.model_family}
    if verdict.status is not True:
        return verdict
    trials = sorted((pod.name, pod.status.model_trial) for pod in current_pods(state.seen) if pod.status is not None)
    trial = next((told for _, told in trials if told), "")
    told = [f"family {', '.join(sorted(families))}"] if families else []
    return verdict._replace(message="; ".join([*told, trial] if trial else told))


# RelaysConnected


def _relays_reach_each_other(state: State) -> Verdict:
    return connected_verdict(state.seen)


# WithinLimits


def _budget_is_spent(state: State) -> Verdict | None:
    budget, over = state.seen.owner.spec.limits.budget, [one for one in bounds(state.seen) if one.spent >= one.most]
    if budget is None or not over:
        return None
    unit = "by limits.budget.prices" if budget.prices else "tokens"
    one = over[-1]  # the month's lasts longer
    ends = "00:00 UTC" if one.field == "perDay" else "the next month begins (00:00 UTC)"
    text = (
        f"the budget of {one.span} (UTC), {one.most:.15g} {unit}, is spent: {_DONE[budget.action]}; raise limits.budget.{one.field}, "
        f"or wait until {ends}"
    )
    return Verdict(False, Reason.BUDGET_SPENT, text)


_DONE = {
    OverBudget.WARN: "action Warn, so that calls go on as before",
    OverBudget.DRAFTS_OFF: "action DraftsOff, so that agents get finished suggestions only",
    OverBudget.STOP: "action Stop, so that the model is asked for nothing, and calls go on without suggestions",
}


def _calls_are_as_many_as_may_be(state: State) -> Verdict | None:
    most = state.seen.owner.spec.limits.max_calls
    if most is None or known_calls(state.seen) < most:
        return None
    return Verdict(False, Reason.CALL_LIMIT_REACHED, f"{most} calls are assisted; further starts are refused; raise limits.maxCalls")


def _some_do_not_answer(state: State) -> Verdict | None:
    """What they had or spent last stood for as long as an answer does."""
    silent = uncounted(state.seen)
    if not silent:
        return None
    text = f"{len(silent)} of {len(state.seen.pods)} relays do not say how many calls they have, nor what they spend ({silent[0]})"
    return Verdict(None, Reason.UNKNOWN, text)


def _some_do_not_say_what_they_spend(state: State) -> Verdict | None:
    silent = silent_on_spending(state.seen) if state.seen.owner.spec.limits.budget is not None else []
    if not silent:
        return None
    text = (
        f"{len(silent)} of {len(current_pods(state.seen))} relays do not say what they spend ({silent[0]}): an older version, or a budget"
    )
    return Verdict(None, Reason.UNKNOWN, f"{text} that is still on its way to them")


def _some_spending_is_not_known(state: State) -> Verdict | None:
    untold = max((one.untold for one in bounds(state.seen)), default=0)
    if not untold:
        return None
    text = f"the model's server did not tell what {untold} responses took, and no other response is known to go by"
    return Verdict(None, Reason.UNKNOWN, text)


def _all_limits_hold(_: State) -> Verdict:
    return Verdict(True, Reason.WITHIN_LIMITS)


WITHIN_LIMITS: tuple[Check[State], ...] = (
    _budget_is_spent,
    _calls_are_as_many_as_may_be,
    _some_do_not_answer,
    _some_do_not_say_what_they_spend,
    _some_spending_is_not_known,
    _all_limits_hold,
)


# EndpointReachable


def _endpoint_was_not_dialled(state: State) -> Verdict | None:
    """An operator that has just begun to lead has not dialled yet; what the one before it found stands until then."""
    if state.seen.endpoint is not None:
        return None
    known = known_condition(state.seen.status, ConditionType.ENDPOINT_REACHABLE)
    return known._replace(generation=None) if known else Verdict(None, Reason.UNKNOWN, "the public address was not tried yet")


def _endpoint_as_dialled(state: State) -> Verdict | None:
    endpoint = state.seen.endpoint
    if endpoint is None:
        return None
    if endpoint.result is Endpoint.OK:
        return Verdict(True, ENDPOINT_REASONS[endpoint.result])
    if endpoint.result is Endpoint.UNTRIED:
        return Verdict(None, Reason.UNKNOWN, endpoint.message)
    told = [endpoint.message, state.seen.route_problem]
    return Verdict(False, ENDPOINT_REASONS[endpoint.result], "; ".join(part for part in told if part))


# PromptRolledOut


def _there_is_no_configuration(state: State) -> Verdict | None:
    if state.config is not None:
        return None
    return Verdict(False, Reason.NOT_READY, "there is no valid configuration to roll out")


def _there_is_no_pod(state: State) -> Verdict | None:
    return None if current_pods(state.seen) else Verdict(False, Reason.NO_RELAYS, "there is no relay pod")


def _configuration_is_refused(state: State) -> Verdict | None:
    for pod in current_pods(state.seen):
        if pod.status is not None and pod.status.config_error:
            return Verdict(False, Reason.CONFIG_REFUSED, f"pod {pod.name} refused the configuration: {pod.status.config_error}")
    return None


def _status_cannot_be_read(state: State) -> Verdict | None:
    pods = current_pods(state.seen)
    strange = [pod for pod in pods if pod.status is None and pod.unreadable]
    if not strange:
        return None
    text = (
        f"{len(strange)} of {len(pods)} relays answer /status, but not in a form that this operator can read ({strange[0].name}): "
        "they may be of a version that differs by more than one; see docs/upgrading.md"
    )
    return Verdict(False, Reason.STATUS_UNREADABLE, text)


def _canary_was_rejected(state: State) -> Verdict | None:
    progress = state.progress
    if progress is None or not progress.rejected:
        return None
    text = (
        f"prompt {progress.rejected} is withdrawn and {progress.stable} in force for all calls: {progress.rejected_for}. "
        f"Change the prompt, or annotate {RETRY_ANNOTATION}={progress.rejected} to try it again"
    )
    return Verdict(False, Reason.CANARY_REJECTED, text)


def _canary_is_tried(state: State) -> Verdict | None:
    progress = state.progress
    if progress is None or not progress.canary or (state.config is not None and behind(state.seen, state.config)):
        return None
    text = (
        f"prompt {progress.canary} gets {progress.weight} % of new calls (step {progress.step + 1} of {progress.steps}), {progress.stable} "
        f"the others; it waits for {progress.waits_for}"
    )
    return Verdict(False, Reason.CANARY_PROGRESSING, text)


def _pods_as_they_report(state: State) -> Verdict | None:
    if state.config is None:
        return None
    pods, late = current_pods(state.seen), behind(state.seen, state.config)
    if not late:
        return Verdict(True, Reason.ROLLED_OUT, f"prompt {state.config.prompts[0].revision} is at all {len(pods)} relays")
    silent = all(pod.status is None for pod in late)
    reason = Reason.PODS_NOT_REPORTING if silent and any(pod.ready for pod in pods) else Reason.ROLLING_OUT
    names = ", ".join(pod.name for pod in late[:3])
    return Verdict(False, reason, f"{len(late)} of {len(pods)} relays do not report {state.config.config_revision} yet: {names}")


CHAINS: Mapping[ConditionType, tuple[Check[State], ...]] = {
    ConditionType.RELAY_AVAILABLE: (_some_are_ready, _none_are_asked_for, _pods_cannot_start, _pods_are_starting),
    ConditionType.MODEL_REACHABLE: (_relays_reach_the_model,),
    ConditionType.RELAYS_CONNECTED: (_relays_reach_each_other,),
    ConditionType.ENDPOINT_REACHABLE: (_endpoint_was_not_dialled, _endpoint_as_dialled),
    ConditionType.PROMPT_ROLLED_OUT: (
        _there_is_no_configuration,
        _there_is_no_pod,
        _configuration_is_refused,
        _status_cannot_be_read,
        _canary_was_rejected,
        _canary_is_tried,
        _pods_as_they_report,
    ),
}

# Ready: what keeps agents from being helped comes first, with its own reason and way out

_COUNTED = (
    ConditionType.RELAY_AVAILABLE,
    ConditionType.SYNC_CONFIGURED,
    ConditionType.MODEL_REACHABLE,
    ConditionType.ENDPOINT_REACHABLE,
    ConditionType.FUNCTIONS_CONFIGURED,
)

_NOTED = (ConditionType.RELAY_AVAILABLE, ConditionType.RELAYS_CONNECTED)
"""What Ready tells of, though it is so all the same."""


def _something_is_missing(state: State) -> Verdict | None:
    if not state.blockers:
        return None
    return Verdict(False, state.blockers[0].reason, "; ".join(blocker.message for blocker in state.blockers))


def _cluster_refuses_objects(state: State) -> Verdict | None:
    return Verdict(False, Reason.APPLY_FAILED, state.seen.apply_error) if state.seen.apply_error else None


def _cluster_lacks_a_kind(state: State) -> Verdict | None:
    """A PodMonitor is made where the cluster has the kind; these were asked for by name."""
    spec, known = state.seen.owner.spec, state.seen.optional_kinds | state.seen.undecided_kinds
    if spec.http_route is not None and HTTP_ROUTE not in known:
        return _kind_not_installed("spec.httpRoute", HTTP_ROUTE, "install the Gateway API's kinds (standard channel, 1.2 or newer)")
    if spec.ingress.flavour == "GKE" and BACKEND_CONFIG not in known:
        return _kind_not_installed("ingress.flavour GKE", BACKEND_CONFIG, "GKE has it by itself: set Common elsewhere")
    return None


def _kind_not_installed(field: str, kind: Kind, what: str) -> Verdict:
    text = f"{field} needs the kind {kind.name} ({kind.api_version}), which this cluster does not have or the operator may not list; {what}"
    return Verdict(False, Reason.KIND_NOT_INSTALLED, text)


def _a_part_is_not_well(state: State) -> Verdict | None:
    for kind in _COUNTED:
        part = state.others[kind]
        if part.status is not True:
            return Verdict(False, part.reason if part.status is False else Reason.NOT_READY, part.message, _generation(state))
    return None


def _the_model_is_asked_for_nothing(state: State) -> Verdict | None:
    limits, budget = state.others.get(ConditionType.WITHIN_LIMITS), state.seen.owner.spec.limits.budget
    if limits is None or limits.reason is not Reason.BUDGET_SPENT or budget is None or budget.action is not OverBudget.STOP:
        return None
    return Verdict(False, limits.reason, limits.message)


def _agents_are_helped(state: State) -> Verdict:
    notes = "; ".join(filter(None, (state.others[kind].message for kind in _NOTED)))
    return Verdict(True, Reason.READY, notes or "agents are being helped", _generation(state))


def _generation(state: State) -> int | None:
    """The oldest generation that a counted part is about."""
    return min((one.generation for kind, one in state.others.items() if kind in _COUNTED and one.generation is not None), default=None)


READY: tuple[Check[State], ...] = (
    _something_is_missing,
    _cluster_refuses_objects,
    _cluster_lacks_a_kind,
    _a_part_is_not_well,
    _the_model_is_asked_for_nothing,
    _agents_are_helped,
)

# Progressing


def _is_paused(state: State) -> Verdict | None:
    return Verdict(False, Reason.PAUSED, "spec.paused is true: nothing is written") if state.seen.owner.spec.paused else None


def _waits_for_what_is_missing(state: State) -> Verdict | None:
    return Verdict(False, state.blockers[0].reason, "waiting for what is missing") if state.blockers else None


def _prompt_is_rolling_out(state: State) -> Verdict | None:
    rolled = state.others[ConditionType.PROMPT_ROLLED_OUT]
    if rolled.reason is Reason.CANARY_PROGRESSING:  # whose figures change with each turn
        return Verdict(True, Reason.RECONCILING, "a canary of the prompt is tried: PromptRolledOut says how far it is")
    return None if rolled.status is True or rolled.reason is Reason.CANARY_REJECTED else Verdict(True, Reason.RECONCILING, rolled.message)


def _pods_are_being_replaced(state: State) -> Verdict | None:
    deployment = state.seen.deployment
    if deployment is not None and deployment.observed and deployment.updated == deployment.total == deployment.replicas:
        return None
    return Verdict(True, Reason.RECONCILING, "relay pods are being replaced")


def _all_is_as_described(_: State) -> Verdict:
    return Verdict(False, Reason.RECONCILED, "everything is as described")


PROGRESSING: tuple[Check[State], ...] = (
    _is_paused,
    _waits_for_what_is_missing,
    _prompt_is_rolling_out,
    _pods_are_being_replaced,
    _all_is_as_described,
)

# Degraded


def _new_pods_cannot_start(state: State) -> Verdict | None:
    """The old pods serve while a new one cannot start."""
    problem = start_problem(state.seen) if state.ready_pods else None
    if problem is None:
        return None
    return Verdict(True, problem.reason, f"{state.ready_pods} of {state.wanted_pods} relay pods are ready, but {problem.message}")


def _pods_are_fewer_than_asked_for(state: State) -> Verdict | None:
    if not 0 < state.ready_pods < state.wanted_pods:
        return None
    return Verdict(True, Reason.RELAYS_STARTING, f"{state.ready_pods} of {state.wanted_pods} relay pods are ready")


def _plugin_may_not_find_the_functions(state: State) -> Verdict | None:
    flex = state.others[ConditionType.FLEX_CONFIGURED]
    if flex.status is not False or flex.reason is Reason.NOT_CONFIGURED:
        return None
    return Verdict(True, flex.reason, f"the plugin may not find the functions: {flex.message}")


def _relays_are_cut_off(state: State) -> Verdict | None:
    connected = state.others[ConditionType.RELAYS_CONNECTED]
    return Verdict(True, connected.reason, connected.message) if connected.status is False else None


def _agents_get_no_drafts(state: State) -> Verdict | None:
    limits, budget = state.others.get(ConditionType.WITHIN_LIMITS), state.seen.owner.spec.limits.budget
    if limits is None or limits.reason is not Reason.BUDGET_SPENT or budget is None or budget.action is OverBudget.WARN:
        return None
    return Verdict(True, limits.reason, limits.message)


def _agents_are_not_heard(state: State) -> Verdict | None:
    """Suggestions go on without the agent's words."""
    for pod in current_pods(state.seen):
        if pod.status is not None and pod.status.agent_track is not None and not pod.status.agent_track.ok:
            return Verdict(True, Reason.AGENT_TRACK_LOST, f"{pod.name}: {pod.status.agent_track.message}")
    return None


def _a_model_is_about_to_end(state: State) -> Verdict | None:
    told = next((pod.status.retiring for pod in current_pods(state.seen) if pod.status is not None and pod.status.retiring), None)
    return Verdict(True, Reason.MODEL_RETIRING, "; ".join(told)) if told else None


def _nothing_is_degraded(state: State) -> Verdict:
    return Verdict(False, Reason.RECONCILED if state.others[ConditionType.READY].status else Reason.NOT_READY)


DEGRADED: tuple[Check[State], ...] = (
    _new_pods_cannot_start,
    _pods_are_fewer_than_asked_for,
    _relays_are_cut_off,
    _plugin_may_not_find_the_functions,
    _agents_get_no_drafts,
    _agents_are_not_heard,
    _a_model_is_about_to_end,
    _nothing_is_degraded,
)

_ORDER = (
    ConditionType.READY,
    ConditionType.RELAY_AVAILABLE,
    ConditionType.SYNC_CONFIGURED,
    ConditionType.MODEL_REACHABLE,
    ConditionType.ENDPOINT_REACHABLE,
    ConditionType.PROMPT_ROLLED_OUT,
    ConditionType.RELAYS_CONNECTED,
    ConditionType.FUNCTIONS_CONFIGURED,
    ConditionType.FLEX_CONFIGURED,
    ConditionType.WITHIN_LIMITS,
    ConditionType.PROGRESSING,
    ConditionType.DEGRADED,
)
"""In the status."""


def conditions(seen: Observed, config: RelayConfig | None, progress: Progress | None, blockers: Sequence[Blocker]) -> list[Condition]:
    """Returns all conditions, as they are ordered in the status. WithinLimits is there only where something is limited."""
    state = State(seen, config, progress, blockers)
    found = {kind: Condition(kind, *first(checks, state)) for kind, checks in CHAINS.items()} | twilio_conditions(seen)
    if is_limited(seen):
        found[ConditionType.WITHIN_LIMITS] = Condition(ConditionType.WITHIN_LIMITS, *first(WITHIN_LIMITS, state))
    summaries = ((ConditionType.READY, READY), (ConditionType.PROGRESSING, PROGRESSING), (ConditionType.DEGRADED, DEGRADED))
    for kind, checks in summaries:
        found[kind] = Condition(kind, *first(checks, replace(state, others=dict(found))))
    return [found[kind] for kind in _ORDER if kind in found]
