"""What is counted of the prompts of a roll-out."""

from __future__ import annotations

from voiceassist_crds.status import PromptCounts
from voiceassist_relay.interfaces import OutputForm
from voiceassist_relay.metrics.revision_counts import CallCounts, RevisionCounts


def begun() -> RevisionCounts:
    counts = RevisionCounts(iter([7.0, 8.0, 9.0]).__next__)
    counts.use("new.1", ["old", "new"])
    return counts


def test_revision_counts_what_turns_and_answers_come_to() -> None:
    counts = begun()
    call = CallCounts(counts)
    call.began("new")
    for outcome in ("suggested", "not_relevant", "failed", "incomplete", "merged", "paused", "unheard of"):
        call.turn("new", outcome)
    for seconds in (2.0, 2.1, 3.0):
        call.answered("new", seconds)
    found = counts.snapshot()
    assert (found.id, found.since) == ("new.1", 7.0)
    expected = {"calls": 1, "calls_with_failures": 1, "turns": 4, "failed": 2, "not_relevant": 1, "answers": 3, "late": 2}
    assert {name: value for name, value in found.prompts["new"] if value} == expected | {
        "measured_calls": 1,
        "measured_turns": 4,
        "turns_squared": 16,
        "calls_with_late": 1,
        "calls_with_not_relevant": 1,
    }
    assert found.prompts["old"] == PromptCounts()


def test_revision_counts_outputs_by_whether_they_had_the_form_asked_for() -> None:
    counts = begun()
    for form in OutputForm:
        CallCounts(counts).output("new", form)
    assert (counts.snapshot().prompts["new"].outputs, counts.snapshot().prompts["new"].repaired) == (3, 2)


def test_revision_counts_calls_are_counted_once_for_what_they_had() -> None:
    counts = begun()
    for _ in range(2):
        call = CallCounts(counts)
        for _ in range(3):
            call.output("new", OutputForm.REPAIRED)
            call.turn("new", "not_relevant")
    for sid in ("CA1", "CA1", "CA2"):
        counts.verdict("new", "down", call=sid)
    found = counts.snapshot().prompts["new"]
    assert (found.calls_with_repairs, found.calls_with_not_relevant, found.calls_with_negative) == (2, 2, 2)
    assert (found.repaired, found.not_relevant, found.negative) == (6, 6, 3)


def test_revision_counts_sums_over_calls_are_those_of_their_last_state() -> None:
    counts = begun()
    first, second = CallCounts(counts), CallCounts(counts)
    first.began("new")
    second.began("new")
    for call, tokens in ((first, 100), (second, 300), (first, 50)):
        call.turn("new", "suggested")
        call.tokens("new", tokens)
    first.tokens("new", 7)
    found = counts.snapshot().prompts["new"]
    assert (found.measured_calls, found.measured_turns, found.tokens) == (2, 3, 457)
    assert found.turns_squared == 2**2 + 1**2
    assert found.tokens_squared == 157**2 + 300**2
    assert found.tokens_by_turns == 157 * 2 + 300 * 1


def test_revision_counts_tokens_of_calls_that_began_before_are_not_held_against_anybody() -> None:
    """They read a longer conversation again with each turn; the canary has no such calls yet."""
    counts = begun()
    before, elsewhere = CallCounts(counts), CallCounts(counts)
    before.began("old")
    counts.use("new.2", ["old", "new"])
    for call in (before, elsewhere):
        call.turn("old", "suggested")
        call.tokens("old", 5000)
    found = counts.snapshot().prompts["old"]
    assert (found.turns, found.measured_calls, found.measured_turns, found.tokens) == (2, 0, 0, 0)


def test_revision_counts_a_verdict_that_was_changed_counts_once() -> None:
    counts = begun()
    counts.verdict("new", "up")
    counts.verdict("new", "down", "up")
    assert (counts.snapshot().prompts["new"].verdicts, counts.snapshot().prompts["new"].negative) == (1, 1)
    counts.verdict("new", "down", "down")
    assert counts.snapshot().prompts["new"].negative == 1
    counts.verdict("new", "edited", "down")
    counts.verdict("new", "up", "edited")
    assert (counts.snapshot().prompts["new"].verdicts, counts.snapshot().prompts["new"].negative) == (1, 0)
    counts.verdict("new", "up", "down")
    assert counts.snapshot().prompts["new"].negative == -1, "what was given at another relay: their sum is right"


def test_revision_counts_each_roll_out_begins_at_zero_and_others_are_not_counted() -> None:
    counts = begun()
    call = CallCounts(counts)
    call.turn("new", "failed")
    call.turn("foreign", "failed")
    counts.use("new.1", ["old", "new"])
    assert set(counts.snapshot().prompts) == {"old", "new"}
    assert counts.snapshot().prompts["new"].failed == 1, "the same one goes on"
    counts.use("new.2", ["old", "new"])
    assert (counts.snapshot().since, counts.snapshot().prompts["new"]) == (8.0, PromptCounts())
    counts.use("", ["old"])
    call.turn("old", "failed")
    assert counts.snapshot().prompts == {}
