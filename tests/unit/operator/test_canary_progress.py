"""Where a canary goes, from look to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voiceassist_crds.resource import RolloutSpec
from voiceassist_crds.status import PromptCounts, RolloutCounts
from voiceassist_operator.policy.canary.counts import Report, merged, total
from voiceassist_operator.policy.canary.progress import Progress, advance, seconds_of, without_its_text
from voiceassist_operator.policy.canary.record import decided, from_status, news, to_status
from voiceassist_operator.policy.observed import Orders
from voiceassist_operator.policy.rollout import previous_in_force

CANARY = RolloutSpec.model_validate(
    {
        "strategy": "Canary",
        "canary": {
            "steps": [
                {"weight": 5, "pause": {"duration": "1m"}},
                {"weight": 50, "pause": {"turns": 30}},
                {"weight": 90, "pause": {"calls": 5}},
            ],
            "analysis": {"minimumTurns": 10},
        },
    }
)
GOOD = PromptCounts(calls=40, turns=200, failed=2)
BAD = PromptCounts(calls=40, turns=60, failed=20, calls_with_failures=20)
NOBODY = Orders()


def look(
    before: Progress | None,
    desired: str,
    now: float,
    *,
    counts: Mapping[str, PromptCounts] | None = None,
    orders: Orders = NOBODY,
    rollout: RolloutSpec = CANARY,
    previous: str = "",
) -> Progress:
    reports = [Report("pod", RolloutCounts(id=before.id if before else "", since=1, prompts=counts or {}))]
    return advance(before, desired, previous, rollout, orders, reports, now)


def begun() -> Progress:
    return look(Progress("old"), "new", 100)


def test_canary_progress_an_objects_first_prompt_is_none() -> None:
    assert look(None, "new", 0) == Progress("new")


def test_canary_progress_a_changed_prompt_begins_with_the_first_step_and_says_what_it_waits_for() -> None:
    found = begun()
    assert (found.stable, found.canary, found.weight, found.id) == ("old", "new", 5, "new.100.1")
    assert found.waits_for == "60 s more, 10 more turns of the canary, of 10"


def test_canary_progress_a_good_one_takes_every_step_and_is_in_force() -> None:
    found = look(begun(), "new", 160, counts={"new": PromptCounts(calls=2, turns=12), "old": GOOD})
    assert (found.weight, found.step) == (50, 1)
    assert found.waits_for == "30 more turns of the canary"
    found = look(found, "new", 161, counts={"new": PromptCounts(calls=4, turns=41), "old": GOOD})
    assert (found.weight, found.waits_for) == (50, "1 more turns of the canary")
    found = look(found, "new", 162, counts={"new": PromptCounts(calls=4, turns=42), "old": GOOD})
    assert (found.weight, found.waits_for) == (90, "5 more calls of the canary")
    assert look(found, "new", 163, counts={"new": PromptCounts(calls=9, turns=60), "old": GOOD}) == Progress("new")


def test_canary_progress_too_few_turns_are_no_verdict() -> None:
    found = begun()
    for now in range(160, 4000, 60):
        found = look(found, "new", now, counts={"new": PromptCounts(turns=9), "old": GOOD})
    assert (found.step, found.waits_for) == (0, "1 more turns of the canary, of 10")


LIMITED = CANARY.model_copy(
    update={"canary": CANARY.canary.model_copy(update={"analysis": CANARY.canary.analysis.model_copy(update={"max_duration": "3m"})})}
)


def test_canary_progress_one_without_a_verdict_for_too_long_is_taken_back() -> None:
    found = look(Progress("old"), "new", 100, rollout=LIMITED)
    for now in (160, 220, 279):
        found = look(found, "new", now, counts={"new": PromptCounts(turns=9), "old": GOOD}, rollout=LIMITED)
        assert found.canary == "new"
    found = look(found, "new", 281, counts={"new": PromptCounts(turns=9), "old": GOOD}, rollout=LIMITED)
    assert (found.stable, found.canary, found.rejected) == ("old", "", "new")
    assert found.rejected_for == "no verdict within 3m: step 1 waited for 1 more turns of the canary, of 10"


def test_canary_progress_the_time_for_a_verdict_stands_still_while_somebody_holds_the_canary_or_nobody_looks() -> None:
    found, held = look(Progress("old"), "new", 100, rollout=LIMITED), Orders(hold=True)
    for now in range(160, 4000, 60):
        found = look(found, "new", now, rollout=LIMITED, orders=held)
    assert (found.canary, found.lasted) == ("new", 0)
    found = look(from_status(to_status(found)), "new", 99_999, rollout=LIMITED)
    assert (found.canary, found.lasted) == ("new", 60)


def test_canary_progress_a_step_that_is_over_in_time_is_taken_though_the_time_is_up() -> None:
    found = replace(look(Progress("old"), "new", 100, rollout=LIMITED), lasted=500.0, seconds=500.0)
    assert look(found, "new", 160, rollout=LIMITED, counts={"new": PromptCounts(turns=12), "old": GOOD}).step == 1


def test_canary_progress_what_people_ask_is_told_once_with_who_and_why() -> None:
    by = {"hold": "ann: lunch", "promote": "bob: good", "abort": "cy: bad", "retry": "di: again"}
    held = look(begun(), "new", 101, orders=Orders(hold=True, by=by))
    assert held.asked == (("pause", "ann: lunch"),)
    held = look(from_status(to_status(held)), "new", 102, orders=Orders(hold=True, by=by))
    assert held.asked == ()
    assert look(held, "new", 103, orders=Orders(by=by)).asked == (("resume", "ann: lunch"),)
    aborted = look(begun(), "new", 101, orders=Orders(abort="new", by=by))
    assert aborted.asked == (("abort", "cy: bad"),)
    assert aborted.rejected_for == "its end was asked for by annotation (cy: bad)"
    again = look(aborted, "new", 102, orders=Orders(abort="new", retry="new", by=by))
    assert again.asked == (("retry", "di: again"),)
    promoted = look(again, "new", 103, orders=Orders(abort="new", retry="new", promote="new", by=by))
    assert promoted.asked == (("promote", "bob: good"),)
    orders = Orders(abort="new.2", retry="new", promote="new", by=by)
    assert look(promoted, "new", 104, orders=orders, previous="old").asked == (("rollback", "cy: bad"),)


def test_canary_progress_a_bad_one_is_rejected_and_not_tried_again() -> None:
    found = look(begun(), "new", 101, counts={"new": BAD, "old": GOOD})
    assert (found.stable, found.canary, found.rejected) == ("old", "", "new")
    assert found.rejected_for.startswith("TurnFailure: 20 of 60 turns failed (33.3%); 2 of 200 with the stable one")
    assert look(found, "new", 5000) == found, "a tool that applies it again changes nothing"
    assert look(found, "new", 5000, rollout=RolloutSpec()) == found
    assert look(found, "newer", 5000).canary == "newer"
    assert look(found, "old", 5000) == Progress("old")


def test_canary_progress_a_rejected_one_is_tried_again_when_asked_once() -> None:
    rejected = look(begun(), "new", 101, counts={"new": BAD, "old": GOOD})
    again = Orders(retry="new")
    found = look(rejected, "new", 200, orders=again)
    assert (found.canary, found.rejected) == ("new", "")
    assert look(found, "new", 201, orders=again).canary == "new", "it goes on while the annotation is there"
    twice = look(found, "new", 202, orders=again, counts={"new": BAD, "old": GOOD})
    assert twice.rejected == "new"
    assert look(twice, "new", 203, orders=again) == twice, "the same order is obeyed once"
    assert look(twice, "new", 203, orders=Orders(retry="new.2")).canary == "new"


def test_canary_progress_what_was_counted_of_the_first_attempt_is_not_held_against_the_second() -> None:
    """The relays still report the first one when the second begins, be it in the same second."""
    first = begun()
    report = Report("pod", RolloutCounts(id=first.id, since=1, prompts={"new": BAD, "old": GOOD}))
    rejected = advance(first, "new", "", CANARY, NOBODY, [report], 100)
    assert rejected.rejected == "new"
    kept = from_status(to_status(rejected))
    again = advance(kept, "new", "", CANARY, Orders(retry="new"), [report], 100)
    assert again.id != first.id
    assert advance(from_status(to_status(again)), "new", "", CANARY, NOBODY, [report], 100).canary == "new"


def test_canary_progress_the_newest_of_two_edits_is_tried_and_the_stable_one_stays() -> None:
    found = look(begun(), "newer", 120, counts={"new": BAD})
    assert (found.stable, found.canary, found.weight, found.id) == ("old", "newer", 5, "newer.120.2")
    assert look(found, "old", 130) == Progress("old"), "taking it back ends it"


def test_canary_progress_people_promote_abort_and_hold() -> None:
    assert look(begun(), "new", 101, orders=Orders(promote="new")).stable == "new"
    assert look(begun(), "new", 101, orders=Orders(promote="other")).canary == "new", "an order about another revision is none"
    aborted = look(begun(), "new", 101, orders=Orders(abort="new"))
    assert (aborted.stable, aborted.rejected) == ("old", "new")
    held = look(begun(), "new", 160, orders=Orders(hold=True), counts={"new": PromptCounts(calls=2, turns=12), "old": GOOD})
    assert (held.step, held.waits_for) == (0, "the annotation that holds it to be taken away")
    assert look(held, "new", 161, orders=Orders(hold=True), counts={"new": BAD, "old": GOOD}).rejected == "new"


def test_canary_progress_what_is_in_force_is_taken_back_by_abort() -> None:
    found = look(Progress("new"), "new", 50, orders=Orders(abort="new"), previous="old", rollout=RolloutSpec())
    assert (found.stable, found.rejected) == ("old", "new")
    assert look(found, "new", 51, orders=Orders(abort="new"), previous="old", rollout=RolloutSpec()) == found


def test_canary_progress_a_step_without_a_pause_waits_for_somebody() -> None:
    by_hand = RolloutSpec.model_validate({"strategy": "Canary", "canary": {"steps": [{"weight": 10}], "analysis": {"minimumTurns": 0}}})
    found = look(Progress("old"), "new", 100, rollout=by_hand)
    assert found.waits_for == "somebody to promote it"
    assert look(found, "new", 9999, rollout=by_hand, counts={"new": GOOD, "old": GOOD}).canary == "new"


def test_canary_progress_a_clock_that_jumps_and_an_operator_that_was_away_end_no_step() -> None:
    enough = {"new": PromptCounts(calls=2, turns=12), "old": GOOD}
    slow = RolloutSpec.model_validate({"strategy": "Canary", "canary": {"steps": [{"weight": 5, "pause": {"duration": "10m"}}]}})
    found = look(Progress("old"), "new", 100, rollout=slow)
    found = look(found, "new", 1_000_000, rollout=slow, counts=enough)
    assert found.seconds == 60
    found = look(found, "new", 50, rollout=slow, counts=enough)
    assert found.seconds == 60
    assert look(found, "new", 51, rollout=slow, counts=enough).seconds == 61


def test_canary_progress_survives_the_status() -> None:
    found = look(begun(), "new", 130, counts={"new": PromptCounts(calls=2, turns=5, failed=1), "old": GOOD})
    status = to_status(found)
    assert status["canary"] == {"calls": 2, "turns": 5, "failed": 1}
    assert status["stable"] == {"calls": 40, "turns": 200, "failed": 2}
    assert from_status(status) == found
    assert from_status({}) is None
    rejected = look(found, "new", 131, counts={"new": BAD, "old": GOOD}, orders=Orders(abort="x"))
    assert from_status(to_status(rejected)) == rejected


def test_canary_progress_what_calls_get_is_decided_and_the_rest_are_figures() -> None:
    first, later = begun(), look(begun(), "new", 130, counts={"new": PromptCounts(turns=5)})
    assert not decided(to_status(first), to_status(later))
    assert decided(to_status(Progress("old")), to_status(first))
    assert decided(to_status(first), to_status(replace(first, weight=50)))


def test_canary_progress_tells_its_story() -> None:
    rejected = look(begun(), "new", 101, counts={"new": BAD, "old": GOOD})
    assert [one.reason for one in news(Progress("old"), begun())] == ["CanaryBegun"]
    assert [one.reason for one in news(begun(), replace(begun(), step=1, weight=50))] == ["CanaryStep"]
    assert [one.reason for one in news(begun(), Progress("new"))] == ["CanaryEnded"]
    [told] = news(begun(), rejected)
    assert (told.reason, told.warning) == ("CanaryRejected", True)
    assert "TurnFailure" in told.text
    assert news(None, Progress("new")) == []
    assert news(begun(), begun()) == []


def test_canary_progress_what_a_version_before_counted_is_added_to_what_this_one_counts() -> None:
    older = {"pods": {"a": {"since": 1, "prompts": {"new": [4, 1, 9]}}}, "over": {"new": [1, 0, 2]}}
    counts = PromptCounts(calls=1, turns=5, outputs=5, repaired=2)
    record = merged(older, [Report("b", RolloutCounts(id="x", since=1, prompts={"new": counts}))])
    assert total(record, "new") == PromptCounts(calls=6, calls_with_failures=1, turns=16, outputs=5, repaired=2)


def test_canary_progress_counts_of_pods_that_end_or_begin_anew_stay() -> None:
    def report(pod: str, since: float, turns: int) -> Report:
        return Report(pod, RolloutCounts(id="x", since=since, prompts={"new": PromptCounts(turns=turns)}))

    record = merged({}, [report("a", 1, 5), report("b", 1, 7)])
    record = merged(record, [report("a", 1, 6)])
    assert total(record, "new").turns == 13, "b is away: what it counted stays"
    record = merged(record, [report("a", 2, 1)])
    assert total(record, "new").turns == 14
    assert total(record, "old") == PromptCounts()
    for number in range(300):
        record = merged(record, [report(f"pod-{number}", 1, 1)])
    assert len(record["pods"]) == 200
    assert total(record, "new").turns == 314


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400)])
def test_canary_progress_durations(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


class Life(RuleBasedStateMachine):
    """Edits, reports, orders, clocks and operators that begin anew from the status, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.progress: Progress | None = None
        self.desired, self.now, self.orders = "r0", 1000.0, NOBODY
        self.counts: dict[str, PromptCounts] = {}
        self.refused: set[str] = set()
        self.steps: dict[str, int] = {}

    def look(self) -> None:
        before = self.progress
        self.progress = look(before, self.desired, self.now, counts=self.counts, orders=self.orders)
        if before is not None and before.canary and self.progress.canary == before.canary:
            assert 0 <= self.progress.step - before.step <= 1, "no step is skipped, none is taken back"
        if self.progress.canary and (before is None or before.canary != self.progress.canary):
            self.counts = {}
            assert self.progress.step == 0
        if before is not None and before.rejected == self.desired and self.orders == NOBODY:
            assert self.progress.rejected == self.desired, "a verdict is not forgotten"

    @rule(number=st.integers(0, 4))
    def edit(self, number: int) -> None:
        self.desired = f"r{number}"
        self.look()

    @rule(turns=st.integers(0, 40), failed=st.integers(0, 3))
    def turns(self, turns: int, failed: int) -> None:
        if self.progress is None or not self.progress.canary:
            return
        for revision, bad in ((self.progress.canary, failed), (self.progress.stable, 0)):
            old = self.counts.get(revision, PromptCounts())
            more = {"calls": old.calls + 1, "turns": old.turns + turns + bad, "failed": old.failed + bad}
            self.counts[revision] = old.model_copy(update=more | {"calls_with_failures": old.calls_with_failures + (bad > 0)})
        self.look()

    @rule(seconds=st.floats(-1e6, 1e6))
    def clock(self, seconds: float) -> None:
        self.now = max(self.now + seconds, 0)
        self.look()

    @rule(word=st.sampled_from(["promote", "abort", "retry"]), number=st.integers(0, 4), again=st.sampled_from(["", ".2"]))
    def order(self, word: str, number: int, again: str) -> None:
        self.orders = replace(NOBODY, **{word: f"r{number}{again}"})
        self.look()

    @rule()
    def nothing_is_asked(self) -> None:
        self.orders = NOBODY
        self.look()

    @rule()
    def another_operator(self) -> None:
        if self.progress is not None:
            self.progress = from_status(to_status(self.progress))
        self.look()

    @invariant()
    def one_of_each(self) -> None:
        progress = self.progress
        if progress is None:
            return
        assert progress.stable
        assert progress.canary in {"", self.desired}
        assert not (progress.canary and progress.rejected)
        assert progress.stable == self.desired or progress.canary or progress.rejected == self.desired, "what is asked for has an answer"
        assert (0 < progress.weight <= 100) is bool(progress.canary)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("outcome", ["Rejected", "Replaced"])
def test_canary_progress_a_roll_back_leads_to_what_was_in_force(outcome: str) -> None:
    history = [{"revision": "c"}, {"revision": "b", "outcome": outcome}, {"revision": "a"}]
    assert previous_in_force({"history": history}, "c", {"a", "b", "c"}) == "a"
    assert previous_in_force({"history": history}, "c", {"b", "c"}) == ""
    assert previous_in_force({"history": history}, "d", {"a", "b", "c"}) == "", "the history does not have the newest yet"
    assert previous_in_force({}, "c", {"a"}) == ""


def test_canary_progress_of_a_prompt_whose_text_is_lost_what_was_decided_stays() -> None:
    rejected = look(begun(), "new", 101, counts={"new": BAD, "old": GOOD})
    left = without_its_text(rejected, "older")
    assert (left.stable, left.rejected, left.rejected_for, left.number) == ("older", "new", rejected.rejected_for, 1)
    assert look(left, "new", 102) == left, "it is not tried again"
    again = look(without_its_text(begun(), "older"), "new", 102)
    assert (again.stable, again.canary, again.step) == ("older", "new", 0)
    assert again.id != begun().id, "what was seen beside the other is no figure of this one"
    assert without_its_text(rejected, "new").rejected == "", "there is nothing else"
    [told] = news(rejected, replace(left, lost="old"))
    assert (told.reason, told.warning) == ("PromptLost", True)
    assert "older is in its place" in told.text
