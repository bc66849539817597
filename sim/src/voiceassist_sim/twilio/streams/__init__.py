"""Twilio Media Streams as the relay meets them: signed websockets that carry a recorded call, and their status callbacks."""

from .address import check_url
from .codes import StreamCode, StreamFailed, StreamRefused
from .dialer import Dialer
from .direct import open_stream, play
from .faults import StreamFaults
from .ledger import SentFrame
from .media_stream import MediaStream, StreamState
from .request import Recording, RequestedTrack, StreamRequest
from .signature import sign

__all__ = [
    "Dialer",
    "MediaStream",
    "Recording",
    "RequestedTrack",
    "SentFrame",
    "StreamCode",
    "StreamFailed",
    "StreamFaults",
    "StreamRefused",
    "StreamRequest",
    "StreamState",
    "check_url",
    "open_stream",
    "play",
    "sign",
]
