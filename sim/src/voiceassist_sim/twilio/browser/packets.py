"""The packets on the socket that Twilio's browser clients share: ``TWILSOCK V3.0``, a JSON header, a payload; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_FIRST_LINE: Final = re.compile(rb"TWILSOCK V3\.0 (\d{1,9})\r\n")
MAX_PACKET_BYTES: Final = 1 << 20


class BadPacket(Exception):
    """A websocket message that is no packet; the text says what is wrong with its form, never what it holds."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: the header without ``payload_size``, and the payload (decoded JSON, a text, or ``None`` if there is none)."""

    header: Mapping[str, Any]
    payload: Any = None

    @property
    def method(self) -> str:
        """What it is: ``init``, ``message``, ``reply`` …"""
        return str(self.header["method"])

    @property
    def id(self) -> str:
        """The identifier that the other side's ``reply`` repeats."""
        return str(self.header["id"])


def encode(header: Mapping[str, Any], payload: Any = None) -> bytes:
    """A packet as it is sent, with ``payload`` as JSON unless it is ``None``."""
    body = b"" if payload is None else json.dumps(payload, separators=(",", ":")).encode()
    typed = {} if payload is None else {"payload_type": "application/json"}
    text = json.dumps({**header, **typed, "payload_size": len(body)}, separators=(",", ":")).encode()
    return b"TWILSOCK V3.0 %d\r\n%b\r\n%b" % (len(text), text, body)


def decode(data: bytes) -> Packet:
    """The packet in one websocket message; raises `BadPacket`."""
    first = _FIRST_LINE.match(data)
    if first is None:
        raise BadPacket("does not begin with TWILSOCK V3.0 and the size of the header")
    begin = first.end()
    end = begin + int(first[1])
    if data[end : end + 2] != b"\r\n":
        raise BadPacket("the header is not as long as it says")
    header = _header(data[begin:end])
    body = data[end + 2 :]
    size = header.pop("payload_size", None)
    if isinstance(size, bool) or not isinstance(size, int) or size != len(body):
        raise BadPacket(f"payload_size is {size!r}, {len(body)} bytes follow")
    return Packet(header, _payload(header, body) if body else None)


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError:
        raise BadPacket("the header is not JSON") from None
    if not isinstance(header, dict):
        raise BadPacket("the header is no object")
    for name in ("method", "id"):
        if not isinstance(header.get(name), str) or not header[name]:
            raise BadPacket(f"the header has no {name}")
    return header


def _payload(header: Mapping[str, Any], body: bytes) -> Any:
    request = header.get("http_request")
    if isinstance(request, dict) and request.get("method") == "DELETE":
        return None  # twilio-sync 4.0.1 sends a bare word here and calls it JSON
    try:
        text = body.decode()
        return text if header.get("payload_type") == "text/plain" else json.loads(text)
    except ValueError:
        raise BadPacket("the payload is not what payload_type says") from None
