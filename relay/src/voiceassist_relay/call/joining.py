"""The new stream of a call that another relay hands over: its audio is kept until the call is here, and counts from the right frame on."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import structlog

from voiceassist_crds.messages import Track

from ..handed_over import HandedCall
from ..interfaces import MediaConnection
from ..metrics.relay_metrics import CallMetrics
from .overlap import OldTrack, Overlap, Piece, gap_ms, rest, shift_of
from .parts import ModelClient


class Frame(Protocol):
    """Where a stream's frames go."""

    def __call__(self, inbound: bool, payload: bytes, arrived: float) -> None:
        """Takes 20 ms of mu-law in base64 that arrived at this time of the loop."""


_LAG_SECONDS: Final = 5.0
"""So long the new stream may be behind the old one."""

log = structlog.get_logger("voiceassist.call")


def passed_over(metrics: CallMetrics) -> Frame:
    """For frames that another relay hears: they are counted."""

    def frame(inbound: bool, payload: bytes, arrived: float) -> None:  # noqa: ARG001 - has the shape of `Frame`
        metrics.frames(Track.CUSTOMER if inbound else Track.AGENT, "overlap")

    return frame


class Joining:
    """One new stream. `use` is told where its frames are to go, whenever that changes."""

    def __init__(self, connection: MediaConnection, model: ModelClient, metrics: CallMetrics, use: Callable[[Frame], None]) -> None:
        self._connection, self._model, self._metrics, self._use = connection, model, metrics, use
        self._passed_over = passed_over(metrics)
        self._overlap = Overlap()
        self._from_ms = {True: -math.inf, False: -math.inf}

    def put(self, inbound: bool, payload: bytes, arrived: float) -> None:
        """A frame that comes before the call does."""
        self._overlap.put(inbound, self._connection.position(inbound), payload, arrived)

    def begin(self, handed: HandedCall | None, now: float) -> None:
        """The call is this relay's: the sessions that stand go on with what was handed over (None: nothing was), and with the audio that
        was not heard yet."""
        model = None if handed is None else handed.model
        if handed is not None:
            self._find_place(handed, now)
        pieces = self._overlap.all()
        heard = [(piece, rest(piece, self._from_ms[piece.inbound])) for piece in pieces]
        first = next((piece.arrived for piece, audio in heard if audio is not None), now)
        latest = now
        if model is not None:
            latest = max((now - track.ages[-1] for track in (model.conversation, model.agent) if track and track.ages), default=now)
        self._model.begin_with(model, now - max(0.0, latest - first))
        for piece, audio in heard:
            self._let_hear(piece, audio)
        self._overlap = Overlap()
        self._use(self._model.frame if self._passed() else partial(self._lagging, now + _LAG_SECONDS))

    def _find_place(self, handed: HandedCall, now: float) -> None:
        tracks = {True: (handed.until_ms[0], handed.model.conversation), False: (handed.until_ms[1], handed.model.agent)}
        old = {
            inbound: OldTrack(until, [frame.encode() for frame in track.frames], [now - age for age in track.ages])
            for inbound, (until, track) in tracks.items()
            if track is not None
        }
        found = shift_of(old, self._overlap)
        if found is not None:
            self._from_ms = {inbound: until + found[0] if until >= 0 else -math.inf for inbound, (until, _) in tracks.items()}
            self._metrics.move_gap(gap_ms(self._overlap.of(True), self._from_ms[True]) / 1000)
        log.info("call taken over", shift_ms=found[0] if found else None, by_audio=bool(found and found[1]))

    def _let_hear(self, piece: Piece, audio: bytes | None) -> None:
        if audio is not None:
            self._model.frame(piece.inbound, audio, piece.arrived)
        else:
            self._passed_over(piece.inbound, piece.payload, piece.arrived)

    def _passed(self) -> bool:
        """Whether the stream has come to what the other relay did not hear, on every track."""
        return all(self._connection.position(inbound) >= at for inbound, at in self._from_ms.items())

    def _lagging(self, until: float, inbound: bool, payload: bytes, arrived: float) -> None:
        """This stream is behind the other one: what that has heard is passed over."""
        piece = Piece(inbound, self._connection.position(inbound), payload, arrived)
        self._let_hear(piece, rest(piece, self._from_ms[inbound]))
        if arrived >= until or self._passed():
            self._use(self._model.frame)
