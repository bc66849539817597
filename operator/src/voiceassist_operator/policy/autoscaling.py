"""How many relays an object's calls need: enough for the free places or the load that `relay.autoscaling` asks for. Pure.

More are asked for at once. Fewer are so only when fewer would have done for all of `scaleDownAfter`, every relay says how many calls it
has, and nothing else is on its way; then as many at a time as have no call, or one, whose calls move to the others.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from voiceassist_crds.resource import AutoscalingSpec, RelaySpec

from .canary.progress import seconds_of
from .canary.record import Told
from .observed import Observed, PodFact, Scaling
from .rollout import DELETION_COST, current_pods

LONGEST_LOOK_SECONDS = 10.0
"""What the time between two looks counts at most: nobody knows what was between them."""
SHORT_EVERY_SECONDS = 600.0
"""How often it is told at most that more relays are needed than are allowed."""


def autoscale(seen: Observed, now: float) -> Scaling | None:
    """Returns how many relays there are to be at `now` (epoch seconds); None where `relay.replicas` says so."""
    spec = seen.owner.spec.relay.autoscaling
    if spec is None:
        return None
    before = seen.scaling or Scaling(_at_first(seen, spec))
    before = replace(before, replicas=_within(before.replicas, spec))
    calls = sum(_calls(pod) for pod in seen.pods)
    needed = _needed(calls, seen.owner.spec.relay, spec)
    short_told = before.short_told
    if needed > spec.max_replicas and (short_told is None or now - short_told >= SHORT_EVERY_SECONDS):
        short_told = now
    enough = _within(needed, spec)
    after = Scaling(max(enough, before.replicas), needed, calls, looked=now, short_told=short_told)
    if enough >= before.replicas or not all(_is_known(pod) for pod in seen.pods):
        return after
    lasted = before.fewer_for + min(max(0.0, now - before.looked), LONGEST_LOOK_SECONDS) if before.fewer_at_most else 0.0
    at_most = max(min(before.fewer_at_most, before.replicas), enough)
    after = replace(after, fewer_for=lasted, fewer_at_most=at_most)
    idle = _idle(seen, before.replicas)
    if lasted < seconds_of(spec.scale_down_after) or at_most == before.replicas or idle is None:
        return after
    fewer = max(at_most, before.replicas - max(1, idle))
    return replace(after, replicas=fewer) if fewer > at_most else replace(after, replicas=fewer, fewer_for=0.0, fewer_at_most=0)


def held(seen: Observed) -> Scaling | None:
    """Returns what was decided last, for an object of which nothing is decided now; the time in which fewer were enough begins anew."""
    spec = seen.owner.spec.relay.autoscaling
    if spec is None:
        return None
    before = seen.scaling or Scaling(_within(_at_first(seen, spec), spec))
    return replace(before, fewer_for=0.0, fewer_at_most=0)


def scale_news(before: Scaling | None, after: Scaling | None, relay: RelaySpec) -> list[Told]:
    """Returns what is told: each change, and from time to time that more are needed than are allowed."""
    if after is None or relay.autoscaling is None:
        return []
    told = []
    if before is not None and before.replicas != after.replicas:
        reason = "ScaledUp" if after.replicas > before.replicas else "ScaledDown"
        places = after.replicas * relay.max_calls_per_pod
        told.append(Told(reason, f"from {before.replicas} to {after.replicas} relays: {after.calls} calls, {places} places"))
    if after.short_told is not None and after.short_told != (before and before.short_told):
        most = relay.autoscaling.max_replicas
        text = (
            f"{after.calls} calls need {after.needed} relays, and relay.autoscaling.maxReplicas is {most}; raise it, or calls are refused"
        )
        told.append(Told("MoreRelaysNeeded", text, warning=True))
    return told


def _at_first(seen: Observed, spec: AutoscalingSpec) -> int:
    """What there is already: as an operator before this one decided, or as somebody asked before the object had autoscaling."""
    recorded = (seen.status.get("relay") or {}).get("desiredReplicas")
    there = spec.min_replicas if seen.deployment is None else seen.deployment.replicas
    return max(recorded, there) if isinstance(recorded, int) else there


def _within(replicas: int, spec: AutoscalingSpec) -> int:
    return max(spec.min_replicas, min(replicas, spec.max_replicas))


def _calls(pod: PodFact) -> int:
    """A call that is being moved counts where it goes."""
    if pod.status is None:
        return 0
    return max(0, pod.status.active_calls - pod.status.moving_calls) if pod.terminating else pod.status.active_calls


def _needed(calls: int, relay: RelaySpec, spec: AutoscalingSpec) -> int:
    places = relay.max_calls_per_pod
    if spec.target_calls_per_pod is not None:
        return ceil(calls / spec.target_calls_per_pod)
    if spec.buffer is not None and spec.buffer.calls is not None:
        return ceil((calls + spec.buffer.calls) / places)
    percent = spec.buffer.percent if spec.buffer is not None and spec.buffer.percent is not None else 0
    return ceil(calls * 100 / (places * (100 - percent)))


def _has_not_run(pod: PodFact) -> bool:
    """Whether it fits no node, has no image, or crashes: it has no calls, and a ReplicaSet takes it away before all others."""
    return not pod.ready and pod.status is None and bool(not pod.ip or pod.waiting_reason or pod.unschedulable)


def _is_known(pod: PodFact) -> bool:
    """Whether it says now how many calls it has. What has ended, or has not begun, has none."""
    if pod.status is None:
        return (pod.terminating and not pod.unreadable) or _has_not_run(pod)
    return not pod.late and not pod.unreadable


def _idle(seen: Observed, replicas: int) -> int | None:
    """How many of the relays have no call, those that are missing among them; None while it would not be those that go.

    A ReplicaSet takes away first what is not ready (also a relay that is full), then what costs least by its annotation.
    """
    current = [pod for pod in current_pods(seen) if not _has_not_run(pod)]
    if len(current_pods(seen)) > replicas or any(pod.terminating and pod.status is not None for pod in seen.pods):
        return None
    idle = replicas - len(current)
    for pod in current:
        if not pod.ready or pod.status is None or (pod.annotations.get(DELETION_COST) == "0") != (pod.status.active_calls == 0):
            return None
        idle += not pod.status.active_calls
    return idle
