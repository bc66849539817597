"""A relay's count of the day and the month: what is counted, what it leaves, and what stands while nobody says anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from voiceassist_crds.config import Budget
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_relay.budget_count import PATIENCE_SECONDS, BudgetCount, Level

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
DAY, NEXT = "2026-11-30", "2026-12-01"
TEXT = (100, 0, 0, 0, 0, 0)
PRICES = [
    {"model": "m", "textInput": 1, "cachedTextInput": 0.5, "audioInput": 10, "cachedAudioInput": 2, "textOutput": 4, "audioOutput": 20},
    {"model": "dear", "textInput": 3, "audioInput": 5, "textOutput": 6},
]


def counting(per_day: float = 1000, action: str = "Stop", **more: Any) -> BudgetCount:
    day = BudgetCount("p", NOON)
    day.use(Budget.model_validate({"perDay": per_day, "action": action, **more}))
    return day


def told(day: BudgetCount, spent: float, now: float = NOON, of: str = DAY) -> None:
    day.told(LimitsWord(of, spent, but="p"), now)


@pytest.mark.parametrize(
    ("model", "tokens", "cost"),
    [
        ("m", (1_000_000, 0, 0, 0, 0, 0), 1),
        ("m", (0, 1_000_000, 0, 0, 0, 0), 0.5),
        ("m", (0, 0, 1_000_000, 0, 0, 0), 10),
        ("m", (0, 0, 0, 1_000_000, 0, 0), 2),
        ("m", (0, 0, 0, 0, 1_000_000, 0), 4),
        ("m", (0, 0, 0, 0, 0, 1_000_000), 20),
        ("dear", (0, 1_000_000, 0, 1_000_000, 0, 0), 8),  # what is cached costs as what is not, where no price says otherwise
        ("dear", (0, 0, 0, 0, 0, 1_000_000), 6),
        ("unknown", (1_000_000, 0, 1_000_000, 0, 0, 0), 13),  # the dearest of each kind
    ],
)
def test_budget_count_costs_by_model_and_kind(model: str, tokens: tuple[int, ...], cost: float) -> None:
    day = counting(prices=PRICES)
    day.spent(model, tokens, NOON, response=True)
    report = day.report(0, NOON)
    assert report is not None
    assert (report.cost, report.tokens, report.day, report.process) == (cost, sum(tokens), DAY, "p")


def test_budget_count_in_tokens_where_there_are_no_prices() -> None:
    day = counting(600)
    told(day, 300)
    day.spent("m", (100, 50, 20, 20, 9, 0), NOON, response=True)
    assert day.may_ask(0, NOON)
    day.spent("m", (50, 50, 0, 0, 0, 1), NOON, response=True)
    assert not day.may_ask(0, NOON)
    report = day.report(0, NOON)
    assert report is not None and report.wire() == {"process": "p", "day": DAY, "tokens": 300, "month": {"tokens": 300}}


@pytest.mark.parametrize(
    ("action", "level", "asks", "early"), [("Warn", 1, True, True), ("DraftsOff", 2, True, False), ("Stop", 3, False, False)]
)
def test_budget_count_each_action_has_its_level(action: str, level: int, asks: bool, early: bool) -> None:
    day = counting(100, action)
    told(day, 0)
    assert (day.level(NOON), day.may_ask(0, NOON), day.may_ask_early(NOON)) == (Level.FREE, True, True)
    day.spent("m", TEXT, NOON, response=True)
    assert (day.level(NOON), day.may_ask(0, NOON), day.may_ask_early(NOON)) == (Level(level), asks, early)


def test_budget_count_responses_under_way_count_as_the_dearest_of_the_latest() -> None:
    day = counting(500)
    told(day, 0)
    day.spent("m", (40, 0, 0, 0, 0, 0), NOON, response=True)
    day.spent("m", TEXT, NOON, response=True)
    day.spent("m", (100, 0, 0, 0, 0, 0), NOON, response=False)  # 240 by now
    assert day.may_ask(2, NOON)
    assert not day.may_ask(3, NOON)
    assert day.level(NOON) is Level.FREE, "nothing is stopped for what is only expected"
    report = day.report(3, NOON)
    assert report is not None and report.expected == 300


def test_budget_count_where_little_is_left_the_first_response_shows_what_one_takes() -> None:
    day = counting(500)
    told(day, 100)
    assert day.may_ask(9, NOON), "much is left: nobody waits"
    told(day, 450)
    assert (day.may_ask(0, NOON), day.may_ask(1, NOON)) == (True, False)
    silent = counting(500)
    told(silent, 450)
    silent.untold(NOON)
    assert silent.may_ask(9, NOON), "a server that tells nothing holds nobody up"
    day.spent("m", (10, 0, 0, 0, 0, 0), NOON, response=True)
    assert (day.may_ask(3, NOON), day.may_ask(4, NOON)) == (True, False)
    month = monthly(10_000, perDay=500)
    told(month, 0)
    told_of_month(month, 9000, NOON)
    assert not month.may_ask(1, NOON), "of either budget"


def test_budget_count_what_others_spent_counts_and_stands_until_it_is_said_anew() -> None:
    day = counting(100)
    told(day, 99)
    assert day.may_ask(0, NOON)
    told(day, 100)
    assert day.level(NOON) is Level.STOPPED
    day.told(LimitsWord(calls=3), NOON + 3600)  # of the money it says nothing
    told(day, 0, NOON + 3600, NEXT)  # of another day
    assert day.level(NOON + 3600) is Level.STOPPED
    told(day, 50, NOON + 3601)
    assert day.level(NOON + 3601) is Level.FREE


def test_budget_count_a_new_day_begins_at_midnight_of_utc() -> None:
    day = counting(100)
    told(day, 60)
    day.spent("m", TEXT, NOON, response=True)
    day.untold(NOON)
    assert day.level(MIDNIGHT - 1) is Level.STOPPED
    assert (day.level(MIDNIGHT), day.may_ask(0, MIDNIGHT)) == (Level.FREE, True)
    report = day.report(0, MIDNIGHT)
    assert report is not None and report.wire() == {"process": "p", "day": NEXT, "month": {}}
    told(day, 100, MIDNIGHT, DAY)  # by an operator whose clock is behind
    assert day.level(MIDNIGHT) is Level.FREE


def test_budget_count_goes_on_while_a_clock_is_set_back_over_midnight() -> None:
    day = counting(100, perMonth=150)
    day.spent("m", TEXT, MIDNIGHT + 1, response=True)
    assert day.level(MIDNIGHT - 30) is Level.STOPPED
    report = day.report(0, MIDNIGHT - 30)
    assert report is not None and report.wire() == {"process": "p", "day": NEXT, "tokens": 100, "month": {"tokens": 100}}
    assert day.level(MIDNIGHT + 2) is Level.STOPPED, "it is no other day by now"
    day.spent("m", TEXT, MIDNIGHT + 2, response=True)
    assert day.level(NOON) is Level.FREE, "by hours: it was wrong before, and that day is not waited for"


def test_budget_count_a_process_that_was_never_told_waits_a_while() -> None:
    day = counting(100)
    assert not day.may_ask(0, NOON + PATIENCE_SECONDS - 1)
    assert day.may_ask(0, NOON + PATIENCE_SECONDS), "the operator may be away for long"
    warned = counting(100, "Warn")
    assert warned.may_ask(0, NOON)
    first = counting(100)
    told(first, 0)
    assert first.may_ask(0, NOON)


YESTERDAY = NOON - 86_400
MONTH = DAY[:7]


def monthly(per_month: float = 1000, **more: Any) -> BudgetCount:
    count = BudgetCount("p", YESTERDAY)
    count.use(Budget.model_validate({"perMonth": per_month, "action": "Stop", **more}))
    return count


def told_of_month(count: BudgetCount, spent: float, now: float, month: str = MONTH, but: str = "p") -> None:
    count.told(LimitsWord(but=but, month=month, month_spent=spent), now)


def test_budget_count_a_month_goes_on_over_its_days_and_ends_with_them() -> None:
    count = monthly(300)
    told_of_month(count, 0, YESTERDAY)
    count.spent("m", TEXT, YESTERDAY, response=True)
    count.untold(YESTERDAY)
    report = count.report(0, NOON)
    assert report is not None and report.wire() == {"process": "p", "day": DAY, "month": {"tokens": 200}}
    assert count.may_ask(0, NOON)
    told_of_month(count, 100, NOON, "2026-10")  # another month's
    assert count.may_ask(0, NOON)
    told_of_month(count, 100, NOON)
    assert (count.level(NOON), count.may_ask(0, NOON)) == (Level.STOPPED, False)
    assert (count.level(MIDNIGHT), count.may_ask(0, MIDNIGHT)) == (Level.FREE, True), "December"
    report = count.report(0, MIDNIGHT)
    assert report is not None and report.wire() == {"process": "p", "day": NEXT, "month": {}}


def test_budget_count_each_of_two_budgets_holds_by_itself() -> None:
    count = monthly(150, perDay=120)
    told_of_month(count, 0, YESTERDAY)
    count.told(LimitsWord("2026-11-29", 0, but="p"), YESTERDAY)
    count.spent("m", TEXT, YESTERDAY, response=True)
    count.spent("m", (20, 0, 0, 0, 0, 0), YESTERDAY, response=True)
    assert count.level(YESTERDAY) is Level.STOPPED, "the day's"
    assert count.may_ask(0, NOON)
    count.spent("m", (30, 0, 0, 0, 0, 0), NOON, response=True)
    assert count.level(NOON) is Level.STOPPED, "the month's"


def test_budget_count_a_month_that_nobody_spoke_of_is_waited_for_and_its_responses_under_way_count() -> None:
    count = monthly(300)
    assert not count.may_ask(0, YESTERDAY)
    told_of_month(count, 0, YESTERDAY, but="before")
    assert not count.may_ask(0, YESTERDAY), "a word without another process is none"
    told_of_month(count, 0, YESTERDAY)
    count.spent("m", TEXT, YESTERDAY, response=True)
    assert (count.may_ask(1, YESTERDAY), count.may_ask(2, YESTERDAY)) == (True, False)


def test_budget_count_what_nobody_told_is_not_nothing() -> None:
    day = counting(1000)
    day.untold(NOON)  # nothing is known to go by
    day.spent("m", (40, 0, 0, 0, 0, 0), NOON, response=True)
    day.spent("m", TEXT, NOON, response=True)
    day.untold(NOON)
    report = day.report(0, NOON)
    assert report is not None and (report.tokens, report.untold) == (280, 0), "40 for the first, 100 for the last"


def test_budget_count_says_what_nothing_is_known_to_go_by() -> None:
    day = counting(1000)
    day.untold(NOON)
    day.untold(NOON)
    report = day.report(0, NOON)
    assert report is not None and (report.tokens, report.untold) == (0, 2)


def test_budget_count_a_word_that_leaves_out_another_process_is_no_word_on_the_others() -> None:
    """A container that restarted within seconds is told what is without its forerunner; one that is not known yet, what is with itself."""
    day = counting(400)
    day.told(LimitsWord(DAY, 0.0, but="before"), NOON)
    assert not day.may_ask(0, NOON), "it waits for a word of its own"
    day.told(LimitsWord(DAY, 100.0), NOON)
    assert day.may_ask(0, NOON), "it has spent nothing that could be left out"
    day.spent("m", (200, 0, 0, 0, 0, 0), NOON, response=True)
    day.told(LimitsWord(DAY, 300.0), NOON)
    assert day.level(NOON) is Level.FREE, "its own 200 are in there"
    day.told(LimitsWord(DAY, 300.0, but="p"), NOON)
    assert day.level(NOON) is Level.STOPPED


def test_budget_count_what_others_are_about_to_take_stops_nothing_and_is_waited_for() -> None:
    day = counting(400)
    day.told(LimitsWord(DAY, 300.0, but="p", coming=150.0), NOON)
    assert (day.level(NOON), day.may_ask(0, NOON)) == (Level.FREE, False)
    day.told(LimitsWord(DAY, 350.0, but="p"), NOON)
    assert (day.level(NOON), day.may_ask(0, NOON)) == (Level.FREE, True)


def test_budget_count_other_prices_count_for_the_whole_day() -> None:
    day = counting(1000)
    day.spent("m", (1_000_000, 0, 0, 0, 0, 0), NOON, response=True)
    day.use(Budget.model_validate({"perDay": 2, "prices": PRICES}))
    report = day.report(0, NOON)
    assert report is not None and report.cost == 1
    day.use(None)
    assert (day.report(0, NOON), day.level(NOON), day.may_ask(9, NOON)) == (None, Level.FREE, True)


def test_budget_count_models_that_a_server_makes_up_are_bounded() -> None:
    day = counting(1e9)
    for number in range(1000):
        day.spent(f"m{number}", TEXT, NOON, response=True)
    report = day.report(0, NOON)
    assert report is not None and report.tokens == 100_000
    assert len(day._day.tokens) <= 17
