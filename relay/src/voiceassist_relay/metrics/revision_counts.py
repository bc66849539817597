"""What calls with each revision of the prompt came to while a roll-out goes on: by this the operator judges a canary."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voiceassist_crds.status import PromptCounts, RolloutCounts

LATE_SECONDS = 2.0
"""From the customer's last syllable to Sync: an answer that takes longer is late (the objective of docs/slo.md)."""
FAILED = frozenset({"failed", "incomplete"})
_COUNTED = frozenset({"suggested", "not_relevant", *FAILED})
"""Turns that a prompt is judged by: not those that were merged, paused or dropped by what lies outside of it."""


class RevisionCounts:
    """Counts from 0 whenever another roll-out is heard of; of revisions that take part in it, and of no others."""

    def __init__(self, epoch: Callable[[], float]) -> None:
        self._epoch = epoch
        self._id, self._since = "", 0.0
        self._counts: dict[str, dict[str, int]] = {}

    def use(self, rollout: str, revisions: Iterable[str]) -> None:
        """The roll-out in force, empty for none, and the revisions that take part."""
        if rollout != self._id:
            self._id, self._since = rollout, self._epoch()
            self._counts = {revision: dict.fromkeys(PromptCounts.model_fields, 0) for revision in revisions} if rollout else {}

    def snapshot(self) -> RolloutCounts:
        """What was counted until now."""
        prompts = {revision: PromptCounts(**counts) for revision, counts in self._counts.items()}
        return RolloutCounts(id=self._id, since=self._since, prompts=prompts)

    def call(self, revision: str) -> None:
        """A call has begun with it."""
        self._add(revision, "calls")

    def call_failed(self, revision: str) -> None:
        """A turn failed in a call in which none had failed before."""
        self._add(revision, "calls_with_failures")

    def turn(self, revision: str, outcome: str) -> None:
        """A turn was handled."""
        if outcome in _COUNTED:
            self._add(revision, "turns")
            if outcome in FAILED:
                self._add(revision, "failed")
            elif outcome == "not_relevant":
                self._add(revision, "not_relevant")

    def answered(self, revision: str, seconds: float) -> None:
        """A suggestion was stored so many seconds after the customer had stopped speaking."""
        self._add(revision, "answers")
        if seconds > LATE_SECONDS:
            self._add(revision, "late")

    def verdict(self, revision: str, verdict: str, instead_of: str = "") -> None:
        """An agent's: up, down or edited; `instead_of` the one given before, perhaps at another relay: only all relays' sum is right."""
        if not instead_of:
            self._add(revision, "verdicts")
        if verdict == "down" != instead_of:
            self._add(revision, "negative")
        elif instead_of == "down" != verdict:
            self._add(revision, "negative", -1)

    def _add(self, revision: str, what: str, count: int = 1) -> None:
        counts = self._counts.get(revision)
        if counts is not None:
            counts[what] += count
