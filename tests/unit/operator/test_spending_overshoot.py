"""How far several relays go beyond a budget that stops them, and how long their calls wait near its end: the operator's own rules and the
relays', with all of their calls asking."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from unit.operator.making import config, status, well
from unit.operator.test_spending import AT, DAY, known
from voiceassist_crds.config import Budget
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_operator.policy.observed import Amount, PodFact, Spending, Tally
from voiceassist_operator.policy.spending import others
from voiceassist_relay.budget_count import BudgetCount, Level

COST, SECONDS, PAUSE_SECONDS, STEP = 100, 2.0, 8.0, 0.1
"""Of a response: its tokens, how long it takes, and how long until the next one is wanted at most; and the simulation's step."""
RUN_SECONDS = 900.0


@dataclass(frozen=True)
class Fleet:
    """Relays, the live calls of each, and of how many relays the calls have nothing to ask for; how often the operator asks; whether some
    responses are dear ones."""

    relays: int
    calls: int
    resting: int = 0
    every: float = 1.0
    dear: bool = False

    @property
    def live(self) -> int:
        """Calls that ask."""
        return (self.relays - self.resting) * self.calls


class Relay:
    """Its calls have something to ask for again some seconds after each response, and ask as soon as they may."""

    def __init__(self, name: str, budget: Budget, fleet: Fleet, now: float, *, rests: bool) -> None:
        self.count, self.name = BudgetCount(name, now), name
        self.count.use(budget)
        self._fleet = fleet
        self._ends: list[float] = []
        self._chance = random.Random(name)
        self._wants = [] if rests else [now + self._chance.uniform(0, PAUSE_SECONDS) for _ in range(fleet.calls)]
        self.longest_wait = 0.0

    def step(self, now: float) -> None:
        for _ in [end for end in self._ends if end <= now]:
            self.count.spent("m", (self._tokens(), 0, 0, 0, 0, 0), now, response=True)
            self._wants.append(now + self._chance.uniform(0, PAUSE_SECONDS))
        self._ends = [end for end in self._ends if end > now]
        for want in [one for one in sorted(self._wants) if one <= now]:
            if self.count.level(now) is Level.FREE:
                self.longest_wait = max(self.longest_wait, now - want)
            if self.count.may_ask(len(self._ends), now):
                self._wants.remove(want)
                self._ends.append(now + SECONDS)

    def _tokens(self) -> int:
        if self._fleet.dear and self._chance.random() < 1 / 40:
            return 10 * COST
        return self._chance.randint(COST // 2, COST * 3 // 2)

    def asked(self, word: LimitsWord, now: float) -> PodFact:
        """The operator's question, and the answer to it."""
        self.count.told(LimitsWord.read(word.as_header()), now)
        told = status("", active_calls=self._fleet.calls, spend=self.count.report(len(self._ends), now))
        return PodFact(self.name, "10.0.0.1", ready=True, status=told)

    @property
    def rests(self) -> bool:
        return not self._ends


def ran(fleet: Fleet, budget: int, chance: int, spent_before: int = 0) -> tuple[float, float]:
    """Runs relays, of which none has asked for anything yet, until the budget stops them all.

    Returns the responses beyond it, and the longest that a call waited and its agent was told nothing, in seconds.
    """
    found = replace(well(limits={"budget": {"perDay": budget, "action": "Stop"}}), pods=())
    told = config(found).total_limits.budget
    assert told is not None
    relays = [Relay(f"relay{chance}-{number}", told, fleet, AT, rests=number < fleet.resting) for number in range(fleet.relays)]
    record, asks = known(replace(found, spending=Spending(Tally(DAY, Amount(spent_before)), Tally(DAY[:7])))), 0.0
    for step in range(int(RUN_SECONDS / STEP)):
        now = AT + step * STEP
        if now - AT >= asks:
            asks += fleet.every
            word = others(replace(found, spending=record))  # of what was answered before
            assert word is not None
            answered = {pod.name: pod.status for pod in found.pods}
            found = replace(found, pods=tuple(one.asked(word.word(one.name, answered.get(one.name)), now) for one in relays))
            record = known(replace(found, spending=record), now)
        for one in relays:
            one.step(now)
        if all(one.rests and one.count.level(now) is Level.STOPPED for one in relays):
            spent = spent_before + sum(report.tokens for one in relays if (report := one.count.report(0, now)) is not None)
            return (spent - budget) / COST, max(one.longest_wait for one in relays)
    raise AssertionError("the budget was never spent")


@pytest.mark.parametrize(
    ("fleet", "most"),
    [
        (Fleet(1, 20), 0.1),
        (Fleet(2, 5), 0.3),
        (Fleet(4, 20), 0.3),
        (Fleet(10, 10), 0.3),
        (Fleet(16, 5), 0.3),
        (Fleet(16, 5, resting=12), 0.3),
        (Fleet(16, 1), 0.7),
        (Fleet(2, 5, dear=True), 1.5),
        (Fleet(4, 20, dear=True), 0.7),
        (Fleet(16, 5, resting=12, dear=True), 1.5),
        (Fleet(4, 20, every=5.0), 1.5),
        (Fleet(10, 10, every=5.0), 1.5),
    ],
)
def test_spending_overshoot_is_so_much_for_each_live_call_and_nobody_waits_long_untold(fleet: Fleet, most: float) -> None:
    runs = [ran(fleet, fleet.live * each * COST + 37 * chance, chance) for each in (5, 10) for chance in range(6)]
    beyond = [responses / fleet.live for responses, _ in runs]
    wait = max(seconds for _, seconds in runs)
    print(f"{fleet}: {min(beyond):.2f} to {max(beyond):.2f} responses beyond for each live call; the longest wait {wait:.1f} s")
    assert min(beyond) >= 0
    assert max(beyond) <= most
    assert wait <= (20 if fleet.dear else 10)


@pytest.mark.parametrize(("relays", "calls"), [(2, 5), (4, 20)])
def test_spending_overshoot_of_relays_that_know_nothing_yet_is_one_response_each(relays: int, calls: int) -> None:
    """As where all of them were replaced when half a response was left."""
    beyond, wait = ran(Fleet(relays, calls), 1000 * COST, 1, spent_before=1000 * COST - COST // 2)
    print(f"{relays} relays of {calls} calls: {beyond:.1f} responses beyond; the longest wait {wait:.1f} s")
    assert beyond <= 1.5 * relays
    assert wait <= 10
