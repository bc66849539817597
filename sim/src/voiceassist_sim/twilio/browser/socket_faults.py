"""What happens to notifications on their way to a browser, on request: late, twice, never; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from .sync_events import Notification


class NotificationFaultKind(StrEnum):
    """What happens to it."""

    DELAY = "delay"
    """It comes ``seconds`` later; what is behind it overtakes it."""
    DOUBLE = "double"
    """It comes twice."""
    DROP = "drop"
    """It never comes."""


@dataclass(frozen=True, slots=True)
class NotificationFault:
    """One rule: strikes notifications whose event type contains ``event`` (a regular expression), ``times`` times (``None``: always)
    after the first ``skip``; ``identity``: only those to one reader."""

    kind: NotificationFaultKind
    event: str = ""
    times: int | None = None
    skip: int = 0
    seconds: float = 0.0
    identity: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", NotificationFaultKind(self.kind))
        try:
            re.compile(self.event)
        except re.error as error:
            raise ValueError(f"event is not a regular expression: {error}") from None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> NotificationFault:
        """From JSON with the fields' names; raises ValueError or TypeError for what does not fit."""
        unknown = sorted(set(given) - {item.name for item in fields(cls)})
        if unknown or "kind" not in given:
            raise ValueError(f"a notification fault has kind and may have: {', '.join(item.name for item in fields(cls))}")
        return cls(**given)


@dataclass(slots=True)
class NotificationFaults:
    """The rules in force; the first that strikes decides."""

    rules: list[NotificationFault] = field(default_factory=list)
    fired: list[int] = field(default_factory=list)
    _passed: list[int] = field(default_factory=list)

    def set(self, rules: Iterable[NotificationFault]) -> None:
        """Replace all rules."""
        self.rules = list(rules)
        self.fired = [0] * len(self.rules)
        self._passed = [0] * len(self.rules)

    def strike(self, told: Notification, identity: str) -> NotificationFault | None:
        """What strikes this notification."""
        for number, rule in enumerate(self.rules):
            if rule.identity not in (None, identity) or re.search(rule.event, told.event_type) is None:
                continue
            if rule.times is not None and self.fired[number] >= rule.times:
                continue
            if self._passed[number] < rule.skip:
                self._passed[number] += 1
                continue
            self.fired[number] += 1
            return rule
        return None

    def as_json(self) -> list[dict[str, Any]]:
        """The rules with how often each has struck."""
        return [asdict(rule) | {"fired": fired} for rule, fired in zip(self.rules, self.fired, strict=True)]
