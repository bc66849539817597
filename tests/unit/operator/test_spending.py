"""The day's spending over relays that come, go, restart and fall silent, and over operators; and what relays are told of each other."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from unit.operator.making import config, status, well
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_crds.status import MonthSpend, Spend
from voiceassist_operator.policy.next_pass import (
    LONGEST_POLL_SECONDS,
    LONGEST_SCALING_SECONDS,
    POLL_SECONDS,
    SCALING_SECONDS,
    until_next_pass,
)
from voiceassist_operator.policy.observed import Amount, Observed, PodFact, Spending, Tally
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.policy.spending import (
    MOST_PROCESSES,
    MOST_SILENT,
    live_calls,
    near_a_limit,
    others,
    silent_on_spending,
    spending,
    spending_status,
    spent_in_all,
    total,
    used,
)
from voiceassist_operator.policy.spending import budget_of as budget
from voiceassist_operator.policy.status import worth_writing

DAY, NOON = "2026-11-30", "2026-11-30T12:00:00Z"
AT = datetime.fromisoformat(NOON).timestamp()
MONTH = DAY[:7]
PRICES = [{"model": "m", "textInput": 1, "audioInput": 8, "textOutput": 4}]


def seen(*tokens: int | tuple[str, int] | None, before: Spending | None = None, day: str = DAY, calls: int = 1, **limits: Any) -> Observed:
    """Relays that say that they spent so many tokens; None: one that has said nothing. A process is named after its pod, or as given."""
    found = well(limits={"budget": {"perDay": 1000, **limits}})
    revision = config(found).config_revision

    def pod(number: int, one: int | tuple[str, int] | None) -> PodFact:
        if one is None:
            return PodFact(f"pod-{number}", f"10.0.0.{number}")
        process, count = (f"p{number}", one) if isinstance(one, int) else one
        cost = count / 1000 if limits.get("prices") else None
        spend = Spend(process=process, day=day, tokens=count, cost=cost, month=MonthSpend(tokens=count, cost=cost))
        return PodFact(f"pod-{number}", f"10.0.0.{number}", ready=True, status=status(revision, active_calls=calls, spend=spend))

    return replace(found, pods=tuple(pod(number, one) for number, one in enumerate(tokens, 1)), spending=before)


def known(found: Observed, now: float = AT) -> Spending:
    record = spending(found, now)
    assert record is not None
    return record


def sum_of(found: Observed, now: float = AT) -> float:
    limits = found.owner.spec.limits.budget
    assert limits is not None
    return spent_in_all(known(found, now).day, budget(limits))


def test_spending_adds_up_relays_however_often_they_are_asked() -> None:
    record = known(seen(100, 20, None))
    for _ in range(3):
        record = known(seen(100, 20, None, before=record))
    assert sum_of(seen(100, 20, before=record)) == 120


def test_spending_of_a_relay_that_ended_fell_silent_or_restarted_counts_on() -> None:
    record = known(seen(100, 20))
    record = known(seen(100, None, before=record))
    assert sum_of(seen(100, before=record)) == 120
    record = known(seen(100, ("again", 5), before=record))
    assert sum_of(seen(100, ("again", 5), before=record)) == 125
    assert sum_of(seen(110, 30, before=record)) == 145, "the silent one speaks again, and is not counted twice"


def test_spending_goes_on_with_the_operator_before() -> None:
    first = seen(100, 20)
    written = spending_status(replace(first, spending=known(first)))
    later = replace(seen(130, 20), status={"spending": written})
    assert sum_of(later) == 150
    gone = replace(seen(130), status={"spending": written})
    assert sum_of(gone) == 150
    for spoilt in (None, "x", {}, {"day": 3}, {"day": DAY, "relays": "x"}, {"day": DAY, "relays": {"p": {"tokens": "many"}}}):
        assert sum_of(replace(seen(130), status={"spending": spoilt})) == 130


def test_spending_begins_anew_each_day() -> None:
    record = known(seen(100, 20))
    midnight = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert sum_of(seen(100, 20, before=record), midnight) == 0, "what relays say of yesterday is yesterday's"
    assert sum_of(seen(7, 20, before=record, day="2026-12-01"), midnight) == 27


def test_spending_processes_are_bounded_and_their_sum_is_kept() -> None:
    record = Spending(Tally(DAY), Tally(MONTH))
    for number in range(300):
        record = known(seen((f"process {number}", 2), before=record))
    assert len(record.day.relays) <= MOST_PROCESSES + 1
    assert sum_of(seen(("process 299", 2), before=record)) == 600


def test_spending_by_prices() -> None:
    found = seen(1000, 500, perDay=2, prices=PRICES)
    assert sum_of(found) == 1.5
    free = Spending(Tally(DAY, Amount(5000, 0.0)), Tally(MONTH))
    assert sum_of(seen(1000, before=free, perDay=2, prices=PRICES)) == 1, "what costs nothing costs nothing"
    unpriced = Spending(Tally(DAY, Amount(tokens=1_000_000)), Tally(MONTH))
    assert sum_of(seen(0, before=unpriced, perDay=2, prices=PRICES)) == 8, "tokens that had no price cost as the dearest"


def month_of(found: Observed, now: float = AT) -> float:
    limits = found.owner.spec.limits.budget
    assert limits is not None
    return spent_in_all(known(found, now).month, budget(limits))


def said(process: str, day: str, tokens: int, month: int | None, before: Spending | None, **limits: Any) -> Observed:
    """One relay, by its day's and its month's number; None: it knows no month."""
    found = seen((process, tokens), before=before, day=day, **{"perDay": None, "perMonth": 1000, **limits})
    told = found.pods[0].status
    assert told is not None and told.spend is not None
    spend = told.spend.model_copy(update={"month": None if month is None else MonthSpend(tokens=month)})
    return replace(found, pods=(replace(found.pods[0], status=told.model_copy(update={"spend": spend})),))


def at(day: str) -> float:
    return datetime.fromisoformat(f"{day}T12:00:00Z").timestamp()


def test_spending_of_a_month_goes_on_over_days_relays_and_operators_and_begins_anew_with_the_next() -> None:
    record = known(said("p1", "2026-11-29", 100, 100, None), at("2026-11-29"))
    record = known(said("p1", DAY, 10, 112, record))  # two more were spent after it was asked last, before midnight
    assert (sum_of(said("p1", DAY, 10, 112, record)), month_of(said("p1", DAY, 10, 112, record))) == (10, 112)
    written = spending_status(replace(said("p1", DAY, 10, 112, record), spending=record))
    after = replace(said("p2", DAY, 5, 5, None), status={"spending": written})
    assert (sum_of(after), month_of(after)) == (15, 117), "another operator, and another relay"
    assert month_of(said("p2", "2026-12-01", 3, 3, known(after)), at("2026-12-01")) == 3


def test_spending_of_a_month_counts_each_day_of_a_relay_that_knows_none_and_is_not_known_for_certain() -> None:
    record = known(said("old", "2026-11-29", 100, None, None), at("2026-11-29"))
    found = said("old", DAY, 10, None, record)
    assert month_of(found) == 110
    assert month_of(said("old", DAY, 10, None, known(found))) == 110, "asked again"
    assert silent_on_spending(found) == ["pod-1"]
    assert not silent_on_spending(said("old", DAY, 10, None, record, perDay=50, perMonth=None))


def test_spending_of_a_month_goes_on_from_an_operator_that_knew_none() -> None:
    before = {"day": DAY, "spent": 30, "tokens": 30, "ended": {"tokens": 10}, "relays": {"p1": {"tokens": 15}, "gone": {"tokens": 5}}}
    assert month_of(replace(said("p1", DAY, 15, 400, None), status={"spending": before})) == 415
    assert month_of(replace(said("p1", DAY, 16, None, None), status={"spending": before})) == 31


def test_spending_of_a_month_takes_over_what_an_operator_that_knew_none_added_to_the_day_meanwhile() -> None:
    """An upgrade that was taken back for a while: the month stands as it was left."""
    day = {"day": DAY, "relays": {"p1": {"tokens": 15}, "came": {"tokens": 5}}}
    before = {**day, "month": {"month": MONTH, "ended": {"tokens": 200}, "relays": {"p1": {"tokens": 100}}}}
    assert month_of(replace(said("p1", DAY, 16, 116, None), status={"spending": before})) == 321
    assert month_of(replace(said("came", DAY, 6, 6, None), status={"spending": before})) == 306, "it is still there"
    stale = {**before, "month": {**before["month"], "month": "2026-10"}}
    assert month_of(replace(said("p1", DAY, 16, 16, None), status={"spending": stale})) == 21


def test_spending_each_budget_has_its_share_and_either_that_is_nearly_spent_is_near() -> None:
    found = said("p1", DAY, 30, 850, None, perDay=100, action="Stop")
    found = replace(found, spending=known(found))
    assert used(found) == {"budget_day": 0.3, "budget_month": 0.85}
    assert near_a_limit(found)
    over = said("p1", DAY, 100, 850, None, perDay=100, action="Stop")
    assert not near_a_limit(replace(over, spending=known(over))), "it is stopped"
    told = others(found)
    assert told is not None and told.word("new", None) == LimitsWord(DAY, 30, month=MONTH, month_spent=850)
    mine = told.word("pod-1", found.pods[0].status)
    assert (mine.spent, mine.month_spent, mine.but) == (0, 0, "p1")


def test_spending_of_processes_that_are_silent_the_one_that_was_heard_of_last_is_kept_apart() -> None:
    """It is the likeliest to speak again, and would be counted twice."""
    record = known(seen(("steady", 7)))
    for number in range(MOST_PROCESSES - 1):
        record = known(seen(("steady", 7), (f"short {number}", 1), before=record))
    for number in range(3):
        record = known(seen((f"late {number}", 1), before=record))
    assert sum_of(seen(("steady", 8), before=record)) == 8 + MOST_PROCESSES - 1 + 3


def restarted(record: Spending, *tokens: int | tuple[str, int]) -> Observed:
    """What another operator finds: the status as the API server gives it back, with its keys sorted."""
    limits = {"perDay": None, "perMonth": 1_000_000}
    written = spending_status(replace(seen(**limits), spending=record))
    return replace(seen(*tokens, **limits), status={"spending": json.loads(json.dumps(written, sort_keys=True))})


@pytest.mark.parametrize("budget", ["day", "month"])
def test_spending_of_a_relay_that_misses_the_first_question_of_another_operator_is_not_counted_twice(budget: str) -> None:
    def in_all(record: Spending) -> int:
        return total(record.day if budget == "day" else record.month).tokens

    record = known(seen(("a lives", 1000)))
    for number in range(MOST_PROCESSES + 10):
        record = known(seen(("a lives", 1000), (f"b ended {number:03}", 50), before=record))
    assert in_all(record) == 1000 + 50 * (MOST_PROCESSES + 10)
    found = restarted(record)
    missed = replace(found, pods=(replace(SILENT, name="pod-1"),))
    again = known(missed)
    assert in_all(again) == in_all(record)
    found = restarted(again, ("a lives", 1010))
    assert in_all(known(found)) == in_all(record) + 10
    assert in_all(known(replace(found, spending=again))) == in_all(record) + 10


def test_spending_of_many_relays_that_all_miss_a_question_is_not_counted_twice() -> None:
    many = seen(*[10] * (MOST_PROCESSES + 36))
    record = known(many)
    mute = replace(many, pods=tuple(replace(pod, status=None, begun=True) for pod in many.pods), spending=record)
    assert sum_of(replace(many, spending=known(mute))) == sum_of(many)


def test_spending_processes_are_bounded_while_a_relay_says_nothing_for_long() -> None:
    record = Spending(Tally(DAY), Tally(MONTH))
    for number in range(MOST_SILENT + 20):
        found = seen((f"process {number}", 2), before=record)
        record = known(replace(found, pods=(*found.pods, SILENT)))
    assert MOST_PROCESSES < len(record.day.relays) <= MOST_SILENT + 1
    assert total(record.day).tokens == 2 * (MOST_SILENT + 20)
    record = known(replace(seen(("process 1", 2), before=record), pods=(PodFact("pod-2"),)))
    assert len(record.day.relays) == MOST_PROCESSES, "a pod that never began has spent nothing"


def test_spending_of_a_process_never_shrinks_in_its_day() -> None:
    record = known(seen(100, 20))
    assert sum_of(seen(3, 20, before=record)) == 120, "its clock was set back, and it began anew"
    assert sum_of(seen(130, 20, before=known(seen(3, 20, before=record)))) == 150
    dear = Spending(Tally(DAY, relays={"p1": Amount(1000, 7.0)}), Tally(MONTH))
    assert sum_of(seen(1000, before=dear, perDay=2, prices=PRICES)) == 1, "but by other prices it may cost less"


def test_spending_goes_on_while_a_clock_is_set_back_over_midnight() -> None:
    midnight = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    record = known(seen(100, 20, day="2026-12-01"), midnight + 1)
    assert sum_of(seen(100, day="2026-12-01", before=record), midnight - 30) == 120
    assert month_of(seen(100, day="2026-12-01", before=record), midnight - 30) == 120
    back = seen(7, before=record)
    assert sum_of(back, AT) == 7, "by hours: it was wrong before, and that day is not waited for"


def test_spending_is_nobodys_matter_without_a_budget() -> None:
    found = well()
    assert (spending(found, AT), others(found), used(found), spending_status(found)) == (None, None, {}, None)
    assert "spending" not in make_plan(found, NOON).status


def test_spending_each_relay_is_told_of_the_others() -> None:
    found = seen(100, 20, 3)
    one = found.pods[0].status
    assert one is not None and one.spend is not None
    coming = replace(found.pods[0], status=one.model_copy(update={"spend": one.spend.model_copy(update={"expected": 40.0})}))
    found = replace(found, pods=(coming, *found.pods[1:]))
    found = replace(found, spending=known(found))
    told = others(found)
    assert told is not None
    words = {pod.name: told.word(pod.name, pod.status) for pod in found.pods}
    assert words == {
        "pod-1": LimitsWord(DAY, 23, but="p1"),
        "pod-2": LimitsWord(DAY, 103, but="p2", coming=40),
        "pod-3": LimitsWord(DAY, 120, but="p3", coming=40),
    }
    assert told.word("pod-9", None) == LimitsWord(DAY, 123, coming=40), "a new one is told of all"


def test_spending_each_relay_is_told_how_many_calls_the_others_have() -> None:
    found = seen(100, 20, calls=4)
    found = replace(found, owner=well(limits={"maxCalls": 9}).owner)
    told = others(found)
    assert told is not None and told.word("pod-1", found.pods[0].status) == LimitsWord(calls=4)
    assert used(found) == {"calls": 8 / 9}
    silent = replace(found, pods=(found.pods[0], replace(found.pods[1], status=None)))
    told = others(silent)
    assert told is not None and told.word("pod-1", found.pods[0].status) == LimitsWord(), "that it has none is not said"


SILENT = PodFact("pod-2", "10.0.0.2", ready=True, begun=True)


@pytest.mark.parametrize(
    ("other", "calls"),
    [
        (SILENT, None),
        (replace(SILENT, ready=False), None),  # begun, and unready since
        (replace(SILENT, begun=False, ready=False), 4),  # it has not begun: nobody is sent there
        (PodFact("pod-2"), 4),
        (replace(SILENT, terminating=True), 4),  # it has ended
        (replace(SILENT, terminating=True, unreadable=True), None),
        (replace(SILENT, status=status("x", active_calls=5), late=True), 9),  # as it was known last
    ],
)
def test_spending_calls_of_a_relay_that_does_not_answer_are_unknown_and_not_zero(other: PodFact, calls: int | None) -> None:
    found = seen(100, calls=4, action="Stop")
    found = replace(found, owner=well(limits={"maxCalls": 10}).owner, pods=(*found.pods, other))
    assert live_calls(found) == calls
    assert make_plan(found, NOON).status["relay"].get("activeCalls") == calls
    assert used(found) == ({} if calls is None else {"calls": calls / 10})
    assert near_a_limit(found) is (calls is None or calls > 8)
    full = replace(found, owner=well(limits={"maxCalls": 4}).owner)
    assert used(full)["calls"] >= 1, "that many there are for certain"


def test_spending_a_relay_that_may_have_calls_is_not_at_rest() -> None:
    idle = seen(1, calls=0)
    silent = replace(idle, pods=(*idle.pods, SILENT))

    def pause(found: Observed) -> float:
        return until_next_pass(found, 600, rolling=False, apply_failed=False, steady=9, objects=10_000)

    assert (pause(idle), pause(silent)) == (LONGEST_POLL_SECONDS, LONGEST_SCALING_SECONDS)


@pytest.mark.parametrize(
    "word",
    [
        LimitsWord(DAY, 12.5, 3, "0a1b", 4.5),
        LimitsWord(DAY, 0.0),
        LimitsWord(calls=0),
        LimitsWord(),
        LimitsWord(DAY, 1.0, 2, "p", 3.0, MONTH, 4.5),
    ],
)
def test_spending_a_word_is_read_as_it_was_written(word: LimitsWord) -> None:
    assert LimitsWord.read(word.as_header()) == word


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("day=2026-11-30 spent=3 calls=2 year=9", LimitsWord(DAY, 3, 2)),  # a later operator says more
        ("month=2026-11 monthspent=7", LimitsWord(month=MONTH, month_spent=7)),
        ("day=2026-11-30 spent=3 month=9 monthspent=7", LimitsWord(DAY, 3)),
        ("month=2026-11 monthspent=-7 calls=1", LimitsWord(calls=1)),
        ("calls=2", LimitsWord(calls=2)),
        ("day=2026-11-30 calls=2", LimitsWord(calls=2)),
        ("spent=4", LimitsWord()),
        ("day=today spent=4", LimitsWord()),
        ("day=2026-11-30 spent=-1 calls=-1", LimitsWord()),
        ("day=2026-11-30 spent=nan calls=1e3", LimitsWord()),
        ("=== = x", LimitsWord()),
        ("x" * 100_000, LimitsWord()),
    ],
)
def test_spending_a_word_of_another_form_is_passed_over(header: str, word: LimitsWord) -> None:
    assert LimitsWord.read(header) == word


def test_spending_relays_hear_of_each_other_sooner_where_little_is_left() -> None:
    def pause(found: Observed, *, steady: int = 0, objects: int = 1) -> float:
        return until_next_pass(found, 600, rolling=False, apply_failed=False, steady=steady, objects=objects)

    far, near = seen(100, 20, action="Stop"), seen(700, 120, action="Stop")
    assert pause(replace(far, spending=known(far))) == POLL_SECONDS
    assert pause(replace(near, spending=known(near))) == SCALING_SECONDS
    for rest in (seen(700, 120, action="Warn"), seen(900, 120, action="Stop")):
        assert pause(replace(rest, spending=known(rest))) == POLL_SECONDS, "nothing is to be stopped, or all is"
    idle = seen(700, 120, calls=0, action="Stop")
    assert pause(replace(idle, spending=known(idle))) == POLL_SECONDS
    assert pause(far, steady=9, objects=10_000) == LONGEST_SCALING_SECONDS
    assert pause(seen(1, calls=0), steady=9, objects=10_000) == LONGEST_POLL_SECONDS


def test_spending_is_a_figure_that_is_written_now_and_then() -> None:
    def written(found: Observed) -> dict[str, Any]:
        return make_plan(found, NOON).status

    before = written(seen(100, 20))
    figures = {"spent": 120.0, "tokens": 120, "relays": {"p1": {"tokens": 100}, "p2": {"tokens": 20}}}
    assert before["spending"] == {"day": DAY, **figures, "month": {"month": MONTH, **figures}}
    after = written(replace(seen(150, 20), status=before))
    assert not worth_writing(before, after, since_figures=5.0)
    assert worth_writing(before, after, since_figures=31.0)
    assert worth_writing(before, written(replace(seen(2000, 20), status=before)), since_figures=0.0), "a condition is told at once"
