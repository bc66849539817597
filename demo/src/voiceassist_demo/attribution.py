"""Finds out which call and track each model session heard, by its audio alone: the model is not told what call it serves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .chain import FRAME_BYTES, Chain, Stretch, fit, frames_of, misfit

Json = Mapping[str, Any]
KINDS = {"inbound": "realtime", "outbound": "transcription"}
"""The kind of session that hears each track."""


@dataclass(slots=True)
class Heard:
    """One session of a track; `stretch` is None if what it heard cannot be explained."""

    session: Json
    stretch: Stretch | None


@dataclass(slots=True)
class Track:
    """One track of a call: what Twilio sent, and the sessions that heard it, in the order in which they were opened."""

    kind: str
    sha256: str
    """Digest of all that Twilio sent."""
    size: int
    """Bytes that Twilio sent."""
    audio: bytes | None = None
    """All that Twilio sent; None if it cannot be told from the recording: then only the digest can agree."""
    heard: list[Heard] = field(default_factory=list)
    chain: Chain = field(init=False)
    _frames: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._frames = frames_of(self.audio or b"")
        self.chain = Chain(-(-self.size // FRAME_BYTES))

    def fit(self, heard: Sequence[bytes]) -> Stretch | None:
        """The stretch that a session heard, if it goes on where this track is."""
        return None if self.audio is None else fit(self._frames, heard, self.chain.covered)

    def take(self, session: Json, stretch: Stretch) -> None:
        """This session was the next to hear the track."""
        self.heard.append(Heard(session, stretch))
        self.chain.take(stretch)

    def spoil(self, session: Json, heard: Sequence[bytes]) -> None:
        """This session heard the track, and something else than was sent."""
        self.heard.append(Heard(session, None))
        if self.audio is None:
            self.chain.faults.append(
                f"session {len(self.heard)}: not all of what was sent, and the recording does not tell where it differs"
            )
        else:
            frame = misfit(self._frames, heard, self.chain.covered)
            self.chain.faults.append(f"session {len(self.heard)}: frame {frame} is lost, doubled or not what was sent")


def claim_whole(tracks: Iterable[Track], sessions: Iterable[Json]) -> list[Json]:
    """Gives each track the session that heard exactly what was sent. Returns the sessions that are left, those without audio left out."""
    left = [session for session in sessions if session["bytesHeard"] > 0]
    for track in tracks:
        whole = next((one for one in left if one["kind"] == track.kind and one["sha256"] == track.sha256 and track.size), None)
        if whole is not None:
            left.remove(whole)
            track.take(whole, Stretch(0, track.chain.sent))
    return left


def claim_parts(tracks: Sequence[Track], sessions: Iterable[tuple[Json, bytes]]) -> None:
    """Gives each of these sessions, with their audio, to the track that it explains best; every one is given to some track of its kind.

    Where the sessions fit more than one track, the one is taken where the fewest frames are replayed, filled in or still missing.
    """
    for session, audio in sorted(sessions, key=lambda one: float(one[0]["openedAtMs"])):
        heard, alike = frames_of(audio), [track for track in tracks if track.kind == session["kind"]]
        fitting = [(track, stretch) for track in alike if (stretch := track.fit(heard)) is not None]
        if fitting:
            track, stretch = min(fitting, key=_left_open)
            track.take(session, stretch)
        elif alike:
            min(alike, key=_unlike(len(heard))).spoil(session, heard)


def _left_open(fitting: tuple[Track, Stretch]) -> int:
    chain, stretch = fitting[0].chain, fitting[1]
    replayed = min(stretch.end, chain.covered) - stretch.begin
    return replayed + len(stretch.filled) + chain.sent - max(stretch.end, chain.covered)


def _unlike(frames: int) -> Callable[[Track], tuple[bool, int]]:
    """For a session that fits nowhere: tracks that miss something first, and among them the one that misses about as much."""

    def unlike(track: Track) -> tuple[bool, int]:
        missing = 0 if track.chain.faults else track.chain.sent - track.chain.covered
        return missing == 0, abs(missing - frames)

    return unlike
