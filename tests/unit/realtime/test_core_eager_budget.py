"""What a call may spend on asking ahead."""

from __future__ import annotations

from voiceassist_relay.realtime.core.eager_budget import EagerBudget

PACE = 20


def wrong(budget: EagerBudget, now: float, *, shown: bool = False, tokens: int = 100) -> None:
    budget.wrong(now, shown=shown)
    budget.spent(tokens)
    budget.wasted(tokens)


def right(budget: EagerBudget, tokens: int = 100) -> None:
    budget.right()
    budget.turn()
    budget.spent(tokens)


def test_core_eager_budget_the_first_two_guesses_are_free() -> None:
    budget = EagerBudget()
    for at in range(2):
        assert budget.allows(float(at), PACE)
        wrong(budget, float(at))
    assert not budget.allows(2.0, PACE), "all tokens so far were for nothing"


def test_core_eager_budget_wasted_tokens_stay_below_their_share() -> None:
    budget, now = EagerBudget(), 0.0
    spent = wasted = guesses = 0
    for _ in range(300):
        now += 30.0
        if budget.allows(now, PACE):
            wrong(budget, now)
            spent, wasted, guesses = spent + 100, wasted + 100, guesses + 1
        right(budget)
        spent += 100
    assert guesses > 50
    assert wasted <= 0.3 * spent + 2 * 100


def test_core_eager_budget_withdrawn_drafts_are_at_most_one_in_five_turns() -> None:
    budget, now, withdrawn = EagerBudget(), 0.0, 0
    for _ in range(300):
        now += 30.0
        if budget.allows(now, PACE):
            wrong(budget, now, shown=True, tokens=1)
            withdrawn += 1
        right(budget, tokens=1000)
    assert 30 < withdrawn <= 60


def test_core_eager_budget_a_turn_with_a_draft_withdrawn_gets_no_other() -> None:
    budget = EagerBudget()
    for _ in range(20):
        right(budget, 1000)
    wrong(budget, 0.0, shown=True, tokens=1)
    assert not budget.allows(1.0, PACE)
    budget.turn()
    assert budget.allows(2.0, PACE)


def test_core_eager_budget_a_minute_with_too_many_switches_it_off_until_it_is_over() -> None:
    budget = EagerBudget()
    for _ in range(20):
        right(budget, 1000)
    for at in range(6):
        assert budget.allows(float(at), PACE)
        wrong(budget, float(at), tokens=1)
    assert not budget.allows(6.0, PACE)
    assert not budget.allows(59.9, PACE)
    assert budget.allows(60.0, PACE)


def test_core_eager_budget_it_grows_careful_and_trusts_again() -> None:
    budget = EagerBudget()
    wrong(budget, 0.0)
    careful = budget.caution
    assert careful > 1.1
    for _ in range(30):
        wrong(budget, 0.0)
    assert budget.caution == 2.0
    for _ in range(30):
        right(budget)
    assert budget.caution == 0.8, "who is always right is asked a little sooner than configured"
