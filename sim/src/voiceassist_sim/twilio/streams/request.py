"""What a stream is made from: the request as REST accepted it, and the audio of the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

RequestedTrack = Literal["inbound_track", "outbound_track", "both_tracks"]
WireTrack = Literal["inbound", "outbound"]

SAMPLE_RATE: Final = 8000
"""Samples, and with mu-law also bytes, in a second of one track."""
SILENCE: Final = b"\xff"
"""The mu-law code of a zero sample."""

_WIRE_TRACKS: Final[dict[RequestedTrack, tuple[WireTrack, ...]]] = {
    "inbound_track": ("inbound",),
    "outbound_track": ("outbound",),
    "both_tracks": ("inbound", "outbound"),
}


class Recording(Protocol):
    """The two sides of a call, mu-law at 8 kHz, one byte a sample; `voiceassist_sim.audio.CallRecording` is one."""

    @property
    def customer(self) -> bytes:
        """What Twilio hears from the leg that is streamed: its inbound track."""

    @property
    def agent(self) -> bytes | None:
        """What Twilio plays to that leg: its outbound track; ``None`` is an agent who says nothing."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """One accepted request for a stream; the fields are those of Twilio's Streams resource.

    ``url`` is used and signed exactly as it stands here. ``status_callback_method`` is ``GET`` or ``POST``.
    """

    account_sid: str
    call_sid: str
    stream_sid: str
    name: str | None
    url: str
    track: RequestedTrack
    parameters: Mapping[str, str]
    status_callback: str | None
    status_callback_method: str

    @property
    def wire_tracks(self) -> tuple[WireTrack, ...]:
        """The tracks by the names used in messages (without the suffix ``_track``), in sending order."""
        return _WIRE_TRACKS[self.track]
