"""What this relay's calls spent at the model in a day and a month, and what may still be asked of it, by its own count and the operator's
word. Pure.

Times are epoch seconds; days and months are UTC's. What others spent stands until the operator says another number, or the span is over:
where it says nothing, each relay goes on by what it heard last and its own count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from voiceassist_crds.config import Budget, OverBudget
from voiceassist_crds.limits_word import LimitsWord, day_at
from voiceassist_crds.status import MonthSpend, Spend

PATIENCE_SECONDS: Final = 15.0
"""How long a process that just began, and is to stop at the budget, waits for the operator's first word before it asks for a response."""
TOKENS_A_SECOND: Final = 10
"""Tokens of audio that a second counts as, where a server tells seconds."""
KINDS: Final = 6
"""Of tokens, in the order of `Price.kinds`."""
AUDIO_INPUT: Final = 2
"""The place of audio that is heard among them."""
_MOST_MODELS: Final = 16
_OTHERS: Final = ""
_LATEST: Final = 8
_LITTLE: Final = 0.2
"""The share of a budget below which a response of which nothing is known yet is asked for alone."""


class Level(IntEnum):
    """How far the relay is held back."""

    FREE = 0
    WARNED = 1
    """The budget is spent, and no more than said."""
    NO_DRAFTS = 2
    STOPPED = 3


_LEVELS: Final = {OverBudget.WARN: Level.WARNED, OverBudget.DRAFTS_OFF: Level.NO_DRAFTS, OverBudget.STOP: Level.STOPPED}


class _Span:
    """A day or a month: what this process spent in it, and the others by the operator's word."""

    def __init__(self) -> None:
        self.name = ""
        self.tokens: dict[str, list[int]] = {}
        """By model, of each kind."""
        self.untold = 0
        self.others: float | None = None

    def roll(self, name: str) -> None:
        """It is this day or month by now."""
        if name != self.name:
            self.others = 0.0 if self.name else None
            self.name, self.untold = name, 0
            self.tokens.clear()

    def add(self, model: str, tokens: Sequence[int]) -> None:
        known = model if model in self.tokens or len(self.tokens) < _MOST_MODELS else _OTHERS
        kinds = self.tokens.setdefault(known, [0] * KINDS)
        for index, count in enumerate(tokens):
            kinds[index] += count

    def hear(self, name: str | None, spent: float | None, *, without: str, process: str) -> bool:
        """The operator says what others spent. What leaves out another process than this one, as of one that ran here before, is no word
        on the others. Returns whether it is one."""
        ours = without == process or not (without or self.tokens)
        if spent is None or name != self.name or not ours:
            return False
        self.others = spent
        return True


class BudgetCount:
    """One process's count."""

    def __init__(self, process: str, began: float) -> None:
        """`process` names it among all relays, `began` is when it began."""
        self._process, self._began = process, began
        self._budget: Budget | None = None
        self._day, self._month = _Span(), _Span()
        self._latest: deque[tuple[str, tuple[int, ...]]] = deque(maxlen=_LATEST)
        """What the latest responses took, with their models."""
        self._coming = 0.0

    def use(self, budget: Budget | None) -> None:
        """The configured budget; None: there is none."""
        self._budget = budget

    # what is counted

    def spent(self, model: str, tokens: Sequence[int], now: float, *, response: bool) -> None:
        """A response, or something else at the model, took these tokens, by kind."""
        self._roll(now)
        for span in (self._day, self._month):
            span.add(model, tokens)
        if response and any(tokens):
            self._latest.append((model, tuple(tokens)))
            dearest = self._dearest()
            for span in (self._day, self._month):
                for _ in range(span.untold):
                    span.add(*dearest)
                span.untold = 0

    def untold(self, now: float) -> None:
        """A response began, and nobody told what it took: it counts as the dearest of the latest, or as the first that is told."""
        self._roll(now)
        for span in (self._day, self._month):
            if self._latest:
                span.add(*self._dearest())
            else:
                span.untold += 1

    def _dearest(self) -> tuple[str, tuple[int, ...]]:
        return max(self._latest, key=lambda one: self._cost(*one))

    def told(self, word: LimitsWord, now: float) -> None:
        """The operator asked, and said this of the other relays."""
        self._roll(now)
        of_day = self._day.hear(word.day, word.spent, without=word.but, process=self._process)
        of_month = self._month.hear(word.month, word.month_spent, without=word.but, process=self._process)
        if of_day or of_month:
            self._coming = word.coming

    # what is allowed

    def level(self, now: float) -> Level:
        """How far the calls are held back."""
        self._roll(now)
        budget = self._budget
        if budget is None or self._left(budget) > 0:
            return Level.FREE
        return _LEVELS[budget.action]

    def may_ask(self, under_way: int, now: float) -> bool:
        """Whether a response may be asked for now, with so many of this relay's under way already."""
        self._roll(now)
        budget = self._budget
        if budget is None or budget.action is not OverBudget.STOP:
            return True
        unheard = any(span.others is None for span, _ in self._bounds(budget))
        if unheard and now - self._began < PATIENCE_SECONDS:
            return False
        if under_way and not self._latest and not self._month.untold and self._is_little_left(budget):
            return False  # the first one alone: it shows what one takes
        return self._left(budget) - self._coming - under_way * self._one() > 0

    def may_ask_early(self, now: float) -> bool:
        """Whether a response may be asked for ahead of a turn's end."""
        return self.level(now) < Level.NO_DRAFTS

    def report(self, under_way: int, now: float) -> Spend | None:
        """What the operator is told, with so many responses under way; None without a budget."""
        self._roll(now)
        if self._budget is None:
            return None
        month = MonthSpend(tokens=_sum(self._month), cost=self._told_cost(self._month), untold=self._month.untold)
        return Spend(
            process=self._process,
            day=self._day.name,
            tokens=_sum(self._day),
            cost=self._told_cost(self._day),
            expected=round(under_way * self._one(), 6),
            untold=self._day.untold,
            month=month,
        )

    def _bounds(self, budget: Budget) -> list[tuple[_Span, float]]:
        given = ((self._day, budget.per_day), (self._month, budget.per_month))
        return [(span, most) for span, most in given if most is not None]

    def _left(self, budget: Budget) -> float:
        """What is left of the budget of which least is, by what everybody spent."""
        return min(most - self._own(span) - (span.others or 0.0) for span, most in self._bounds(budget))

    def _is_little_left(self, budget: Budget) -> bool:
        return any(most - self._own(span) - (span.others or 0.0) < _LITTLE * most for span, most in self._bounds(budget))

    def _own(self, span: _Span) -> float:
        return sum(self._cost(model, tokens) for model, tokens in span.tokens.items())

    def _told_cost(self, span: _Span) -> float | None:
        return round(self._own(span), 6) if self._budget is not None and self._budget.prices else None

    def _one(self) -> float:
        """What one more response is likely to take: as the dearest of the latest."""
        return max((self._cost(*one) for one in self._latest), default=0.0)

    def _cost(self, model: str, tokens: Sequence[int]) -> float:
        return 0.0 if self._budget is None else self._budget.cost(model, tokens)

    def _roll(self, now: float) -> None:
        day = day_at(now, self._day.name)
        if day != self._day.name:
            self._coming = 0.0
            self._day.roll(day)
            self._month.roll(day[:7])


def _sum(span: _Span) -> int:
    return sum(map(sum, span.tokens.values()))
