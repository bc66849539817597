"""Rules of calls, tasks, tokens and faults that requests do not show."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from voiceassist_sim.twilio import calls as calls_module
from voiceassist_sim.twilio import iam as iam_module
from voiceassist_sim.twilio import taskrouter as taskrouter_module
from voiceassist_sim.twilio.calls import Call, Calls, ForkedStream
from voiceassist_sim.twilio.errors import TwilioError
from voiceassist_sim.twilio.faults import FaultKind, FaultRule, Faults
from voiceassist_sim.twilio.iam import FlexTokens
from voiceassist_sim.twilio.journal import Journal, RequestEntry
from voiceassist_sim.twilio.settings import Lenient, Settings
from voiceassist_sim.twilio.sids import SidSource
from voiceassist_sim.twilio.stream_order import StreamOrder
from voiceassist_sim.twilio.taskrouter import TaskRouter, flex_identity

NOW = 1_800_000_000.0
ORDER = StreamOrder(url="wss://assist.example.com/ws", name="assist")


@dataclass(frozen=True)
class Silence:
    customer: bytes = b""
    agent: bytes | None = None


class Bench:
    def __init__(self, settings: Settings | None = None) -> None:
        self.stopped: list[ForkedStream] = []
        self.ended: list[Call] = []
        self.calls = Calls(SidSource(1), settings or Settings(), on_stop=self.stopped.append, on_ended=self.ended.append)


def test_a_call_ends_once() -> None:
    bench = Bench()
    call = bench.calls.add(Silence(), NOW)
    stream = bench.calls.fork(call, ORDER, NOW)
    bench.calls.set_status(call, "completed", NOW + 1)
    bench.calls.set_status(call, "failed", NOW + 2)
    assert (bench.stopped, bench.ended, call.status, call.ended) == ([stream], [call], "completed", NOW + 1)


def test_a_stream_that_ended_by_itself_is_not_stopped_again() -> None:
    bench = Bench()
    call = bench.calls.add(Silence(), NOW)
    stream = bench.calls.fork(call, ORDER, NOW)
    Calls.ended_by_itself(stream, NOW + 1)
    bench.calls.set_status(call, "completed", NOW + 2)
    assert bench.stopped == []
    assert stream.updated == NOW + 1
    with pytest.raises(TwilioError):
        bench.calls.stop(call, "assist", NOW, "/path")


def test_the_newest_of_equal_names_is_stopped_first() -> None:
    bench = Bench(Settings(lenient=Lenient(stream_name_reuse=True)))
    call = bench.calls.add(Silence(), NOW)
    streams = [bench.calls.fork(call, ORDER, NOW) for _ in range(3)]
    assert [bench.calls.stop(call, "assist", NOW, "/path") for _ in range(3)] == streams[::-1]


def test_old_calls_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "MAX_CALLS", 20)
    bench = Bench()
    alive = bench.calls.add(Silence(), NOW)
    for _ in range(40):
        bench.calls.set_status(bench.calls.add(Silence(), NOW), "completed", NOW)
    assert len(list(bench.calls)) <= 21
    assert bench.calls.get(alive.sid) is alive


def test_identities_as_flex_makes_them() -> None:
    assert flex_identity("agent@example.com") == "agent_40example_2Ecom"
    assert flex_identity("a_b-c+1") == "a_5Fb_2Dc_2B1"
    assert flex_identity("ü") == "_C3_BC"


def test_a_pending_transfer_leaves_the_holder() -> None:
    state = TaskRouter(SidSource(1))
    first, second = state.add_worker("a", NOW), state.add_worker("b", NOW)
    task = state.add_task({}, NOW)
    held = state.reserve(task, first, NOW)
    offered = state.transfer(task, second, NOW, status="pending")
    assert (held.status, offered.status, task.status) == ("accepted", "pending", "assigned")
    state.set_reservation(offered, "rejected", NOW)
    assert task.status == "assigned"
    state.transfer(task, second, NOW)
    assert held.status == "wrapping"


def test_old_tasks_are_forgotten_with_their_reservations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskrouter_module, "MAX_TASKS", 20)
    state = TaskRouter(SidSource(1))
    worker = state.add_worker("a", NOW)
    for _ in range(50):
        state.reserve(state.add_task({}, NOW), worker, NOW)
    assert len(state.tasks) <= 20
    assert {found.task_sid for found in state.reservations.values()} == set(state.tasks)


def test_old_tokens_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iam_module, "MAX_TOKENS", 3)
    source = SidSource(1)
    tokens = FlexTokens("AC", source.secret)
    worker = TaskRouter(source).add_worker("a", NOW)
    issued = [tokens.issue(worker, NOW) for _ in range(5)]
    assert len(set(issued)) == 5
    assert [tokens.revoke(token) for token in issued] == [False, False, True, True, True]


def test_latencies_add_up_and_the_first_rule_decides() -> None:
    faults = Faults()
    faults.set(
        [
            FaultRule(FaultKind.LATENCY, seconds=1),
            FaultRule(FaultKind.TOO_MANY, path="/sync/"),
            FaultRule(FaultKind.LATENCY, seconds=2),
            FaultRule(FaultKind.SERVER_ERROR),
            FaultRule(FaultKind.LATENCY, seconds=4, after=True),
        ]
    )
    strike = faults.strike("GET", "/sync/v1/Services")
    assert (strike.wait_before, strike.wait_after) == (3, 4)
    assert strike.rule is faults.rules[1]
    assert faults.strike("GET", "/api/x").rule is faults.rules[3]
    assert faults.fired == [2, 1, 2, 1, 2]


def test_a_share_is_a_share() -> None:
    faults = Faults()
    faults.set([FaultRule(FaultKind.TOO_MANY, share=0.25)], seed=5)
    struck = sum(faults.strike("GET", "/").rule is not None for _ in range(4000))
    assert 900 < struck < 1100
    faults.set([FaultRule(FaultKind.TOO_MANY, share=0.0)])
    assert faults.strike("GET", "/").rule is None


def test_the_journal_is_bounded() -> None:
    journal = Journal()
    for number in range(10_050):
        journal.add_request(RequestEntry(NOW, "GET", f"/{number}", 200, 1.0))
    assert journal.total_requests == 10_050
    assert len(journal.requests()) == 10_000
    assert journal.requests()[0].path == "/50"
