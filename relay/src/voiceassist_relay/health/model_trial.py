"""Has a conversation of a second with the model when it is time for one: what it showed is told, no word of it is kept.

It costs tokens, so it is had once for each settings of the model, and again only after the model was not well.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog

from voiceassist_crds.status import PeerReason

from ..config.snapshot import CurrentSnapshot, Snapshot
from ..metrics.relay_metrics import RelayMetrics
from ..peer_health import PeerHealth
from ..realtime.core.trial import Found
from ..realtime.providers import is_format_chosen, provider_of
from .model_check import model_relevant
from .peer_check import Unwell

BETWEEN = 600.0
"""Seconds at least between two conversations under the same settings."""
AGAIN = 60.0
"""Seconds until one that did not go well is had again; each further one takes twice as long, up to `BETWEEN`."""

log = structlog.get_logger("voiceassist.peers")


class ModelTrial:
    """One relay's. `check` opens and closes a session; `converse` goes on with a conversation; both raise Unwell, in a bounded time."""

    def __init__(
        self,
        current: CurrentSnapshot,
        check: Callable[[], Awaitable[None]],
        converse: Callable[[Snapshot, Callable[[Found], None]], Awaitable[list[Found]]],
        metrics: RelayMetrics,
        health: PeerHealth,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[str, tuple[int, ...]], None] = lambda _, __: None,
    ) -> None:
        """`health`: the model's, which calls look after, too. `spent`: told the model and its tokens by kind."""
        self._spent = spent
        self._current, self._check, self._converse, self._metrics, self._clock = current, check, converse, metrics, clock
        self._health = health
        self._times_heard = 0
        self._settings: object = None
        self._told = ""
        self._standing: Unwell | None = None
        """What the latest conversation found wrong."""
        self._failures = 0
        self._next = 0.0

    @property
    def told(self) -> str:
        """What the latest conversation under the settings in force showed; empty where there was none, or it did not go well."""
        return self._told if self._settings == model_relevant(self._current()) else ""

    async def ask(self) -> None:
        """Whether the model takes sessions; what a conversation found wrong stands until another finds it mended. Raises Unwell."""
        await self._check()
        if self._times_heard != self._health.times_heard:  # a call has shown better
            self._standing = None
        if self._settings == model_relevant(self._current()) and self._standing is not None:
            if not self._due:
                raise self._standing
            await self._run()

    async def further(self) -> None:
        """A conversation, if it is time for one: the model takes sessions. Raises Unwell.

        None while a call's own ears say that audio is misread: they hear longer, and only calls or other settings show better.
        """
        if self._due and self._health.status.reason is not PeerReason.AUDIO_FORMAT:
            await self._run()

    @property
    def open(self) -> bool:
        """Whether the model is to be asked again although it is well: the latest conversation came to no end."""
        return self._standing is not None and self._due

    @property
    def _due(self) -> bool:
        snapshot = self._current()
        if snapshot.config.model.check == "Session":
            return False
        return self._settings != model_relevant(snapshot) or self._clock() >= self._next

    async def _run(self) -> None:
        snapshot = self._current()
        settings = model_relevant(snapshot)
        if self._settings != settings:
            self._failures = 0
        self._settings, self._told, self._times_heard = settings, "", self._health.times_heard
        self._next = self._clock() + BETWEEN  # also where it breaks
        try:
            self._told = await self._conversation(snapshot)
        except Unwell as unwell:
            self._standing, self._failures = unwell, self._failures + 1
            # another format is a matter of other settings
            final = unwell.reason is PeerReason.AUDIO_FORMAT
            self._next = float("inf") if final else self._clock() + min(BETWEEN, AGAIN * 2 ** (self._failures - 1))
            raise
        self._standing, self._failures, self._next = None, 0, self._clock() + BETWEEN
        log.info("model_conversation", found=self._told)

    async def _conversation(self, snapshot: Snapshot) -> str:
        try:
            found = await self._converse(snapshot, self._count)
        except Unwell as unwell:
            if unwell.reason is not PeerReason.AUDIO_FORMAT:
                raise
            found = await self._converse(snapshot, self._count)  # a word that was cut off looks much the same
        model = snapshot.config.model_of(snapshot.config.prompts[0])
        sent, taken = provider_of(model).audio_format(model), found[-1]
        if not is_format_chosen(model) and taken.audio_format is not sent:
            told = "; ".join(one.told() for one in found)
            raise Unwell(
                PeerReason.AUDIO_FORMAT, f"calls are sent {sent}, which is not heard ({told}); set model.audioFormat: {taken.audio_format}"
            )
        return taken.told()

    def _count(self, found: Found) -> None:
        snapshot = self._current()
        name = snapshot.config.model_of(snapshot.config.prompts[0]).name
        for modality, direction, cached, count in found.tokens:
            self._metrics.tokens(name, modality, direction, cached, count)
        self._spent(name, tuple(count for _, _, _, count in found.tokens))
