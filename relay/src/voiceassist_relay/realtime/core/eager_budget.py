"""What a call may spend on asking ahead: few drafts that are withdrawn, few tokens for nothing; it backs off by itself. Pure."""

from __future__ import annotations

from typing import Final

WITHDRAWN_SHARE: Final = 0.2
"""Of a call's latest turns, how many may have had a draft withdrawn."""
WASTED_SHARE: Final = 0.3
"""Of a call's tokens, how many may have been for nothing."""
WASTED_PER_MINUTE: Final = 0.3
"""Of the responses that a call may ask for in 60 s, how many may be for nothing before none is asked ahead until they are over."""
FREE: Final = 2
"""Responses for nothing that a call has free, beyond the share: at its beginning shares mean nothing."""
_MINUTE: Final = 60.0
_TURNS: Final = 20
_FREE_DRAFTS: Final = 1
"""Drafts that may be withdrawn at a call's beginning."""
_CAUTION, _TRUST, _LEAST_CAUTION, _MOST_CAUTION = 1.15, 0.95, 0.8, 2.0


class EagerBudget:
    """One call's; it outlives sessions. Times are loop seconds."""

    def __init__(self) -> None:
        self.caution = 1.0
        """What the silence that is waited for is taken by: it grows with each wrong guess, and shrinks with each right one."""
        self._turns: list[bool] = []  # the latest `_TURNS`; a deque takes 750 bytes from the start
        self._shown = False
        self._wasted_at: list[float] = []
        self._tokens = self._wasted = self._latest = 0

    def allows(self, now: float, per_minute: int) -> bool:
        """Whether a response may be asked for ahead of the turn's end, where the call may ask for so many in a minute."""
        withdrawn = sum(self._turns) + 1
        if withdrawn > max(_FREE_DRAFTS, WITHDRAWN_SHARE * (len(self._turns) + 1)) or self._shown:
            return False
        while self._wasted_at and self._wasted_at[0] <= now - _MINUTE:
            del self._wasted_at[0]
        if len(self._wasted_at) >= max(1.0, WASTED_PER_MINUTE * per_minute):
            return False
        return self._wasted + self._latest <= WASTED_SHARE * (self._tokens + self._latest) + FREE * self._latest

    def spent(self, tokens: int) -> None:
        """A response of any kind took so many tokens."""
        self._tokens += tokens
        self._latest = tokens or self._latest

    def turn(self) -> None:
        """A turn is over."""
        self._turns = [*self._turns[1 - _TURNS :], self._shown]
        self._shown = False

    def right(self) -> None:
        """What was asked ahead became the answer."""
        self.caution = max(_LEAST_CAUTION, self.caution * _TRUST)

    def wrong(self, now: float, *, shown: bool) -> None:
        """The customer went on; `shown`: a draft was on the screen."""
        self.caution = min(_MOST_CAUTION, self.caution * _CAUTION)
        self._wasted_at.append(now)
        self._shown = self._shown or shown

    def wasted(self, tokens: int) -> None:
        """So many of the tokens that were spent were for nothing."""
        self._wasted += tokens
