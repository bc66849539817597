"""What the calls of a VoiceAssist spent in a day, all relays together, and what each relay is told of the others. Pure.

Each relay process says what it spent itself since the day began, so that nothing is counted twice however often it is asked, and whoever
asks. What a process said last stands for the day, also when it is no more. The day is UTC's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from voiceassist_crds.config import Budget, OverBudget
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_crds.resource import BudgetSpec, VoiceAssistSpec
from voiceassist_crds.status import RelayStatus

from .observed import Amount, Observed, PodFact, Spending
from .rollout import current_pods

MOST_PROCESSES: Final = 64
"""Processes that say nothing any more and are kept apart from those that ended: one of them may speak again."""
NEAR: Final = 0.8
"""The share of a limit from which on relays are asked more often."""


def budget_of(spec: BudgetSpec) -> Budget:
    """The budget as relays are told it."""
    return Budget.model_validate(spec.model_dump(mode="json", by_alias=True))


def is_limited(seen: Observed) -> bool:
    """Returns whether all relays together are to take on no more than so much."""
    limits = seen.owner.spec.limits
    return limits.max_calls is not None or limits.budget is not None


def known_calls(seen: Observed) -> int:
    """Returns how many calls there are at least: those of relays that say so, or did within the time that their answer lasts."""
    return sum(pod.status.active_calls for pod in seen.pods if pod.status is not None)


def uncounted(seen: Observed) -> list[str]:
    """Returns relays that may have calls and do not say how many; what has not begun, or has ended, has none."""
    silent = [pod for pod in seen.pods if pod.status is None]
    return [pod.name for pod in silent if pod.unreadable or (not pod.terminating and (pod.begun or pod.ready))]


def live_calls(seen: Observed) -> int | None:
    """Returns how many calls there are; None: a relay that may have some does not say."""
    return None if uncounted(seen) else known_calls(seen)


def spending(seen: Observed, now: float) -> Spending | None:
    """Returns the day's spending at `now` (epoch seconds), with what the relays say by now; None without a budget."""
    if seen.owner.spec.limits.budget is None:
        return None
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    before = seen.spending or _from_status(seen.status.get("spending"))
    if before is None or before.day != today:
        before = Spending(today)
    told = {spend.process: spend for pod in seen.pods if (spend := _spend(pod)) is not None and spend.day == today}
    relays = {**before.relays, **{process: Amount(spend.tokens, spend.cost, spend.untold) for process, spend in told.items()}}
    silent = [process for process in relays if process not in told]
    ended = before.ended
    for process in silent[: max(0, len(silent) - MOST_PROCESSES)]:
        ended = ended.plus(relays.pop(process))
    return replace(before, relays=relays, ended=ended)


def total(record: Spending) -> Amount:
    """Returns what all spent."""
    amount = record.ended
    for one in record.relays.values():
        amount = amount.plus(one)
    return amount


def spent(amount: Amount, budget: Budget) -> float:
    """Returns an amount in the unit of the budget; tokens that were counted before there were prices cost as the dearest."""
    if not budget.prices:
        return float(amount.tokens)
    return amount.tokens * budget.dearest if amount.cost is None else amount.cost


def spent_in_all(record: Spending, budget: Budget) -> float:
    """Returns what all spent, in the unit of the budget."""
    return sum((spent(one, budget) for one in record.relays.values()), spent(record.ended, budget))


def silent_on_spending(seen: Observed) -> list[str]:
    """Returns pods that answer and do not say what they spend: of an older version, or not told of the budget yet."""
    return [pod.name for pod in current_pods(seen) if pod.status is not None and pod.status.spend is None]


@dataclass(frozen=True, slots=True)
class Others:
    """What there is to tell relays of each other."""

    spec: VoiceAssistSpec
    spending: Spending | None = None
    calls: Mapping[str, int] | None = None
    """By pod; None: a relay does not say how many it has."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """What responses under way are likely to take, by process, in the unit of the budget."""

    def word(self, pod: str, status: RelayStatus | None) -> LimitsWord:
        """Returns what a pod is told; `status` is its last."""
        known = self.calls if self.spec.limits.max_calls is not None else None
        calls = None if known is None else sum(count for name, count in known.items() if name != pod)
        if self.spec.limits.budget is None or self.spending is None:
            return LimitsWord(calls=calls)
        budget = budget_of(self.spec.limits.budget)
        process = status.spend.process if status is not None and status.spend is not None else ""
        own = self.spending.relays.get(process)
        amount = spent_in_all(self.spending, budget) - (0.0 if own is None else spent(own, budget))
        coming = sum(amount for one, amount in self.expected.items() if one != process)
        but = process if own is not None else ""
        return LimitsWord(self.spending.day, round(max(0.0, amount), 6), calls, but, round(coming, 6))


def others(seen: Observed) -> Others | None:
    """Returns what there is to tell; None where nothing is limited."""
    if not is_limited(seen):
        return None
    calls = None if uncounted(seen) else {pod.name: pod.status.active_calls for pod in seen.pods if pod.status is not None}
    expected = {spend.process: spend.expected for pod in seen.pods if (spend := _spend(pod)) is not None}
    return Others(seen.owner.spec, seen.spending, calls, expected)


def near_a_limit(seen: Observed) -> bool:
    """Returns whether little is left of a limit: relays are to hear of each other soon."""
    limits = seen.owner.spec.limits
    calls = live_calls(seen)
    if limits.max_calls is not None and (calls is None or calls >= NEAR * limits.max_calls):
        return True
    budget = limits.budget
    if budget is None or seen.spending is None or calls == 0 or budget.action is OverBudget.WARN:
        return False
    return NEAR * budget.per_day <= spent_in_all(seen.spending, budget_of(budget)) < budget.per_day


def used(seen: Observed) -> dict[str, float]:
    """Returns the share of each limit that is used: of calls, of the budget. What is not known is left out."""
    limits, shares = seen.owner.spec.limits, {}
    known = known_calls(seen)
    if limits.max_calls is not None and (known >= limits.max_calls or not uncounted(seen)):
        shares["calls"] = known / limits.max_calls
    if limits.budget is not None and seen.spending is not None:
        shares["budget_day"] = spent_in_all(seen.spending, budget_of(limits.budget)) / limits.budget.per_day
    return shares


def spending_status(seen: Observed) -> dict[str, Any] | None:
    """Returns the record as the status has it."""
    limits, record = seen.owner.spec.limits, seen.spending
    if limits.budget is None or record is None:
        return None
    amount = total(record)
    return {
        "day": record.day,
        "spent": round(spent_in_all(record, budget_of(limits.budget)), 6),
        "tokens": amount.tokens,
        **({"untold": amount.untold} if amount.untold else {}),
        **({"ended": _wire(record.ended)} if record.ended != Amount() else {}),
        "relays": {process: _wire(one) for process, one in record.relays.items()},
    }


def _wire(amount: Amount) -> dict[str, Any]:
    untold = {"untold": amount.untold} if amount.untold else {}
    cost = {} if amount.cost is None else {"cost": round(amount.cost, 6)}
    return {"tokens": amount.tokens, **cost, **untold}


def _spend(pod: PodFact) -> Any:
    return None if pod.status is None else pod.status.spend


def _from_status(found: Any) -> Spending | None:
    """As an operator before this one wrote it."""
    if not isinstance(found, Mapping) or not isinstance(found.get("day"), str):
        return None
    relays = found.get("relays")
    listed: Iterable[tuple[str, Any]] = relays.items() if isinstance(relays, Mapping) else ()
    return Spending(found["day"], _amount(found.get("ended")), {process: _amount(one) for process, one in listed})


def _amount(found: Any) -> Amount:
    if not isinstance(found, Mapping):
        return Amount()
    tokens, cost, untold = (found.get(key) for key in ("tokens", "cost", "untold"))
    return Amount(
        tokens if isinstance(tokens, int) else 0,
        float(cost) if isinstance(cost, int | float) else None,
        untold if isinstance(untold, int) else 0,
    )
