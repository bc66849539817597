"""Cuts the call's recording into the frames of one or two tracks: numbers, timestamps and audio, with no clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .request import SAMPLE_RATE, SILENCE, Recording, WireTrack

_QUIET = bytes(code for code in range(256) if (code & 0x7F) >= 0x78)
"""Codes of samples below 64 of 32768: what a quiet line has."""
_PER_MS = SAMPLE_RATE // 1000


class MediaFrame(NamedTuple):
    """One media message before it is written: ``number`` counts media from 1 over all tracks, ``audio`` is mu-law.

    ``timestamp_ms``: since the stream began. ``position_ms``: of the frame's first sample in the recording.
    """

    track: WireTrack
    number: int
    chunk: int
    timestamp_ms: int
    position_ms: float
    audio: bytes

    @property
    def end_ms(self) -> float:
        """Where in the recording the frame ends, in ms."""
        return self.position_ms + len(self.audio) / _PER_MS


class FrameTrain:
    """The frames of a stream that begins at a sample of the recording; past the recording's end there is silence."""

    def __init__(self, recording: Recording, tracks: Sequence[WireTrack], first_sample: int = 0) -> None:
        sides: dict[WireTrack, bytes] = {"inbound": recording.customer, "outbound": recording.agent or b""}
        self._sides = [(track, sides[track]) for track in tracks]
        self._first = first_sample
        self._sent = 0
        self._number = 0
        self._chunks: dict[WireTrack, int] = dict.fromkeys(tracks, 0)
        self._length = max(len(side) for _, side in self._sides)

    def begin_at(self, first_sample: int) -> None:
        """Take up the recording at this sample; to be said before the first frame."""
        self._first = first_sample

    @property
    def elapsed_ms(self) -> float:
        """Audio time since the stream began."""
        return self._sent / _PER_MS

    @property
    def position_ms(self) -> float:
        """Where in the recording the next frame begins, in ms."""
        return (self._first + self._sent) / _PER_MS

    @property
    def exhausted(self) -> bool:
        """Whether the recording has been played to its end on every track."""
        return self._first + self._sent >= self._length

    @property
    def media_made(self) -> int:
        """Media messages so far."""
        return self._number

    def next(self, samples: int, *, shared_chunk: bool = False, silent_gaps: bool = False) -> list[MediaFrame]:
        """The frames of the next ``samples`` samples, one per track; none for a silent track with ``silent_gaps``."""
        begin = self._first + self._sent
        timestamp = self._sent // _PER_MS
        frames: list[MediaFrame] = []
        for track, side in self._sides:
            audio = side[begin : begin + samples]
            if len(audio) < samples:
                audio += SILENCE * (samples - len(audio))
            if silent_gaps and not audio.strip(_QUIET):
                continue
            self._number += 1
            self._chunks[track] += 1
            chunk = self._number if shared_chunk else self._chunks[track]
            frames.append(MediaFrame(track, self._number, chunk, timestamp, begin / _PER_MS, audio))
        self._sent += samples
        return frames
