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
from .observed import Observed, Scaling
from .rollout import current_pods


def autoscale(seen: Observed, now: float) -> Scaling | None:
    """Returns how many relays there are to be at `now` (seconds); None where `relay.replicas` says so."""
    spec = seen.owner.spec.relay.autoscaling
    if spec is None:
        return None
    before = seen.scaling or Scaling(_at_first(seen, spec))
    before = replace(before, replicas=_within(before.replicas, spec))
    calls = sum(pod.status.active_calls for pod in seen.pods if pod.status is not None)
    needed = _needed(calls, seen.owner.spec.relay, spec)
    enough = _within(needed, spec)
    if enough >= before.replicas:
        return Scaling(enough, needed, calls)
    if not _all_are_known(seen):
        return Scaling(before.replicas, needed, calls)
    since = now if before.fewer_since is None else min(before.fewer_since, now)
    at_most = max(before.fewer_at_most, enough)
    if now - since < seconds_of(spec.scale_down_after) or not _stands(seen, before.replicas):
        return Scaling(before.replicas, needed, calls, since, at_most)
    idle = sum(pod.status is not None and not pod.status.active_calls for pod in current_pods(seen))
    fewer = max(at_most, before.replicas - max(1, idle))
    return Scaling(fewer, needed, calls, since, at_most) if fewer > at_most else Scaling(fewer, needed, calls)


def scale_news(before: Scaling | None, after: Scaling | None, relay: RelaySpec) -> list[Told]:
    """Returns what is told: each change, and once that more are needed than are allowed."""
    if after is None or relay.autoscaling is None:
        return []
    told, most = [], relay.autoscaling.max_replicas
    if before is not None and before.replicas != after.replicas:
        reason = "ScaledUp" if after.replicas > before.replicas else "ScaledDown"
        places = after.replicas * relay.max_calls_per_pod
        told.append(Told(reason, f"from {before.replicas} to {after.replicas} relays: {after.calls} calls, {places} places"))
    if after.needed > most >= (0 if before is None else before.needed):
        text = (
            f"{after.calls} calls need {after.needed} relays, and relay.autoscaling.maxReplicas is {most}; raise it, or calls are refused"
        )
        told.append(Told("MoreRelaysNeeded", text, warning=True))
    return told


def _at_first(seen: Observed, spec: AutoscalingSpec) -> int:
    """What there is already: as an operator before this one decided, or as somebody asked before the object had autoscaling."""
    recorded = (seen.status.get("relay") or {}).get("desiredReplicas")
    if isinstance(recorded, int):
        return recorded
    return spec.min_replicas if seen.deployment is None else seen.deployment.replicas


def _within(replicas: int, spec: AutoscalingSpec) -> int:
    return max(spec.min_replicas, min(replicas, spec.max_replicas))


def _needed(calls: int, relay: RelaySpec, spec: AutoscalingSpec) -> int:
    places = relay.max_calls_per_pod
    if spec.target_calls_per_pod is not None:
        return ceil(calls / spec.target_calls_per_pod)
    if spec.buffer is not None and spec.buffer.calls is not None:
        return ceil((calls + spec.buffer.calls) / places)
    percent = spec.buffer.percent if spec.buffer is not None and spec.buffer.percent is not None else 0
    return ceil(calls * 100 / (places * (100 - percent)))


def _all_are_known(seen: Observed) -> bool:
    """Whether every relay says now how many calls it has. One that is silent has as many as it had."""
    return all(pod.status is not None and not pod.late and not pod.unreadable for pod in seen.pods)


def _stands(seen: Observed, replicas: int) -> bool:
    """Whether the relays are as they were asked for: none that begins, none that ends. One that is full is unready, and well."""
    there = len(seen.pods) == len(current_pods(seen)) == replicas
    return there and all(pod.ready or (pod.status is not None and pod.status.active_calls >= pod.status.max_calls) for pod in seen.pods)
