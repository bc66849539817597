"""What is left of a budget, parted among relays: the operator's own rules and the relays', with all of their calls asking at once."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime

import pytest

from unit.operator.making import config, status, well
from unit.operator.test_spending import AT, DAY, seen
from voiceassist_crds.config import Budget
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_operator.policy.observed import PodFact
from voiceassist_operator.policy.spending import TURN_SECONDS, others, spending
from voiceassist_relay.budget_count import BudgetCount, Level

COST, SECONDS, PAUSE_SECONDS, STEP = 100, 2.0, 8.0, 0.1
"""Of a response: its tokens, how long it takes, and how long until the next one is wanted at most; and the simulation's step."""
RUN_SECONDS = 400.0


class Relay:
    """Its calls have something to ask for again some seconds after each response, and ask as soon as they may."""

    def __init__(self, name: str, budget: Budget, calls: int, now: float, *, older: bool) -> None:
        self.count, self.calls, self.name, self._older = BudgetCount(name, now), calls, name, older
        self.count.use(budget)
        self._ends: list[float] = []
        self._chance = random.Random(name)
        self._wants = [now + self._chance.uniform(0, PAUSE_SECONDS) for _ in range(calls)]

    def step(self, now: float) -> None:
        for _ in [end for end in self._ends if end <= now]:
            self.count.spent("m", (COST, 0, 0, 0, 0, 0), now, response=True)
            self._wants.append(now + self._chance.uniform(0, PAUSE_SECONDS))
        self._ends = [end for end in self._ends if end > now]
        for want in [one for one in sorted(self._wants) if one <= now]:
            if self.count.may_ask(len(self._ends), now):
                self._wants.remove(want)
                self._ends.append(now + SECONDS)

    def asked(self, word: LimitsWord, now: float) -> PodFact:
        """The operator's question, and the answer to it."""
        read = LimitsWord.read(word.as_header())
        self.count.told(replace(read, relays=None) if self._older else read, len(self._ends), now)
        told = status("", active_calls=self.calls, spend=self.count.report(len(self._ends), now))
        return PodFact(self.name, "10.0.0.1", ready=True, status=told)

    @property
    def rests(self) -> bool:
        return not self._ends


def ran(relays: int, calls: int, *, budget: int, older: bool = False, every: float = 1.0) -> tuple[float, float]:
    """Runs relays with so many calls each until the budget stops them all. Returns the responses beyond it, and the seconds."""
    limits = {"budget": {"perDay": budget, "action": "Stop"}}
    found = replace(well(limits=limits), pods=())
    told = config(found).total_limits.budget
    assert told is not None
    fleet = [Relay(f"relay{number}", told, calls, AT, older=older) for number in range(relays)]
    record, asks = None, 0.0
    for step in range(int(RUN_SECONDS / STEP)):
        now = AT + step * STEP
        if now - AT >= asks:
            asks += every
            word = others(replace(found, spending=record), now)  # of what was answered before
            assert word is not None
            answered = {pod.name: pod.status for pod in found.pods}
            found = replace(found, pods=tuple(one.asked(word.word(one.name, answered.get(one.name)), now) for one in fleet))
            found = replace(found, spending=spending(replace(found, spending=record), now))
            record = found.spending
        for one in fleet:
            one.step(now)
        if all(one.rests and one.count.level(now) is Level.STOPPED for one in fleet):
            spent = sum(report.tokens for one in fleet if (report := one.count.report(0, now)) is not None)
            return (spent - budget) / COST, now - AT
    raise AssertionError("the budget was never spent")


@pytest.mark.parametrize(("relays", "calls"), [(2, 5), (4, 20), (10, 10)])
def test_spending_parted_relays_go_beyond_a_budget_by_one_response_together(relays: int, calls: int) -> None:
    budget = relays * calls * 10 * COST + COST // 2
    beyond, seconds = ran(relays, calls, budget=budget)
    unparted, before = ran(relays, calls, budget=budget, older=True)
    print(f"{relays} relays of {calls} calls: {beyond:.1f} responses beyond the budget after {seconds:.0f} s; ", end="")
    print(f"not parted {unparted:.1f} after {before:.0f} s")
    assert beyond <= 1
    assert unparted > 1


def test_spending_parted_what_is_less_than_one_for_each_is_one_relays_at_a_time() -> None:
    found = replace(seen(100, 20, 3, action="Stop"), spending=None)
    found = replace(found, spending=spending(found, AT))

    def turns(now: float) -> list[str]:
        told = others(found, now)
        assert told is not None
        return [pod.name for pod in found.pods if told.word(pod.name, pod.status).turn]

    begin = AT - AT % TURN_SECONDS
    first = turns(begin)
    assert len(first) == 1
    assert turns(begin + TURN_SECONDS - 3.5) == first
    assert turns(begin + TURN_SECONDS - 1) == [], "what it asked for is to be known before it is the next one's"
    assert {*first, *turns(begin + TURN_SECONDS), *turns(begin + 2 * TURN_SECONDS)} == {"pod-1", "pod-2", "pod-3"}


def test_spending_parted_among_relays_that_have_calls() -> None:
    found = seen(100, 20, calls=0, action="Stop")
    busy = seen(100, 20, 3, action="Stop")
    one = replace(busy, pods=(busy.pods[0], *found.pods[1:]))

    def relays(what: object, pod: str) -> int | None:
        told = others(replace(what, spending=spending(what, AT)), AT)  # type: ignore[type-var]
        return told.word(pod, None).relays if told is not None else None

    assert (relays(busy, "pod-1"), relays(busy, "new")) == (3, 4)
    assert (relays(one, "pod-1"), relays(one, "pod-2")) == (1, 2)
    assert relays(seen(100, 20, action="Warn"), "pod-1") is None


def test_spending_parted_words_that_are_old_part_nothing() -> None:
    now = datetime.fromisoformat(f"{DAY}T12:00:00Z").timestamp()
    count = BudgetCount("p", now)
    count.use(Budget.model_validate({"perDay": 1000, "action": "Stop"}))
    count.told(LimitsWord(DAY, 0, but="p", relays=4), 0, now)
    count.spent("m", (500, 0, 0, 0, 0, 0), now, response=True)
    assert not count.may_ask(0, now), "the operator asks again soon"
    assert count.may_ask(0, now + 10), "it is away: a relay goes on by its own count"
    count.told(LimitsWord(DAY, 0, but="p", relays=4, turn=True), 0, now)
    assert count.may_ask(0, now)
