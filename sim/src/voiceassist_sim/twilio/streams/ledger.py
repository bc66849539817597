"""Keeps account of every frame that was sent: counts, a digest of the audio, and when which part of the recording went out."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from typing import Any, Final, NamedTuple

from .request import StreamRequest, WireTrack
from .train import MediaFrame

KEPT: Final = 15_000
"""Frames per track whose times are kept: 5 minutes of 20 ms. Beyond that the oldest tenth is forgotten and counted."""


class SentFrame(NamedTuple):
    """One frame as it was sent: where its audio begins in the recording (ms), and the loop's time (s) when it was sent."""

    track: WireTrack
    position_ms: float
    loop_time: float


class TrackLedger:
    """The account of one track."""

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.discarded = 0
        self.forgotten = 0
        self._digest = hashlib.sha256()
        self.positions = array("d")
        self.ends = array("d")
        self.times = array("d")

    def sent(self, frame: MediaFrame, now: float) -> None:
        """A frame was handed to the socket at the loop's time ``now``."""
        self.frames += 1
        self.bytes += len(frame.audio)
        self._digest.update(frame.audio)
        self.positions.append(frame.position_ms)
        self.ends.append(frame.end_ms)
        self.times.append(now)
        if len(self.times) > KEPT:
            old = KEPT // 10
            del self.positions[:old]
            del self.ends[:old]
            del self.times[:old]
            self.forgotten += old

    @property
    def sha256(self) -> str:
        """Digest of all audio bytes of the track in the order of sending."""
        return self._digest.hexdigest()


class Ledger:
    """The account of a stream's tracks."""

    def __init__(self, request: StreamRequest) -> None:
        self.tracks: dict[WireTrack, TrackLedger] = {track: TrackLedger() for track in request.wire_tracks}

    def sent(self, frame: MediaFrame, now: float) -> None:
        """A frame was handed to the socket at the loop's time ``now``."""
        self.tracks[frame.track].sent(frame, now)

    def discarded(self, frame: MediaFrame) -> None:
        """A frame was thrown away because the server reads too slowly."""
        self.tracks[frame.track].discarded += 1

    @property
    def frames(self) -> int:
        """Frames sent on all tracks."""
        return sum(track.frames for track in self.tracks.values())

    def sent_frames(self) -> list[SentFrame]:
        """Every frame still on record, by time of sending."""
        frames = [
            SentFrame(name, position, time)
            for name, track in self.tracks.items()
            for position, time in zip(track.positions, track.times, strict=True)
        ]
        return sorted(frames, key=lambda frame: frame.loop_time)

    def sent_at(self, track: WireTrack, position_ms: float) -> float | None:
        """The loop's time when the frame that holds this position of the recording was sent; ``None``: not on record.

        With the position where the customer's words end this is when the customer stopped speaking.
        Meant for a train in order: next to a swapped frame the answer may be ``None``.
        """
        account = self.tracks.get(track)
        if account is None:
            return None
        index = bisect_right(account.positions, position_ms) - 1
        return account.times[index] if index >= 0 and position_ms < account.ends[index] else None

    def times(self) -> dict[str, dict[str, list[float]]]:
        """`sent_frames` for JSON, by track: ``positionsMs`` in the recording and, at the same index, ``loopTimes``."""
        return {name: {"positionsMs": track.positions.tolist(), "loopTimes": track.times.tolist()} for name, track in self.tracks.items()}

    def to_json(self) -> dict[str, Any]:
        """Counts and digests by track."""
        return {
            name: {
                "frames": track.frames,
                "bytes": track.bytes,
                "sha256": track.sha256,
                "discarded": track.discarded,
                "timesForgotten": track.forgotten,
            }
            for name, track in self.tracks.items()
        }
