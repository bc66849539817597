"""How many relays calls need: when more come, when fewer do, and that what is not known takes nothing away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from unit.operator.making import NOW, config, status, well
from voiceassist_operator.policy.autoscaling import autoscale, scale_news
from voiceassist_operator.policy.next_pass import LONGEST_POLL_SECONDS, LONGEST_SCALING_SECONDS, until_next_pass
from voiceassist_operator.policy.observed import Observed, PodFact, Scaling
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.policy.rollout import DELETION_COST

PLACES = 10


def seen(*calls: int | None, decided: Scaling | None = None, **autoscaling: Any) -> Observed:
    """An object whose relays have so many calls each; None: one that has said nothing yet."""
    given = {"minReplicas": 2, "maxReplicas": 30, "scaleDownAfter": "60s", **autoscaling}
    found = well(relay={"maxCallsPerPod": PLACES, "autoscaling": given})
    revision = config(found).config_revision

    def pod(number: int, live: int | None) -> PodFact:
        told = None if live is None else status(revision, active_calls=live, max_calls=PLACES)
        cost = {} if live is None else {DELETION_COST: str(live)}
        return PodFact(f"pod-{number}", f"10.0.0.{number}", ready=live not in (None, PLACES), status=told, annotations=cost)

    return replace(found, pods=tuple(pod(number, live) for number, live in enumerate(calls, 1)), scaling=decided)


def replicas(found: Observed, now: float = 1000.0) -> int:
    decided = autoscale(found, now)
    assert decided is not None
    return decided.replicas


@pytest.mark.parametrize(
    ("calls", "policy", "needed"),
    [
        ((0, 0), {"targetCallsPerPod": 6}, 2),
        ((6, 6), {"targetCallsPerPod": 6}, 2),
        ((6, 7), {"targetCallsPerPod": 6}, 3),
        ((10, 10), {"targetCallsPerPod": 1}, 20),
        ((0, 0), {"buffer": {"calls": 15}}, 2),
        ((5, 0), {"buffer": {"calls": 15}}, 2),
        ((6, 0), {"buffer": {"calls": 15}}, 3),
        ((8, 8), {"buffer": {"percent": 20}}, 2),
        ((9, 8), {"buffer": {"percent": 20}}, 3),
        ((10, 10), {"buffer": {"percent": 90}}, 20),
        ((10, 10), {"buffer": {"percent": 90}, "maxReplicas": 7}, 7),
        ((10, 10), {"buffer": {"calls": 200}, "maxReplicas": 7}, 7),
    ],
)
def test_autoscaling_gives_as_many_as_calls_need_at_once_and_within_the_bounds(
    calls: tuple[int, ...], policy: dict[str, Any], needed: int
) -> None:
    assert replicas(seen(*calls, decided=Scaling(2), **policy)) == needed


def test_autoscaling_decides_nothing_where_the_object_does_not_ask_for_it() -> None:
    assert autoscale(well(), 0.0) is None
    assert "desiredReplicas" not in make_plan(well(), NOW).status["relay"]


def test_autoscaling_begins_from_what_is_there() -> None:
    found = seen(0, 0, buffer={"calls": 1})
    assert found.deployment is not None
    assert replicas(replace(found, deployment=replace(found.deployment, replicas=9))) == 9
    assert replicas(replace(found, deployment=None)) == 2
    assert replicas(replace(found, status={"relay": {"desiredReplicas": 5}})) == 5
    assert replicas(replace(found, status={"relay": {"desiredReplicas": 1}})) == 2, "it died between Deployment and status"
    assert replicas(replace(found, status={"relay": {"desiredReplicas": 99}})) == 30


def after(found: Observed, seconds: float, decided: Scaling) -> Scaling:
    """What is decided when what is found stays so, at a look a second."""
    for second in range(round(seconds) + 1):
        told = autoscale(replace(found, scaling=decided), 1000.0 + second)
        assert told is not None
        decided = told
    return decided


def test_autoscaling_fewer_are_there_only_when_fewer_were_enough_all_the_time() -> None:
    found = seen(9, 9, 3, 0, 0, targetCallsPerPod=7)
    assert after(found, 59, Scaling(5)).replicas == 5
    assert after(found, 60, Scaling(5)).replicas == 3, "both idle ones go at once"
    held = after(found, 50, Scaling(5))
    more = autoscale(replace(seen(9, 9, 9, 8, 0, targetCallsPerPod=7), scaling=held), 1051.0)
    assert more == Scaling(5, 5, 35, looked=1051.0)
    assert after(found, 59, replace(more, looked=1000.0)).replicas == 5, "the time begins anew"


def test_autoscaling_fewer_are_as_many_as_were_needed_at_most_since_then() -> None:
    some = after(seen(9, 9, 6, 0, 0, targetCallsPerPod=7), 30, Scaling(5))
    assert after(seen(0, 0, 0, 0, 0, targetCallsPerPod=7), 60, some).replicas == 4


def test_autoscaling_where_none_is_idle_one_at_a_time_is_emptied_and_goes() -> None:
    assert after(seen(2, 1, 1, 1, 1, targetCallsPerPod=7), 60, Scaling(5)).replicas == 4


def changed(found: Observed, number: int, **changes: Any) -> Observed:
    pods = list(found.pods)
    pods[number] = replace(pods[number], **changes)
    return replace(found, pods=tuple(pods))


FIVE = seen(9, 8, 0, 0, 0, targetCallsPerPod=7)


@pytest.mark.parametrize(
    "found",
    [
        changed(FIVE, 1, late=True),
        changed(FIVE, 1, status=None),
        changed(FIVE, 2, status=None, ready=False),
        changed(FIVE, 2, status=None, unreadable=True),
        changed(FIVE, 2, terminating=True),
        changed(FIVE, 2, ready=False),
        changed(FIVE, 2, annotations={DELETION_COST: "4"}),
        changed(FIVE, 1, annotations={DELETION_COST: "0"}),
        seen(10, 8, 0, 0, 0, targetCallsPerPod=7),
        seen(9, 8, 0, 0, 0, 0, targetCallsPerPod=7),
        replace(FIVE, pods=tuple(replace(pod, status=None) for pod in FIVE.pods)),
    ],
    ids=[
        *("one is silent", "one has not answered", "one begins", "one is unreadable", "one ends", "one is unready"),
        *("an idle one bears a cost", "a busy one bears none", "a full one would go first", "one too many", "none has answered"),
    ],
)
def test_autoscaling_nothing_is_removed_while_something_is_not_known_or_on_its_way(found: Observed) -> None:
    assert after(FIVE, 61, Scaling(5)).replicas == 3
    assert after(found, 300, Scaling(5)).replicas == 5


@pytest.mark.parametrize(
    "found",
    [
        changed(FIVE, 4, status=None, ready=False, ip="", unschedulable="no node has the memory"),
        changed(FIVE, 4, status=None, ready=False, waiting_reason="CrashLoopBackOff"),
        replace(FIVE, pods=FIVE.pods[:4]),
        replace(FIVE, pods=(*FIVE.pods, replace(FIVE.pods[0], name="evicted", terminating=True, ready=False, status=None))),
    ],
    ids=["one fits no node", "one crashes", "a quota refuses one", "one was evicted"],
)
def test_autoscaling_what_never_ran_or_has_ended_keeps_no_relay(found: Observed) -> None:
    assert after(found, 61, Scaling(5)).replicas == 3


def test_autoscaling_a_call_that_is_being_moved_counts_once() -> None:
    found = seen(7, 7, 7, 7, 3, targetCallsPerPod=7)
    assert found.pods[4].status is not None
    moving = found.pods[4].status.model_copy(update={"moving_calls": 3})
    assert replicas(replace(changed(found, 4, status=moving, terminating=True), scaling=Scaling(4))) == 4


def test_autoscaling_time_in_which_nobody_looked_counts_as_one_look() -> None:
    some = after(FIVE, 50, Scaling(5))
    assert replicas(replace(FIVE, scaling=replace(some, fewer_for=40.0)), 999_999.0) == 5
    assert replicas(replace(FIVE, scaling=replace(some, fewer_for=40.0)), 0.0) == 5


def test_autoscaling_a_relay_that_falls_silent_counts_as_it_did() -> None:
    found = changed(seen(9, 9, targetCallsPerPod=7), 0, late=True)
    assert replicas(replace(found, scaling=Scaling(2))) == 3


def test_autoscaling_max_replicas_that_is_lowered_is_never_passed() -> None:
    some = Scaling(12, 9, 60, fewer_for=60.0, fewer_at_most=9, looked=999.0)
    assert replicas(seen(*[5] * 12, targetCallsPerPod=7, maxReplicas=6, decided=some)) == 6


def test_autoscaling_relay_replicas_says_so_again_where_autoscaling_is_taken_out() -> None:
    found = replace(well(relay={"replicas": 3}), scaling=Scaling(5))
    plan = make_plan(found, NOW)
    [deployment] = [one for one in plan.apply if one["kind"] == "Deployment"]
    assert (deployment["spec"]["replicas"], plan.scaling) == (3, None)
    assert "desiredReplicas" not in plan.status["relay"]


def test_autoscaling_the_time_begins_anew_where_a_relay_was_silent_meanwhile() -> None:
    decided = after(changed(FIVE, 1, late=True), 1, after(FIVE, 50, Scaling(5)))
    assert after(FIVE, 59, decided).replicas == 5


def test_autoscaling_scale_news_tells_each_change_and_once_that_more_are_needed_than_allowed() -> None:
    found = seen(10, 10, 9, targetCallsPerPod=7, maxReplicas=4)
    first, relay = autoscale(replace(found, scaling=Scaling(3)), 1000.0), found.owner.spec.relay
    assert first == Scaling(4, 5, 29, looked=1000.0, short_told=1000.0)
    told = scale_news(Scaling(3), first, relay)
    assert [(one.reason, one.text, one.warning) for one in told] == [
        ("ScaledUp", "from 3 to 4 relays: 29 calls, 40 places", False),
        ("MoreRelaysNeeded", "29 calls need 5 relays, and relay.autoscaling.maxReplicas is 4; raise it, or calls are refused", True),
    ]
    fewer = autoscale(replace(seen(10, 9, 9, targetCallsPerPod=7, maxReplicas=4), scaling=first), 1001.0)
    again = autoscale(replace(found, scaling=fewer), 1599.0)
    assert scale_news(fewer, again, relay) == []
    assert [one.reason for one in scale_news(again, autoscale(replace(found, scaling=again), 1600.0), relay)] == ["MoreRelaysNeeded"]
    assert [one.reason for one in scale_news(again, Scaling(3, 3, 20), relay)] == ["ScaledDown"]
    assert scale_news(None, Scaling(2), relay) == []


def test_autoscaling_make_plan_writes_the_number_into_the_deployment_and_the_status_says_it() -> None:
    plan = make_plan(seen(10, 10, targetCallsPerPod=5), NOW)
    [deployment] = [one for one in plan.apply if one["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 4
    assert plan.status["relay"]["desiredReplicas"] == 4
    [available] = [one for one in plan.status["conditions"] if one["type"] == "RelayAvailable"]
    assert available["status"] == "False" or "of 4" in available["message"]


def test_autoscaling_a_paused_object_is_not_scaled() -> None:
    found = seen(10, 10, targetCallsPerPod=5, decided=Scaling(2, fewer_for=40.0, fewer_at_most=2))
    plan = make_plan(replace(found, owner=replace(found.owner, spec=found.owner.spec.model_copy(update={"paused": True}))), NOW)
    assert (plan.scaling, plan.scale_news) == (Scaling(2), [])


@pytest.mark.parametrize("objects", [1, 1000])
def test_autoscaling_relays_whose_calls_decide_are_asked_often(objects: int) -> None:
    found = seen(1, 1, targetCallsPerPod=5)
    pause = until_next_pass(found, 600.0, rolling=False, apply_failed=False, steady=9, objects=objects)
    assert pause == (1.0 if objects == 1 else LONGEST_SCALING_SECONDS)
    idle = until_next_pass(seen(0, 0, targetCallsPerPod=5), 600.0, rolling=False, apply_failed=False, steady=9, objects=objects)
    assert idle == (1.0 if objects == 1 else LONGEST_POLL_SECONDS)


@dataclass
class Hall:
    """Relays whose calls come and go, played second by second: a pod takes calls `START` seconds after it was asked for."""

    START = 8
    policy: dict[str, Any]
    pods: dict[int, list[int]] = field(default_factory=dict)
    """By number, the seconds at which its calls end."""
    begun: dict[int, int] = field(default_factory=dict)
    refused: int = 0
    moved: int = 0
    stranded: int = 0
    """Calls of a relay that ends for which no other has a place."""
    most: int = 0
    decided: Scaling = Scaling(2)  # noqa: RUF009 - frozen

    def second(self, now: int, arriving: int, lasting: int) -> None:
        self.pods = {number: [end for end in ends if end > now] for number, ends in self.pods.items()}
        self._follow(now)
        for _ in range(arriving):
            ready = [number for number in self.pods if self.begun[number] + self.START <= now and len(self.pods[number]) < PLACES]
            if not ready:
                self.refused += 1
                continue
            self.pods[min(ready, key=lambda number: len(self.pods[number]))].append(now + lasting)
        counts = [len(self.pods[number]) if self.begun[number] + self.START <= now else None for number in sorted(self.pods)]
        told = autoscale(seen(*counts, decided=self.decided, **self.policy), float(now))
        assert told is not None
        self.decided = told
        self.most = max(self.most, told.replicas)

    def _follow(self, now: int) -> None:
        while len(self.pods) < self.decided.replicas:
            number = max(self.begun, default=0) + 1
            self.pods[number], self.begun[number] = [], now if now else -self.START
        while len(self.pods) > self.decided.replicas:  # as the deletion cost says: those with the fewest calls
            # a ReplicaSet takes away first what is not ready, as a full one is, then what costs least
            idlest = min(self.pods, key=lambda number: (len(self.pods[number]) < PLACES, len(self.pods[number])))
            for end in self.pods.pop(idlest):
                free = [number for number, ends in self.pods.items() if self.begun[number] + self.START <= now and len(ends) < PLACES]
                self.moved, self.stranded = self.moved + 1, self.stranded + (not free)
                if free:
                    self.pods[min(free, key=lambda number: len(self.pods[number]))].append(end)


def ramp() -> Iterator[tuple[int, int]]:
    """Arriving calls a second, of 60 s each: to 300 at once in four minutes, five minutes there, and to none; short ones beside."""
    for second in range(1200):
        level = min(second / 240, 1.0) if second < 540 else max(0.0, 1 - (second - 540) / 240)
        yield second, round(5 * level * (second + 1)) - round(5 * level * second)


@pytest.mark.parametrize("buffer", [{"calls": 60}, {"percent": 35}])
def test_autoscaling_a_ramp_to_300_calls_and_back_refuses_none_and_strands_none(buffer: dict[str, int]) -> None:
    hall = Hall({"buffer": buffer, "maxReplicas": 60})
    for second, arriving in ramp():
        hall.second(second, arriving, 60)
    assert hall.most >= 35
    assert (hall.refused, hall.decided.replicas) == (0, max(2, -(-buffer.get("calls", 0) // PLACES)))
    assert hall.stranded == 0
    assert hall.moved <= 60, "a fifth of the calls that there were at most: relays that are nearly idle are emptied"
