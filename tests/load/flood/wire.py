"""Twilio's side of a media stream as bytes: the upgrade, signed or not, the messages, and client frames of any shape."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.speedups import apply_mask

from voiceassist_crds.names import CallSid
from voiceassist_relay.auth import mint_stream_token
from voiceassist_relay.interfaces import StreamClaims

HOST = "assist.voiceassist.example"
PAYLOAD_CHARACTERS = 216


def frame(payload: bytes, *, op: int = 1, fin: bool = True) -> bytes:
    """A masked client frame."""
    size, key = len(payload), os.urandom(4)
    first = bytes([(0x80 if fin else 0) | op])
    if size < 126:
        head = first + bytes([0x80 | size])
    elif size < 65536:
        head = first + b"\xfe" + size.to_bytes(2, "big")
    else:
        head = first + b"\xff" + size.to_bytes(8, "big")
    return head + key + apply_mask(payload, key)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose streams these are."""

    sid: str
    auth_token: str


@dataclass(slots=True)
class Stream:
    """One media stream of one call, told in bytes."""

    account: Account
    call_sid: str = field(default_factory=lambda: "CA" + secrets.token_hex(16))
    stream_sid: str = field(default_factory=lambda: "MZ" + secrets.token_hex(16))
    sequence: int = 1

    def upgrade(self, *, signed: bool = True, signature: str = "") -> bytes:
        """The request; `signature` stands for any text in the signature's place."""
        lines = [f"GET /ws/{self.call_sid} HTTP/1.1", f"Host: {HOST}", "Connection: Upgrade", "Upgrade: websocket"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        if signed or signature:
            url = f"wss://{HOST}/ws/{self.call_sid}"
            true = base64.b64encode(hmac.digest(self.account.auth_token.encode(), url.encode(), "sha1")).decode()
            lines.append(f"X-Twilio-Signature: {signature or true}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def opening(self) -> bytes:
        """`connected` and `start`, with a token that is good for a minute."""
        claims = StreamClaims(CallSid(self.call_sid), self.account.sid, 1, int(time.time()) + 60)
        start = {
            "accountSid": self.account.sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": mint_stream_token(self.account.auth_token, claims)},
        }
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        return self._message(connected) + self._message(
            {"event": "start", "sequenceNumber": "1", "streamSid": self.stream_sid, "start": start}
        )

    def media(self, payload: str) -> bytes:
        """The next 20 ms, as a frame."""
        self.sequence += 1
        chunk = self.sequence - 1
        text = (
            f'{{"event":"media","sequenceNumber":"{self.sequence}","media":{{"track":"inbound","chunk":"{chunk}",'
            f'"timestamp":"{20 * chunk}","payload":"{payload}"}},"streamSid":"{self.stream_sid}"}}'
        )
        return frame(text.encode())

    def stop(self) -> bytes:
        """The end of the call."""
        self.sequence += 1
        body = {"accountSid": self.account.sid, "callSid": self.call_sid}
        return self._message({"event": "stop", "sequenceNumber": str(self.sequence), "streamSid": self.stream_sid, "stop": body})

    def _message(self, document: dict[str, Any]) -> bytes:
        return frame(json.dumps(document).encode())


def payload(call: int, number: int) -> str:
    """Base64 of 20 ms of audio that says whose it is: call and number, the rest silence."""
    return f"{call:04d}{number:08d}".ljust(PAYLOAD_CHARACTERS, "/")
