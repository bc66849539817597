"""What calls with each revision of the prompt came to while a roll-out goes on: by this the operator judges a canary."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voiceassist_crds.status import PromptCounts, RolloutCounts

from ..interfaces import OutputForm

LATE_SECONDS = 2.0
"""From the customer's last syllable to Sync: an answer that takes longer is late (the objective of docs/slo.md)."""
FAILED = frozenset({"failed", "incomplete"})
MOST_AGAINST = 100
"""Calls with a verdict against a prompt that are told apart."""
_COUNTED = frozenset({"suggested", "not_relevant", *FAILED})
"""Turns that a prompt is judged by: not those that were merged, paused or dropped by what lies outside of it."""


class RevisionCounts:
    """Counts from 0 whenever another roll-out is heard of; of revisions that take part in it, and of no others."""

    def __init__(self, epoch: Callable[[], float]) -> None:
        self._epoch = epoch
        self.id, self._since = "", 0.0
        self._counts: dict[str, dict[str, int]] = {}
        self._against: set[tuple[str, str]] = set()
        """Revisions and calls with a verdict against them; no more than are needed to tell many calls from a few."""

    def use(self, rollout: str, revisions: Iterable[str]) -> None:
        """The roll-out in force, empty for none, and the revisions that take part."""
        if rollout != self.id:
            self.id, self._since = rollout, self._epoch()
            self._against.clear()
            self._counts = {revision: dict.fromkeys(PromptCounts.model_fields, 0) for revision in revisions} if rollout else {}

    def snapshot(self) -> RolloutCounts:
        """What was counted until now."""
        prompts = {revision: PromptCounts(**counts) for revision, counts in self._counts.items()}
        return RolloutCounts(id=self.id, since=self._since, prompts=prompts)

    def verdict(self, revision: str, verdict: str, instead_of: str = "", call: str = "") -> None:
        """An agent's: up, down or edited; `instead_of` the one given before, perhaps at another relay: only all relays' sum is right."""
        if verdict == "down" and (revision, call) not in self._against and len(self._against) < MOST_AGAINST:
            self._against.add((revision, call))
            self.add(revision, calls_with_negative=1)
        self.add(revision, verdicts=int(not instead_of), negative=int(verdict == "down") - int(instead_of == "down"))

    def add(self, revision: str, **more: int) -> None:
        """Adds to the counts of a revision that takes part, by the names that `PromptCounts` has."""
        counts = self._counts.get(revision)
        if counts is not None:
            for what, count in more.items():
                counts[what] += count


class CallCounts:
    """One call's share of them. Turns of one call are not independent of each other, so some things are counted by calls."""

    def __init__(self, counts: RevisionCounts) -> None:
        self._counts = counts
        self.failed_with: list[str] = []
        """Revisions with which a turn failed in this call, be it at another relay."""
        self._had: list[tuple[str, str, str]] = []
        """Roll-outs, revisions, and what is counted by calls and was counted of this one."""
        self._began_in = ""
        """The roll-out in which the call began here; empty if that was before, or elsewhere."""
        self._spent: dict[str, tuple[int, int]] = {}
        """Turns and tokens by revision, of a call that began in the roll-out: longer ones have more behind them, which is read again."""

    def began(self, revision: str) -> None:
        """The call has begun with it."""
        self._began_in = self._counts.id
        self._counts.add(revision, calls=1)

    def turn(self, revision: str, outcome: str, *, whole: bool = True) -> None:
        """A turn was handled. `whole` False: what happened in this call before is not known, so that it may be counted as one that failed
        already."""
        if outcome not in _COUNTED:
            return
        failed = outcome in FAILED
        self._counts.add(revision, turns=1, failed=int(failed), not_relevant=int(outcome == "not_relevant"))
        if outcome == "not_relevant":
            self._once(revision, "calls_with_not_relevant")
        self._spend(revision, turns=1)
        if failed and revision not in self.failed_with:
            self.failed_with.append(revision)
            if whole:
                self._counts.add(revision, calls_with_failures=1)

    def output(self, revision: str, form: OutputForm) -> None:
        """What the model wrote for a turn was read."""
        self._counts.add(revision, outputs=1, repaired=int(form is not OutputForm.CLEAN))
        if form is not OutputForm.CLEAN:
            self._once(revision, "calls_with_repairs")

    def answered(self, revision: str, seconds: float) -> None:
        """A suggestion was stored so many seconds after the customer had stopped speaking."""
        late = seconds > LATE_SECONDS
        self._counts.add(revision, answers=1, late=int(late))
        if late:
            self._once(revision, "calls_with_late")

    def _once(self, revision: str, what: str) -> None:
        """Counts the call itself, the first time."""
        if (self._counts.id, revision, what) not in self._had:
            self._had.append((self._counts.id, revision, what))
            self._counts.add(revision, **{what: 1})

    def tokens(self, revision: str, count: int) -> None:
        """A response ended: the tokens that it took, input and output."""
        self._spend(revision, tokens=count)

    def _spend(self, revision: str, *, turns: int = 0, tokens: int = 0) -> None:
        """The sums from which the mean by turn follows, and how far calls are apart in it."""
        if not self._began_in or self._began_in != self._counts.id:
            return
        calls = int(revision not in self._spent)
        turns_before, tokens_before = self._spent.get(revision, (0, 0))
        self._spent[revision] = turns_now, tokens_now = turns_before + turns, tokens_before + tokens
        self._counts.add(
            revision,
            measured_calls=calls,
            measured_turns=turns,
            tokens=tokens,
            turns_squared=turns_now**2 - turns_before**2,
            tokens_squared=tokens_now**2 - tokens_before**2,
            tokens_by_turns=tokens_now * turns_now - tokens_before * turns_before,
        )
