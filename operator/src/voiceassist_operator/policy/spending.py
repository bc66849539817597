"""What the calls of a VoiceAssist spent in a day and a month, all relays together, and what each relay is told of the others. Pure.

Each relay process says what it spent itself since the day and the month began, so that nothing is counted twice however often it is asked,
and whoever asks. What a process said last stands for the span, also when it is no more. Days and months are UTC's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from voiceassist_crds.config import Budget, OverBudget
from voiceassist_crds.limits_word import LimitsWord, day_at
from voiceassist_crds.resource import BudgetSpec, VoiceAssistSpec
from voiceassist_crds.status import RelayStatus, Spend

from .observed import Amount, Observed, PodFact, Spending, Tally
from .rollout import current_pods

MOST_PROCESSES: Final = 64
"""Processes that say nothing any more and are kept apart from those that ended: one of them may speak again."""
MOST_SILENT: Final = 500
"""As many while some relay is not heard: any of them may be its."""
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
    """Returns the spending at `now` (epoch seconds), with what the relays say by now; None without a budget."""
    if seen.owner.spec.limits.budget is None:
        return None
    known = seen.spending or _from_status(seen.status.get("spending"))
    today = day_at(now, "" if known is None else known.day.span)
    month = today[:7]
    before = known or Spending(Tally(today), Tally(month))
    told = [spend for pod in seen.pods if (spend := _spend(pod)) is not None]
    of_day = {spend.process: Amount(spend.tokens, spend.cost, spend.untold) for spend in told if spend.day == today}
    of_month = {_process(spend): _of_month(spend) for spend in told if spend.day[:7] == month}
    unheard = any(_spend(pod) is None and (pod.begun or pod.ready or pod.unreadable) for pod in seen.pods)
    most = MOST_SILENT if unheard else MOST_PROCESSES
    return Spending(_tally(before.day, today, of_day, most), _tally(before.month, month, of_month, most))


def _process(spend: Spend) -> str:
    """Returns what stands for a process in the month: of one that tells the day alone, each day by itself."""
    return spend.process if spend.month is not None else f"{spend.process}@{spend.day}"


def _of_month(spend: Spend) -> Amount:
    told = spend if spend.month is None else spend.month
    return Amount(told.tokens, told.cost, told.untold)


def _tally(before: Tally, span: str, told: Mapping[str, Amount], most: int) -> Tally:
    """Returns what was known of the span, with what is told of it now; so many processes that say nothing are kept apart."""
    if before.span != span:
        before = Tally(span)
    silent = {process: amount for process, amount in before.relays.items() if process not in told and process.split("@")[0] not in told}
    ended = before.ended
    for process in list(silent)[: max(0, len(silent) - most)]:
        ended = ended.plus(silent.pop(process))
    newest = {process: max(one, before.relays.get(process, one), key=lambda amount: amount.tokens) for process, one in told.items()}
    return Tally(span, ended, {**silent, **newest})


def total(tally: Tally) -> Amount:
    """Returns what all spent."""
    amount = tally.ended
    for one in tally.relays.values():
        amount = amount.plus(one)
    return amount


def spent(amount: Amount, budget: Budget) -> float:
    """Returns an amount in the unit of the budget; tokens that were counted before there were prices cost as the dearest."""
    if not budget.prices:
        return float(amount.tokens)
    return amount.tokens * budget.dearest if amount.cost is None else amount.cost


def spent_in_all(tally: Tally, budget: Budget) -> float:
    """Returns what all spent, in the unit of the budget."""
    return sum((spent(one, budget) for one in tally.relays.values()), spent(tally.ended, budget))


@dataclass(frozen=True, slots=True)
class Bound:
    """One of an object's budgets, and what is spent of it."""

    field: str
    """In `spec.limits.budget`."""
    span: str
    """The day or the month that it is now."""
    most: float
    spent: float
    untold: int
    """Responses of which nobody knows what they took."""


def bounds(seen: Observed) -> list[Bound]:
    """Returns the budgets of an object whose spending is known: the day's first."""
    spec, record = seen.owner.spec.limits.budget, seen.spending
    if spec is None or record is None:
        return []
    budget = budget_of(spec)
    given = (("perDay", record.day, spec.per_day), ("perMonth", record.month, spec.per_month))
    return [
        Bound(name, tally.span, most, spent_in_all(tally, budget), total(tally).untold) for name, tally, most in given if most is not None
    ]


def silent_on_spending(seen: Observed) -> list[str]:
    """Returns pods that answer and do not say what they spend: of an older version, or not told of the budget yet."""
    budget = seen.owner.spec.limits.budget
    by_month = budget is not None and budget.per_month is not None
    told = [(pod.name, pod.status.spend) for pod in current_pods(seen) if pod.status is not None]
    return [name for name, spend in told if spend is None or (by_month and spend.month is None)]


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

        def spent_by_others(tally: Tally) -> float:
            own = tally.relays.get(process)
            return round(max(0.0, spent_in_all(tally, budget) - (0.0 if own is None else spent(own, budget))), 6)

        day, month = self.spending.day, self.spending.month
        coming = round(sum(amount for one, amount in self.expected.items() if one != process), 6)
        by_month = (month.span, spent_by_others(month)) if budget.per_month is not None else (None, None)
        return LimitsWord(day.span, spent_by_others(day), calls, process, coming, *by_month)


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
    if limits.budget is None or limits.budget.action is OverBudget.WARN or calls == 0:
        return False
    found = bounds(seen)
    return all(one.spent < one.most for one in found) and any(one.spent >= NEAR * one.most for one in found)


def used(seen: Observed) -> dict[str, float]:
    """Returns the share of each limit that is used: of calls, of the budget. What is not known is left out."""
    limits, shares = seen.owner.spec.limits, {}
    known = known_calls(seen)
    if limits.max_calls is not None and (known >= limits.max_calls or not uncounted(seen)):
        shares["calls"] = known / limits.max_calls
    for one in bounds(seen):
        shares["budget_day" if one.field == "perDay" else "budget_month"] = one.spent / one.most
    return shares


def spending_status(seen: Observed) -> dict[str, Any] | None:
    """Returns the record as the status has it."""
    limits, record = seen.owner.spec.limits, seen.spending
    if limits.budget is None or record is None:
        return None
    budget = budget_of(limits.budget)
    return {"day": record.day.span, **_written(record.day, budget), "month": {"month": record.month.span, **_written(record.month, budget)}}


def _written(tally: Tally, budget: Budget) -> dict[str, Any]:
    amount = total(tally)
    return {
        "spent": round(spent_in_all(tally, budget), 6),
        "tokens": amount.tokens,
        **({"untold": amount.untold} if amount.untold else {}),
        **({"ended": _wire(tally.ended)} if tally.ended != Amount() else {}),
        "relays": {process: _wire(one) for process, one in tally.relays.items()},
    }


def _wire(amount: Amount) -> dict[str, Any]:
    untold = {"untold": amount.untold} if amount.untold else {}
    cost = {} if amount.cost is None else {"cost": round(amount.cost, 6)}
    return {"tokens": amount.tokens, **cost, **untold}


def _spend(pod: PodFact) -> Spend | None:
    return None if pod.status is None else pod.status.spend


def _from_status(found: Any) -> Spending | None:
    """As an operator before this one wrote it; one that knew no month left what was spent in the day."""
    if not isinstance(found, Mapping) or not isinstance(found.get("day"), str):
        return None
    day = _read(found["day"], found)
    month = found.get("month")
    known = _read(month["month"], month) if isinstance(month, Mapping) and isinstance(month.get("month"), str) else None
    if known is None or known.span != day.span[:7]:
        known = Tally(day.span[:7], day.ended)
    of_day = {f"{process}@{day.span}": one for process, one in day.relays.items() if process not in known.relays}
    return Spending(day, replace(known, relays={**of_day, **known.relays}))


def _read(span: str, found: Mapping[str, Any]) -> Tally:
    relays = found.get("relays")
    listed: Iterable[tuple[str, Any]] = relays.items() if isinstance(relays, Mapping) else ()
    return Tally(span, _amount(found.get("ended")), {process: _amount(one) for process, one in listed})


def _amount(found: Any) -> Amount:
    if not isinstance(found, Mapping):
        return Amount()
    tokens, cost, untold = (found.get(key) for key in ("tokens", "cost", "untold"))
    return Amount(
        tokens if isinstance(tokens, int) else 0,
        float(cost) if isinstance(cost, int | float) else None,
        untold if isinstance(untold, int) else 0,
    )
