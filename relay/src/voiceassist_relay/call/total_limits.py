"""This relay's part in what all relays of its VoiceAssist may take together: counts, hears the operator's word, holds calls back."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from typing import Final

import structlog

from voiceassist_crds.config import RelayConfig
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_crds.status import Spend

from ..budget_count import AUDIO_INPUT, TOKENS_A_SECOND, BudgetCount, Level
from ..call_quota import CallQuota, Place
from ..config.snapshot import CurrentSnapshot
from ..metrics.relay_metrics import RelayMetrics
from .registry import Registry

LOOK_SECONDS: Final = 0.5
"""Between two looks at what the budget leaves."""

log = structlog.get_logger("voiceassist.limits")


class TotalLimits:
    """One relay's. Implements `realtime.core.limits.Purse` for the model clients, and `dependencies.StartLimit` for starts."""

    def __init__(
        self,
        current: CurrentSnapshot,
        registry: Registry,
        metrics: RelayMetrics,
        epoch: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._current, self._registry, self._metrics = current, registry, metrics
        self._epoch, self._monotonic = epoch, monotonic
        self._quota = CallQuota()
        self._count = BudgetCount(secrets.token_hex(6), epoch())
        self._level = Level.FREE
        self.use(current().config)

    def use(self, config: RelayConfig) -> None:
        """A configuration is in force."""
        self._count.use(config.total_limits.budget)

    def told(self, header: str) -> None:
        """The operator's word on the other relays."""
        word = LimitsWord.read(header)
        self._count.told(word, self._epoch())
        self._quota.told(word.calls)

    @property
    def spend(self) -> Spend | None:
        """What the operator is told of the spending; None without a budget."""
        return self._count.report(self._registry.answering, self._epoch())

    async def run(self) -> None:
        """Holds calls back, or lets them go on, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Looks once."""
        level = self._count.level(self._epoch())
        if level is not self._level:
            log.warning("the budget", before=self._level.name, now=level.name)
            self._level = level
        self._registry.allow(level)

    # the model clients' purse

    def may_ask(self) -> bool:
        """Whether a response may be asked for now."""
        return self._count.may_ask(self._registry.answering, self._epoch())

    def may_ask_early(self) -> bool:
        """Whether one may be asked for ahead of a turn's end."""
        return self._count.may_ask_early(self._epoch())

    def spent(self, model: str, tokens: tuple[int, ...], seconds: float, *, response: bool) -> None:
        """Something at the model took so many tokens by kind, or so many seconds of audio where its server counts those."""
        if seconds and not any(tokens):
            tokens = tuple(math.ceil(seconds * TOKENS_A_SECOND) if kind == AUDIO_INPUT else 0 for kind in range(len(tokens)))
        self._count.spent(model, tokens, self._epoch(), response=response)

    def spent_outside_calls(self, model: str, tokens: tuple[int, ...]) -> None:
        """A conversation with the model in which no call had a part took so many tokens, by kind."""
        self._count.spent(model, tokens, self._epoch(), response=False)

    def untold(self) -> None:
        """A response took nobody knows what."""
        self._count.untold(self._epoch())

    # starts

    def reserve(self, call_sid: str) -> Place:
        """Takes a place for a call."""
        most = self._current().config.total_limits.max_calls
        if most is None:
            return Place.HELD
        self._quota.arrived(lambda call: self._registry.find(call) is not None or self._registry.coming(call))
        return self._quota.reserve(call_sid, most, len(self._registry), self._monotonic())

    def refused(self) -> int:
        """A start is refused for it. Returns how many calls there may be."""
        self._metrics.start_over_limit()
        return self._current().config.total_limits.max_calls or 0

    def forget(self, call_sid: str) -> None:
        """The place is not needed: no stream was asked for."""
        self._quota.forget(call_sid)
