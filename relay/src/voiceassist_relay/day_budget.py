"""What this relay's calls spent at the model in a day, and what may still be asked of it, by its own count and the operator's word. Pure.

Times are epoch seconds; a day is UTC's. What others spent stands until the operator says another number, or the day is over: where it says
nothing, each relay goes on by what it heard last and its own count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from voiceassist_crds.config import Budget, OverBudget
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_crds.status import Spend

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


class Level(IntEnum):
    """How far the relay is held back."""

    FREE = 0
    WARNED = 1
    """The budget is spent, and no more than said."""
    NO_DRAFTS = 2
    STOPPED = 3


_LEVELS: Final = {OverBudget.WARN: Level.WARNED, OverBudget.DRAFTS_OFF: Level.NO_DRAFTS, OverBudget.STOP: Level.STOPPED}


class DayBudget:
    """One process's count."""

    def __init__(self, process: str, began: float) -> None:
        """`process` names it among all relays, `began` is when it began."""
        self._process, self._began = process, began
        self._budget: Budget | None = None
        self._day = ""
        self._tokens: dict[str, list[int]] = {}
        self._untold = 0
        self._latest: deque[tuple[str, tuple[int, ...]]] = deque(maxlen=_LATEST)
        """What the latest responses took, with their models."""
        self._others: float | None = None
        self._coming = 0.0

    def use(self, budget: Budget | None) -> None:
        """The configured budget; None: there is none."""
        self._budget = budget

    # what is counted

    def spent(self, model: str, tokens: Sequence[int], now: float, *, response: bool) -> None:
        """A response, or something else at the model, took these tokens, by kind."""
        self._roll(now)
        known = model if model in self._tokens or len(self._tokens) < _MOST_MODELS else _OTHERS
        kinds = self._tokens.setdefault(known, [0] * KINDS)
        for index, count in enumerate(tokens):
            kinds[index] += count
        if response and any(tokens):
            self._latest.append((model, tuple(tokens)))
            for _ in range(self._untold):
                self._as_the_dearest(now)
            self._untold = 0

    def untold(self, now: float) -> None:
        """A response began, and nobody told what it took: it counts as the dearest of the latest, or as the first that is told."""
        self._roll(now)
        if self._latest:
            self._as_the_dearest(now)
        else:
            self._untold += 1

    def _as_the_dearest(self, now: float) -> None:
        model, tokens = max(self._latest, key=lambda one: self._cost(*one))
        self.spent(model, tokens, now, response=False)

    def told(self, word: LimitsWord, now: float) -> None:
        """The operator asked, and said this of the other relays. What leaves out another process than this one, as of one that ran here
        before, is no word on the others."""
        self._roll(now)
        ours = word.but == self._process or not (word.but or self._tokens)
        if word.spent is not None and word.day == self._day and ours:
            self._others, self._coming = word.spent, word.coming

    # what is allowed

    def level(self, now: float) -> Level:
        """How far the calls are held back."""
        self._roll(now)
        budget = self._budget
        if budget is None or self._own() + (self._others or 0.0) < budget.per_day:
            return Level.FREE
        return _LEVELS[budget.action]

    def may_ask(self, under_way: int, now: float) -> bool:
        """Whether a response may be asked for now, with so many of this relay's under way already."""
        self._roll(now)
        budget = self._budget
        if budget is None or budget.action is not OverBudget.STOP:
            return True
        if self._others is None and now - self._began < PATIENCE_SECONDS:
            return False
        return self._own() + (self._others or 0.0) + self._coming + under_way * self._one() < budget.per_day

    def may_ask_early(self, now: float) -> bool:
        """Whether a response may be asked for ahead of a turn's end."""
        return self.level(now) < Level.NO_DRAFTS

    def report(self, under_way: int, now: float) -> Spend | None:
        """What the operator is told, with so many responses under way; None without a budget."""
        self._roll(now)
        if self._budget is None:
            return None
        cost = round(self._own(), 6) if self._budget.prices else None
        tokens = sum(map(sum, self._tokens.values()))
        expected = round(under_way * self._one(), 6)
        return Spend(process=self._process, day=self._day, tokens=tokens, cost=cost, expected=expected, untold=self._untold)

    def _own(self) -> float:
        return sum(self._cost(model, tokens) for model, tokens in self._tokens.items())

    def _one(self) -> float:
        """What one more response is likely to take: as the dearest of the latest."""
        return max((self._cost(*one) for one in self._latest), default=0.0)

    def _cost(self, model: str, tokens: Sequence[int]) -> float:
        return 0.0 if self._budget is None else self._budget.cost(model, tokens)

    def _roll(self, now: float) -> None:
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        if day != self._day:
            first = not self._day
            self._day, self._untold = day, 0
            self._tokens.clear()
            self._others, self._coming = None if first else 0.0, 0.0
