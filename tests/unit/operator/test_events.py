"""Events: a healthy start in a handful of Normal ones; Warnings for what somebody has to mend, or what did not pass in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unit.operator.making import TWILIO, pods
from unit.operator.making import well as made_well
from voiceassist_crds.status import PeerReason, PeerStatus
from voiceassist_operator.policy.events import Told, already_told, due_events, until_event
from voiceassist_operator.policy.observed import DeploymentFact, Endpoint, EndpointFact, Observed, SecretFact
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.twilio.model.observed import TwilioFact


def well() -> Observed:
    """All is well, and Flex is configured by hand."""
    return made_well(twilio={**TWILIO, "flex": {"configure": False}})


NOT_ROUTED = EndpointFact(Endpoint.PATH, "answered with 404")


def at(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"


def told(course: Sequence[tuple[int, Observed]], known: Told | None = None) -> list[str]:
    """The events of an object that is seen like this, one state after the other (seconds since its begin)."""
    said, status, lines = {} if known is None else known, {}, []
    for second, seen in course:
        status = make_plan(replace(seen, status=status), at(second)).status
        for event in due_events(said, status["conditions"], at(second)):
            kind = "Warning" if event.warning else "Normal"
            lines.append(f"{second} {kind} {event.condition['type']} {event.condition['reason']}")
    return lines


def starting(endpoint: EndpointFact | None = None) -> Observed:
    """Pods are made; none is ready."""
    seen = pods(well(), {"ready": False, "status": None}, {"ready": False, "status": None})
    return replace(seen, deployment=DeploymentFact(2, 0, 2, 2, True), endpoint=endpoint)


def first() -> Observed:
    return replace(starting(), pods=(), deployment=None, twilio=TwilioFact())


def test_events_a_healthy_start_is_a_handful_of_normal_events() -> None:
    old = pods(well(), {"told": {"config_revision": "old"}}, {})
    course = [
        (0, first()),
        (1, starting()),
        (2, starting(NOT_ROUTED)),
        (6, replace(old, endpoint=NOT_ROUTED)),
        (8, old),
        (9, well()),
        (70, well()),
    ]
    events = told(course)
    assert [line for line in events if "Warning" in line] == []
    assert 3 <= len(events) <= 6, events
    assert "8 Normal Ready Ready" in events
    assert len(events) == len(set(events))


def test_events_what_is_only_not_there_yet_is_a_warning_when_it_has_lasted() -> None:
    course = [(second, replace(well(), endpoint=NOT_ROUTED)) for second in range(0, 120, 5)]
    warnings = [line for line in told(course) if "Warning" in line]
    assert warnings == ["60 Warning Ready PathNotRouted", "60 Warning EndpointReachable PathNotRouted"], "once each"
    stuck = [line for line in told([(second, starting()) for second in range(0, 120, 5)]) if "Warning" in line]
    assert "60 Warning RelayAvailable RelaysStarting" in stuck


def test_events_a_way_out_that_comes_after_the_pods_is_no_warning() -> None:
    away = {"model": PeerStatus(ok=False, reason=PeerReason.UNREACHABLE, message="no address", since=0)}
    unreached = pods(well(), {"told": away}, {"told": away})
    assert "Warning" not in "".join(told([(0, starting()), (5, unreached), (40, well())]))
    warnings = [line for line in told([(second, unreached) for second in range(0, 120, 5)]) if "Warning" in line]
    assert warnings == ["60 Warning Ready ModelUnreachable", "60 Warning ModelReachable ModelUnreachable"]


def test_events_what_somebody_has_to_mend_is_a_warning_at_once() -> None:
    missing = replace(well(), credentials=SecretFact("twilio"))
    assert "0 Warning Ready SecretNotFound" in told([(0, missing)])
    crashing = pods(well(), *({"ready": False, "waiting_reason": "CrashLoopBackOff"} for _ in range(2)))
    assert "0 Warning RelayAvailable RelaysCrashing" in told([(0, crashing)])


def test_events_a_fault_that_passes_in_time_is_no_event_and_one_that_was_told_has_its_end() -> None:
    broken = replace(well(), endpoint=NOT_ROUTED)
    assert told([(0, well()), (10, broken), (30, well())])[5:] == []
    course = [(0, well()), *((second, broken) for second in range(10, 90, 5)), (95, well())]
    assert {line for line in told(course) if line.startswith("95")} == {"95 Normal Ready Ready", "95 Normal EndpointReachable EndpointOK"}


def test_events_an_operator_that_begins_to_lead_tells_nothing_twice() -> None:
    status = make_plan(well(), at(0)).status
    assert told([(0, well())], already_told(status["conditions"], at(1))) == []


def test_events_an_operator_that_begins_to_lead_tells_a_fault_only_if_the_one_before_may_not_have() -> None:
    broken = replace(well(), endpoint=NOT_ROUTED)
    conditions = make_plan(broken, at(0)).status["conditions"]
    long_since, just_due = already_told(conditions, at(300)), already_told(conditions, at(61))
    assert due_events(long_since, conditions, at(300)) == []
    assert [event.condition["type"] for event in due_events(just_due, conditions, at(61))] == ["Ready", "EndpointReachable"]


def test_events_say_when_the_next_one_comes_due() -> None:
    conditions = make_plan(replace(well(), endpoint=NOT_ROUTED), at(0)).status["conditions"]
    known: Told = {}
    due_events(known, conditions, at(20))
    assert until_event(known, conditions, at(20)) == 40
    due_events(known, conditions, at(60))
    assert until_event(known, conditions, at(60)) == float("inf")


def test_events_a_canary_is_told_by_its_steps_alone() -> None:
    known: Told = {"PromptRolledOut": ("True", "RolledOut")}
    for reason in ("CanaryProgressing", "CanaryRejected"):
        condition = {"type": "PromptRolledOut", "status": "False", "reason": reason, "message": "", "lastTransitionTime": at(0)}
        assert due_events(known, [condition], at(600)) == []
    in_force = {"type": "PromptRolledOut", "status": "True", "reason": "RolledOut", "message": "", "lastTransitionTime": at(601)}
    assert due_events(known, [in_force], at(601)) == []
