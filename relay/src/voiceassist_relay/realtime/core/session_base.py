"""Session state: what the parts of one session share: names, the plan in force, and the actions that gather. Pure."""

from __future__ import annotations

from .history import History, ItemOrder
from .limits import ResponseLimiter, SessionLimits
from .liveness import Liveness
from .outputs import Action
from .session_settings import Plan


class SessionState:
    """One conversation session's surroundings. `number` counts the call's sessions from 1; history and limiter outlive it."""

    def __init__(self, number: int, plan: Plan, history: History, limiter: ResponseLimiter, live: Liveness, limits: SessionLimits) -> None:
        self.number = number
        self.plan = plan
        self.history = history
        self.limiter = limiter
        self.live = live
        self.limits = limits
        self.order = ItemOrder()
        self._actions: list[Action] = []
        self._names = 0

    def do(self, action: Action) -> None:
        """Asks the shell for something."""
        self._actions.append(action)

    def take(self) -> list[Action]:
        """What was asked for since the last time."""
        actions, self._actions = self._actions, []
        return actions

    def name(self, prefix: str) -> str:
        """A new name for an event or an item of ours, unique in the session."""
        self._names += 1
        return f"va_{prefix}{self._names}"

    def key(self, item: str) -> str:
        """An item's name that is unique in the call: servers may count their items anew in each session."""
        return item if self.number == 1 else f"{item}-s{self.number}"
