"""Failures on request: which of them strike a request, decided by path, method, share and a seeded source of chance; pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

HANG_SECONDS = 3600.0
"""How long a request hangs that nobody gives up."""


class FaultKind(StrEnum):
    """What goes wrong."""

    TOO_MANY = "429"
    """429/20429, not processed."""
    REFUSE = "refuse"
    """``status`` (400 to 599), ``code`` and ``message``, not processed: a key without a permission, a name that is taken."""
    SERVER_ERROR = "5xx"
    """500/20500 (or ``status``), not processed."""
    STORED_THEN_500 = "stored-then-500"
    """Processed, then answered with 500/20500 (or ``status``)."""
    LATENCY = "latency"
    """``seconds`` pass before the request is processed; with ``after`` between processing and answer."""
    HANG = "hang"
    """No answer; not processed, or with ``after`` processed."""
    HOLD = "hold"
    """The request is held until it is released: then processed, or with ``after`` processed at once and answered then."""
    CUT = "cut"
    """The connection is cut; not processed, or with ``after`` processed."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule. It strikes ``share`` of the requests whose path (with the product, as in ``/sync/v1/Services``) contains the regular
    expression ``path`` and whose method is ``method`` (``None``: any; ``POST,DELETE``: either), at most ``times`` times (``None``:
    without end), after the first ``skip`` of them went by.

    ``code`` and ``message`` stand in the body of a refusal or a server error, in place of the usual ones. ``transport`` counts for
    what comes through a browser's socket: the socket itself refuses, and not Sync behind it.
    """

    kind: FaultKind
    path: str = ""
    method: str | None = None
    share: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    after: bool = False
    status: int = 500
    retry_after: int | None = None
    skip: int = 0
    code: int | None = None
    message: str | None = None
    transport: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path is not a regular expression: {error}") from None
        if not 0.0 <= self.share <= 1.0:
            raise ValueError("share must be between 0 and 1")
        lowest = 400 if self.kind is FaultKind.REFUSE else 500
        if not lowest <= self.status <= 599:
            raise ValueError(f"status must be between {lowest} and 599")
        if isinstance(self.skip, bool) or not isinstance(self.skip, int) or self.skip < 0:
            raise ValueError("skip must be a whole number, not below 0")
        if self.code is not None and (isinstance(self.code, bool) or not isinstance(self.code, int) or self.code < 10000):
            raise ValueError("code must be one of Twilio's error codes")
        if not 0.0 <= self.seconds <= HANG_SECONDS:
            raise ValueError(f"seconds must be between 0 and {HANG_SECONDS}")

    @property
    def processed(self) -> bool:
        """Whether the request is processed all the same."""
        return self.after or self.kind in (FaultKind.STORED_THEN_500, FaultKind.HOLD)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> FaultRule:
        """From JSON with the fields' names; raises ValueError or TypeError for what does not fit."""
        unknown = sorted(set(given) - {item.name for item in fields(cls)})
        if unknown:
            raise ValueError(f"unknown field {', '.join(unknown)}; there are: {', '.join(item.name for item in fields(cls))}")
        if "kind" not in given:
            raise ValueError(f"kind is required: {', '.join(FaultKind)}")
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Strike:
    """What strikes one request: seconds to wait before and after processing, and at most one rule that changes the answer."""

    wait_before: float = 0.0
    wait_after: float = 0.0
    rule: FaultRule | None = None


@dataclass(slots=True)
class Faults:
    """The rules in force. The first rule that strikes decides the answer; latencies of all rules that strike add up."""

    rules: list[FaultRule] = field(default_factory=list)
    seed: int = 0
    fired: list[int] = field(default_factory=list)
    _passed: list[int] = field(default_factory=list)
    _chance: random.Random = field(default_factory=lambda: random.Random(0))

    def set(self, rules: Iterable[FaultRule], seed: int = 0) -> None:
        """Replace all rules; the same seed and the same requests give the same strikes."""
        self.rules, self.seed = list(rules), seed
        self.fired = [0] * len(self.rules)
        self._passed = [0] * len(self.rules)
        self._chance = random.Random(seed)

    def strike(self, method: str, path: str) -> Strike:
        """What strikes this request."""
        before = after = 0.0
        chosen: FaultRule | None = None
        for number, rule in enumerate(self.rules):
            if rule.kind is not FaultKind.LATENCY and chosen is not None:
                continue
            if not self._strikes(number, rule, method, path):
                continue
            self.fired[number] += 1
            if rule.kind is FaultKind.LATENCY:
                before, after = (before, after + rule.seconds) if rule.after else (before + rule.seconds, after)
            else:
                chosen = rule
        return Strike(before, after, chosen)

    def as_json(self) -> dict[str, Any]:
        """The rules with how often each has struck."""
        return {"seed": self.seed, "rules": [asdict(rule) | {"fired": fired} for rule, fired in zip(self.rules, self.fired, strict=True)]}

    def _strikes(self, number: int, rule: FaultRule, method: str, path: str) -> bool:
        if (rule.method is not None and method not in rule.method.split(",")) or re.search(rule.path, path) is None:
            return False
        if rule.times is not None and self.fired[number] >= rule.times:
            return False
        if self._passed[number] < rule.skip:
            self._passed[number] += 1
            return False
        return rule.share >= 1.0 or self._chance.random() < rule.share
