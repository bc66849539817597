"""What is counted of the prompts of a roll-out."""

from __future__ import annotations

from voiceassist_crds.status import PromptCounts
from voiceassist_relay.metrics.revision_counts import RevisionCounts


def begun() -> RevisionCounts:
    counts = RevisionCounts(iter([7.0, 8.0, 9.0]).__next__)
    counts.use("new.1", ["old", "new"])
    return counts


def test_revision_counts_what_turns_and_answers_come_to() -> None:
    counts = begun()
    counts.call("new")
    for outcome in ("suggested", "not_relevant", "failed", "incomplete", "merged", "paused", "unheard of"):
        counts.turn("new", outcome)
    counts.call_failed("new")
    counts.answered("new", 2.0)
    counts.answered("new", 2.1)
    found = counts.snapshot()
    assert (found.id, found.since) == ("new.1", 7.0)
    assert found.prompts["new"] == PromptCounts(calls=1, calls_with_failures=1, turns=4, failed=2, not_relevant=1, answers=2, late=1)
    assert found.prompts["old"] == PromptCounts()


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
    counts.turn("new", "failed")
    counts.turn("foreign", "failed")
    counts.use("new.1", ["old", "new"])
    assert set(counts.snapshot().prompts) == {"old", "new"}
    assert counts.snapshot().prompts["new"].failed == 1, "the same one goes on"
    counts.use("new.2", ["old", "new"])
    assert (counts.snapshot().since, counts.snapshot().prompts["new"]) == (8.0, PromptCounts())
    counts.use("", ["old"])
    counts.turn("old", "failed")
    assert counts.snapshot().prompts == {}
