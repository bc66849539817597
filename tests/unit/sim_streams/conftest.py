"""A websocket server that listens as a relay would, and the requests and recordings that the tests play to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voiceassist_sim.twilio.streams import Dialer, StreamRequest

HOST = "relay.example.com"
TOKEN = "the-auth-token"
CALL = "CA" + "1" * 32


@dataclass(frozen=True)
class TwoSides:
    """A recording, as the audio module makes it."""

    customer: bytes
    agent: bytes | None


@dataclass
class Heard:
    """One websocket as the server saw it."""

    path: str
    headers: dict[str, str]
    messages: list[str | bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        decoded = [json.loads(message) for message in self.messages if isinstance(message, str)]
        return [event for event in decoded if name is None or event["event"] == name]

    async def until(self, wanted: Callable[[Heard], bool], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not wanted(self):
                self.arrival.clear()
                await self.arrival.wait()

    async def count(self, messages: int) -> None:
        await self.until(lambda heard: len(heard.messages) >= messages)


Behaviour = Callable[[ServerConnection, Heard], Awaitable[None]]


async def listen(websocket: ServerConnection, heard: Heard) -> None:
    """What a relay does: hear everything, close after `stop`."""
    async for message in websocket:
        heard.messages.append(message)
        heard.arrival.set()
        if isinstance(message, str) and message.startswith('{"event":"stop"'):
            return


class RelayServer:
    """The server of the tests; `behaviour` is what it does with the next connections."""

    def __init__(self) -> None:
        self.port = 0
        self.behaviour: Behaviour = listen
        self.process_request: Callable[[ServerConnection, Any], Any] | None = None
        self.heard: list[Heard] = []
        self.connected = asyncio.Event()

    def dialer(self, **options: Any) -> Dialer:
        return Dialer({HOST: ("127.0.0.1", self.port)}, None, **options)

    def ask(self, connection: ServerConnection, request: Any) -> Any:
        return self.process_request(connection, request) if self.process_request else None

    async def serve(self, websocket: ServerConnection) -> None:
        assert websocket.request is not None
        headers = {name.lower(): value for name, value in websocket.request.headers.raw_items()}
        heard = Heard(websocket.request.path, headers)
        self.heard.append(heard)
        self.connected.set()
        with suppress(ConnectionClosed):
            try:
                await self.behaviour(websocket, heard)
            finally:
                heard.ended.set()
                heard.arrival.set()


@pytest.fixture
async def relay() -> AsyncIterator[RelayServer]:
    server = RelayServer()
    async with serve(
        server.serve, "127.0.0.1", 0, process_request=server.ask, ping_interval=None, close_timeout=1, max_size=2**20
    ) as running:
        server.port = next(iter(running.sockets)).getsockname()[1]
        yield server


@pytest.fixture
def request_of() -> Callable[..., StreamRequest]:
    """Makes requests; arguments replace fields."""

    def make(**changes: Any) -> StreamRequest:
        values: dict[str, Any] = {
            "account_sid": "AC" + "2" * 32,
            "call_sid": CALL,
            "stream_sid": "MZ" + "3" * 32,
            "name": "assist_" + CALL,
            "url": f"wss://{HOST}/ws/{CALL}",
            "track": "both_tracks",
            "parameters": {"token": "abc.def", "generation": "1"},
            "status_callback": None,
            "status_callback_method": "POST",
        }
        return StreamRequest(**{**values, **changes})

    return make


@pytest.fixture
def recording() -> TwoSides:
    """200 ms in which no two frames are alike on either side."""
    customer = bytes((7 * frame + index) % 120 for frame in range(10) for index in range(160))
    return TwoSides(customer, bytes(byte + 128 for byte in customer))


@pytest.fixture
def auth_token() -> str:
    return TOKEN


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the public name that is its own authority, and its key (PEM files)."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_file, key_file
