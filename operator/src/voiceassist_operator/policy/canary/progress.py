"""From one look to the next: whether a canary begins, stays, takes its next step, is promoted or is rejected. Pure.

All that is remembered is in the status, so that it does not matter which operator looks, or how often. Time is counted while somebody
looks: a clock that jumps, or an operator that is away, ends no step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from voiceassist_crds.resource import CanaryPause, CanarySpec, RolloutSpec
from voiceassist_crds.status import PromptCounts

from ..observed import Orders
from .analysis import judge
from .counts import Report, merged, total

LONGEST_LOOK_SECONDS = 60.0
"""What the time between two looks counts at most."""
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Asked(NamedTuple):
    """What somebody asked of a roll-out."""

    order: str
    """promote, abort, rollback, retry, pause or resume."""
    by: str
    """Who, and why, as far as they say."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a roll-out is; as it is kept in `status.prompt`."""

    stable: str
    canary: str = ""
    weight: int = 0
    step: int = 0
    steps: int = 0
    waits_for: str = ""
    """What the canary waits for before the next step."""
    started: float = 0.0
    looked: float = 0.0
    """Epoch seconds of the last look."""
    seconds: float = 0.0
    """That the step has lasted, while somebody looked."""
    lasted: float = 0.0
    """Seconds of the whole canary, while somebody looked and nobody held it."""
    step_calls: int = 0
    step_turns: int = 0
    """Of the canary when the step began."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    rejected: str = ""
    """A revision that is not tried again as it stands."""
    rejected_for: str = ""
    """The figures that decided, or who asked for it."""
    obeyed: tuple[str, ...] = ()
    """Orders that were obeyed and still stand on the object."""
    held: bool = False
    """Whether somebody had asked that no step be taken."""
    number: int = field(default=0, compare=False)
    """Canaries of the object until now: two that begin in the same second are two."""
    decision: str = field(default="", compare=False)
    """Why the stable prompt is in force since this look, for the history: it is in no later one."""
    lost: str = field(default="", compare=False)
    """A revision that was in force until this look and whose text is kept nowhere any more."""
    asked: tuple[Asked, ...] = field(default=(), compare=False)
    """What was asked and obeyed since the last look, for the history likewise."""

    @property
    def id(self) -> str:
        """The roll-out's name, for the relays' counts; empty while there is no canary."""
        return f"{self.canary}.{self.started:.0f}.{self.number}" if self.canary else ""


def seconds_of(duration: str) -> int:
    """Returns the seconds of a duration such as 1h30m. Raises ValueError."""
    found = _DURATION.fullmatch(duration)
    if not duration or found is None:
        raise ValueError(f"{duration!r} is no duration such as 90s, 10m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def advance(
    before: Progress | None, desired: str, previous: str, rollout: RolloutSpec, orders: Orders, reports: Iterable[Report], now: float
) -> Progress:
    """Returns where the roll-out is now. `desired` is the revision of what the object says, `previous` the one that was in force before
    the one that is, and `now` epoch seconds.

    `before` is None for an object that never had a prompt in force: its first one is no canary.
    """
    if before is None:
        return Progress(stable=desired, held=orders.hold)
    after = _advanced(before, desired, previous, rollout, orders, reports, now)
    return replace(after, held=orders.hold, asked=_asked(before, after, orders))


def without_its_text(before: Progress, other: str) -> Progress:
    """Returns what is left of a roll-out where the text of the stable prompt is lost: `other` is in force in its place. What was rejected
    stays so; a canary has to be tried anew, beside the other."""
    left = Progress(other, obeyed=before.obeyed, held=before.held, number=before.number)
    return replace(left, rejected=before.rejected, rejected_for=before.rejected_for) if before.rejected != other else left


def _asked(before: Progress, after: Progress, orders: Orders) -> tuple[Asked, ...]:
    """What people asked since the last look: orders that are obeyed now, and another will whether steps are taken."""
    found = []
    for order in after.obeyed:
        word = order.partition(" ")[0]
        if order not in before.obeyed:
            found.append(Asked("rollback" if word == "abort" and not before.canary else word, orders.by.get(word, "")))
    if orders.hold != before.held:
        found.append(Asked("pause" if orders.hold else "resume", orders.by.get("hold", "")))
    return tuple(found)


def _advanced(
    before: Progress, desired: str, previous: str, rollout: RolloutSpec, orders: Orders, reports: Iterable[Report], now: float
) -> Progress:
    asked = {f"{word} {value}" for word, value in (("promote", orders.promote), ("abort", orders.abort), ("retry", orders.retry)) if value}
    known = replace(before, obeyed=tuple(sorted(asked & set(before.obeyed))))

    def fresh(word: str, value: str) -> bool:
        """Whether something is asked for this revision, and was not obeyed yet. What follows a dot makes it another order."""
        return value.partition(".")[0] == desired and f"{word} {value}" not in known.obeyed

    def obeying(word: str, value: str) -> Progress:
        return replace(known, obeyed=(*known.obeyed, f"{word} {value}"))

    if desired == known.stable:
        if previous and fresh("abort", orders.abort):
            return _rejected(
                obeying("abort", orders.abort), previous, desired, _by("it was taken back by annotation", orders.by.get("abort", ""))
            )
        return _in_force(known, desired)  # what was tried is taken back, or is in force
    if desired == known.rejected:
        if not fresh("retry", orders.retry):
            return known
        known = obeying("retry", orders.retry)
    elif fresh("promote", orders.promote):
        return _in_force(obeying("promote", orders.promote), desired, _by("promoted by annotation", orders.by.get("promote", "")))
    elif fresh("abort", orders.abort):
        return _rejected(
            obeying("abort", orders.abort), known.stable, desired, _by("its end was asked for by annotation", orders.by.get("abort", ""))
        )
    if rollout.strategy != "Canary":
        return _in_force(known, desired)
    if known.canary != desired:
        return _begun(known, desired, rollout.canary, now)
    return _looked_at(known, rollout.canary, orders, reports, now)


def _by(what: str, who: str) -> str:
    return f"{what} ({who})" if who else what


def _in_force(before: Progress, revision: str, decision: str = "") -> Progress:
    return Progress(stable=revision, obeyed=before.obeyed, number=before.number, decision=decision)


def _rejected(before: Progress, stable: str, revision: str, why: str) -> Progress:
    return Progress(stable=stable, rejected=revision, rejected_for=why[:1000], obeyed=before.obeyed, number=before.number)


def _begun(before: Progress, canary: str, spec: CanarySpec, now: float) -> Progress:
    weight = spec.steps[0].weight
    begun = Progress(before.stable, canary, weight, steps=len(spec.steps), started=now, looked=now, obeyed=before.obeyed)
    begun = replace(begun, number=before.number + 1)
    lacks = judge(PromptCounts(), PromptCounts(), spec.analysis.checks, spec.analysis.minimum_turns).lacks
    return replace(begun, waits_for=_waits_for(begun, spec, lacks, PromptCounts(), held=False))


def _looked_at(before: Progress, spec: CanarySpec, orders: Orders, reports: Iterable[Report], now: float) -> Progress:
    own = [report for report in reports if report.counts.id == before.id]
    counts = merged(before.counts, own)
    canary, stable = total(counts, before.canary), total(counts, before.stable)
    judged = judge(canary, stable, spec.analysis.checks, spec.analysis.minimum_turns)
    if judged.finding is not None:
        return _rejected(before, before.stable, before.canary, judged.finding.text)
    elapsed = min(max(now - before.looked, 0.0), LONGEST_LOOK_SECONDS)
    step = min(before.step, len(spec.steps) - 1)  # the steps may have become fewer
    here = replace(
        before,
        weight=spec.steps[step].weight,
        step=step,
        steps=len(spec.steps),
        looked=now,
        seconds=before.seconds + elapsed,
        lasted=before.lasted + (0.0 if orders.hold else elapsed),
        counts=counts,
    )
    waits_for = _waits_for(here, spec, judged.lacks, canary, held=orders.hold)
    if waits_for:
        longest = spec.analysis.max_duration
        if longest is not None and here.lasted >= seconds_of(longest):
            return _rejected(before, before.stable, before.canary, f"no verdict within {longest}: step {step + 1} waited for {waits_for}")
        return replace(here, waits_for=waits_for)
    if step + 1 == len(spec.steps):
        passed = f"passed {len(spec.steps)} steps: {canary.failed} of {canary.turns} turns failed"
        return _in_force(before, before.canary, f"{passed}, {stable.failed} of {stable.turns} with the one before")
    weight = spec.steps[step + 1].weight
    entered = replace(here, weight=weight, step=step + 1, seconds=0.0, step_calls=canary.calls, step_turns=canary.turns)
    return replace(entered, waits_for=_waits_for(entered, spec, "", canary, held=False))


def _waits_for(here: Progress, spec: CanarySpec, lacks: str, canary: PromptCounts, *, held: bool) -> str:
    """What is missing before the step is over; empty where nothing is."""
    pause = spec.steps[here.step].pause
    found = ["the annotation that holds it to be taken away"] if held else []
    if pause == CanaryPause():
        found.append("somebody to promote it")
    if pause.duration is not None and (left := seconds_of(pause.duration) - here.seconds) > 0:
        found.append(f"{_rough(left)} more")
    if pause.calls is not None and (more := pause.calls - (canary.calls - here.step_calls)) > 0:
        found.append(f"{more} more calls of the canary")
    if pause.turns is not None and (more := pause.turns - (canary.turns - here.step_turns)) > 0:
        found.append(f"{more} more turns of the canary")
    return ", ".join([*found, lacks] if lacks else found)


def _rough(seconds: float) -> str:
    """A time as the status has it: coarse, so that it does not change with every look."""
    if seconds > 90:
        return f"{round(seconds / 60)} min"
    return f"{-(-int(seconds) // 10) * 10 or 10} s"
