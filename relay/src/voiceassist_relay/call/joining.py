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
FEWEST_FRAMES: Final = 5
"""Of the customer's, by which the new stream's place is told where the audio itself does not tell: one alone may have come late."""
OVERLAP_FRAMES: Final = 10
"""Of the customer's, that the new stream has before the call is asked for: its place is found in the audio that both streams have."""
OVERLAP_SECONDS: Final = 1.0
"""For them to come; then the call is asked for with what there is."""
PLACE_SECONDS: Final = 0.5
"""From the new stream's first frame on; then its place is told by what there is."""

log = structlog.get_logger("voiceassist.call")


def passed_over(metrics: CallMetrics) -> Frame:
    """For frames that another relay hears: they are counted."""

    def frame(inbound: bool, payload: bytes, arrived: float) -> None:  # noqa: ARG001 - has the shape of `Frame`
        metrics.frames(Track.CUSTOMER if inbound else Track.AGENT, "overlap")

    return frame


class _Handed:
    """The old stream as it was handed over at `at`: the latest audio of its tracks, and where they end on its clock."""

    def __init__(self, call: HandedCall, at: float) -> None:
        self.at, self.until_ms = at, {True: call.until_ms[0], False: call.until_ms[1]}
        of = {True: call.model.conversation, False: call.model.agent}
        self.tracks = {
            inbound: OldTrack(self.until_ms[inbound], [frame.encode() for frame in track.frames], [at - age for age in track.ages])
            for inbound, track in of.items()
            if track is not None
        }

    @property
    def can_tell(self) -> bool:
        """Whether there is audio to go by."""
        return any(track.until_ms >= 0 and track.frames for track in self.tracks.values())


class Joining:
    """One new stream. `use` is told where its frames are to go, whenever that changes."""

    def __init__(self, connection: MediaConnection, model: ModelClient, metrics: CallMetrics, use: Callable[[Frame], None]) -> None:
        self._connection, self._model, self._metrics, self._use = connection, model, metrics, use
        self._passed_over = passed_over(metrics)
        self._overlap = Overlap()
        self._from_ms = {True: -math.inf, False: -math.inf}
        self._handed: _Handed | None = None
        """What was handed over, while this stream's place in it is not known."""

    def put(self, inbound: bool, payload: bytes, arrived: float) -> None:
        """A frame that comes before the call does."""
        self._overlap.put(inbound, self._connection.position(inbound), payload, arrived)

    @property
    def overlaps(self) -> bool:
        """Whether this stream has run for long enough beside the old one for its place to be found in the audio."""
        return len(self._overlap.of(True)) >= OVERLAP_FRAMES

    def begin(self, handed: HandedCall | None, now: float) -> None:
        """The call is this relay's: the sessions that stand go on with what was handed over (None: nothing was), and with the audio that
        was not heard yet, as soon as it is known from where on."""
        model = None if handed is None else handed.model
        placed = handed is None or self._find_place(_Handed(handed, now), now)
        first = next((piece.arrived for piece in self._overlap.all() if rest(piece, self._from_ms[piece.inbound]) is not None), now)
        latest = now
        if model is not None:
            latest = max((now - track.ages[-1] for track in (model.conversation, model.agent) if track and track.ages), default=now)
        self._model.begin_with(model, now - max(0.0, latest - first))
        if placed:
            self._go_on(now)
        else:
            self._use(self._unplaced)

    def place(self, now: float) -> None:
        """Audio waits no longer for its place: the stream is over, or the call is to be paused, resumed or handed on."""
        if self._handed is not None and self._overlap.all():
            self._find_place(self._handed, math.inf)
            self._go_on(now)

    def _unplaced(self, inbound: bool, payload: bytes, arrived: float) -> None:
        """The call was handed over before this stream had audio enough to tell where it goes on."""
        self.put(inbound, payload, arrived)
        if self._handed is not None and self._find_place(self._handed, arrived):
            self._go_on(arrived)

    def _find_place(self, handed: _Handed, now: float) -> bool:
        """Finds out from where on this stream counts; whether that is settled."""
        pieces = self._overlap.all()
        found = shift_of(handed.tracks, self._overlap) if pieces else None
        told = found is not None and (found[1] or len(self._overlap.of(True)) >= FEWEST_FRAMES)
        waited = bool(pieces) and now - max(pieces[0].arrived, handed.at) >= PLACE_SECONDS
        if handed.can_tell and not (told or waited):
            self._handed = handed
            return False
        self._handed, gap = None, 0.0
        if found is not None:
            self._from_ms = {inbound: until + found[0] if until >= 0 else -math.inf for inbound, until in handed.until_ms.items()}
            gap = gap_ms(self._overlap.of(True), self._from_ms[True])
            self._metrics.move_gap(gap / 1000)
        log.info("call taken over", shift_ms=found[0] if found else None, by_audio=bool(found and found[1]), gap_ms=gap)
        return True

    def _go_on(self, now: float) -> None:
        pieces, self._overlap = self._overlap.all(), Overlap()
        for piece in pieces:
            self._let_hear(piece, rest(piece, self._from_ms[piece.inbound]))
        self._use(self._model.frame if self._passed() else partial(self._lagging, now + _LAG_SECONDS))

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
