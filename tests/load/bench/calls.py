"""What the calls of the benchmark say before their audio: signed upgrades, `connected`, and a `start` with a valid token."""

from __future__ import annotations

import base64
import datetime
import hmac
import ipaddress
import json
import struct
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from voiceassist_crds.messages import CallDocument, CallState
from voiceassist_crds.names import CallSid, call_document, stream_name, sync_stream
from voiceassist_relay.auth import mint_stream_token
from voiceassist_relay.interfaces import StreamClaims
from voiceassist_relay.sync.document_mac import marked

ACCOUNT = "AC" + "a" * 32
AUTH_TOKEN = "b" * 32
HOST = "assist.example.com"
SECRETS = {"twilio-auth-token": AUTH_TOKEN, "twilio-api-key-sid": "SK" + "c" * 32, "twilio-api-key-secret": "d" * 32, "model-api-key": "m"}


def scripts(path: Path, count: int, tracks: int) -> None:
    """Writes the generator's file for so many calls."""
    parts = []
    for number in range(count):
        call, stream = CallSid(f"CA{number:032x}"), f"MZ{number:032x}"
        url = f"wss://{HOST}/ws/{call}"
        signature = base64.b64encode(hmac.digest(AUTH_TOKEN.encode(), url.encode(), "sha1")).decode()
        key = base64.b64encode(number.to_bytes(16, "big")).decode()
        upgrade = (
            f"GET /ws/{call} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nX-Twilio-Signature: {signature}\r\n\r\n"
        )
        token = mint_stream_token(AUTH_TOKEN, StreamClaims(call, ACCOUNT, 1, int(time.time()) + 86_400))
        start = {
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "accountSid": ACCOUNT,
                "streamSid": stream,
                "callSid": call,
                "tracks": ["inbound", "outbound"][:tracks],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {"token": token},
            },
            "streamSid": stream,
        }
        parts += [upgrade, '{"event":"connected","protocol":"Call","version":"1.0.0"}', json.dumps(start, separators=(",", ":"))]
    path.write_bytes(b"".join(struct.pack("<I", len(part)) + part.encode() for part in parts))


def documents(path: Path, count: int) -> None:
    """Writes what Sync's stub has of so many calls: the answer to whoever reads a call's Document, as `/stream` wrote it, one a line."""
    lines = []
    for number in range(count):
        call = CallSid(f"CA{number:032x}")
        document = CallDocument(
            state=CallState.STARTING,
            generation=1,
            stream_name=stream_name(call, 1),
            sync_stream=sync_stream(call, f"{number:032x}"),
            deadline=int(time.time()) + 86_400,
            worker="WK" + "e" * 32,
            identity="agent",
            task_sid="WT" + "f" * 32,
        )
        data = marked(call, document.wire(), [AUTH_TOKEN])
        lines.append(json.dumps([call_document(call), {"sid": f"ET{number:032x}", "revision": "0", "created_by": "system", "data": data}]))
    path.write_text("\n".join(lines))


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key; the certificate is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "voiceassist benchmark")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "cert.pem", folder / "key.pem"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate_path, key_path
