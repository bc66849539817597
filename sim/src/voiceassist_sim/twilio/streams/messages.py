"""The JSON texts that Twilio Media Streams sends, byte for byte ready for a text frame.

Source: the page on Media Streams' websocket messages. Counters are strings there; ``mediaFormat`` alone has numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from .request import StreamRequest, WireTrack

CONNECTED: Final = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'
GARBAGE: Final = b'{"event":"media","sequenceNumber":"1","media":{"track":'
_UNKNOWN_FIELD: Final = b',"x-notKnown":{"nested":[1,null,"text"]}}'


class MessageWriter:
    """Writes the messages of one stream. The media message is a template, as 50 to 100 of them go out a second."""

    def __init__(self, request: StreamRequest) -> None:
        self._request = request
        sid = json.dumps(request.stream_sid).encode()
        self._media: dict[WireTrack, bytes] = {
            track: b'{"event":"media","sequenceNumber":"%d","media":{"track":"'
            + track.encode()
            + b'","chunk":"%d","timestamp":"%d","payload":"%b"},"streamSid":'
            + sid.replace(b"%", b"%%")
            + b"}"
            for track in request.wire_tracks
        }

    def start(self, sequence: int, *, fields: Mapping[str, Any], parameters: Mapping[str, str | None]) -> bytes:
        """``start``; ``fields`` and ``parameters`` replace members of it and custom parameters, ``None`` leaves one out."""
        request = self._request
        body: dict[str, Any] = {
            "accountSid": request.account_sid,
            "streamSid": request.stream_sid,
            "callSid": request.call_sid,
            "tracks": list(request.wire_tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {key: value for key, value in {**request.parameters, **parameters}.items() if value is not None},
        }
        body = {key: value for key, value in {**body, **fields}.items() if value is not None}
        return self._message("start", sequence, body)

    def media(self, track: WireTrack, sequence: int, chunk: int, timestamp: int, payload: bytes) -> bytes:
        """``media``; ``timestamp`` in ms since the stream began, ``payload`` already base64."""
        return self._media[track] % (sequence, chunk, timestamp, payload)

    def stop(self, sequence: int) -> bytes:
        """``stop``."""
        return self._message("stop", sequence, {"accountSid": self._request.account_sid, "callSid": self._request.call_sid})

    def dtmf(self, sequence: int) -> bytes:
        """``dtmf``, which belongs to streams of the other kind."""
        return self._message("dtmf", sequence, {"track": "inbound_track", "digit": "1"})

    def mark(self, sequence: int) -> bytes:
        """``mark``, which belongs to streams of the other kind."""
        return self._message("mark", sequence, {"name": "label"})

    def unknown(self, sequence: int) -> bytes:
        """An event that no page of Twilio names."""
        return self._message("x-notKnown", sequence, {"value": 1})

    def _message(self, event: str, sequence: int, body: Mapping[str, Any]) -> bytes:
        message = {"event": event, "sequenceNumber": str(sequence), event: body, "streamSid": self._request.stream_sid}
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def with_unknown_field(message: bytes) -> bytes:
    """The same message with a member that no page of Twilio names."""
    return message[:-1] + _UNKNOWN_FIELD
