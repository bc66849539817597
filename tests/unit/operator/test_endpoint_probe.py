"""The operator's dial of a public address, against real TLS servers on loopback: one for each thing that can be wrong."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from voiceassist_crds.names import PROBE_HEADER, PROBE_PATH
from voiceassist_crds.proof import probe_answer
from voiceassist_operator.controller.endpoint_probe import probe_endpoint
from voiceassist_operator.policy.observed import Endpoint

TOKEN, PREFIX = "the-auth-token", "/assist"
Answer = Callable[[ServerConnection, Request], Response | None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own authority for localhost, with its key in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
    signed = made.add_extension(names, False).add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + signed.public_bytes(pem)
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(text)
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def relay(path: str = f"{PREFIX}{PROBE_PATH}/", token: str = TOKEN) -> Answer:
    """A relay: checks the signature over the public address and answers with its proof."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        assert request.path.startswith(path)
        signed = RequestValidator(TOKEN).compute_signature(f"wss://localhost{request.path}", {})
        if request.headers["X-Twilio-Signature"] != signed or request.headers["Host"] != "localhost":
            return connection.respond(HTTPStatus.FORBIDDEN, "")
        connection.username = request.path.rsplit("/", 1)[1]
        return None

    return answer


def proof(token: str) -> Callable[[ServerConnection, Request, Response], None]:
    def add(_: ServerConnection, request: Request, response: Response) -> None:
        response.headers[PROBE_HEADER] = probe_answer(token, request.path.rsplit("/", 1)[1])

    return add


async def dial(certificate: Path, answer: Answer, token: str = TOKEN) -> tuple[Endpoint, str]:
    async def nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    tls = ssl.create_default_context(cafile=certificate)
    async with serve(
        nothing, "127.0.0.1", 0, ssl=server_side(certificate), process_request=answer, process_response=proof(token)
    ) as server:
        found = await probe_endpoint("localhost", PREFIX, TOKEN, tls, port_of(server.sockets))
    return found.result, found.message


def port_of(sockets: object) -> int:
    [one] = list(sockets)  # type: ignore[call-overload]  # asyncio's own type says only "iterable"
    return int(one.getsockname()[1])


async def test_a_relay_of_ours_answers(certificate: Path) -> None:
    assert await dial(certificate, relay()) == (Endpoint.OK, "")


async def test_somebody_else_answers(certificate: Path) -> None:
    result, message = await dial(certificate, relay(), token="another-token")
    assert result is Endpoint.PATH
    assert "is not our relay" in message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "does not route it to the relays; check ingress.className and pathPrefix"),
        (503, "no relay takes it; see condition RelayAvailable"),
        (403, "the relay refuses our signature"),
        (426, "instead of a websocket"),
    ],
)
async def test_no_websocket(certificate: Path, status: int, words: str) -> None:
    result, message = await dial(certificate, lambda *_: Response(status, "", Headers()))
    assert result is Endpoint.PATH
    assert words in message
    assert str(status) in message


async def test_a_certificate_of_an_unknown_authority(certificate: Path) -> None:
    async with serve(lambda one: one.wait_closed(), "127.0.0.1", 0, ssl=server_side(certificate)) as server:
        found = await probe_endpoint("localhost", PREFIX, TOKEN, ssl.create_default_context(), port_of(server.sockets))
    assert found.result is Endpoint.CERTIFICATE
    assert "public authority" in found.message


async def test_no_tls_at_all(certificate: Path) -> None:
    async with serve(lambda one: one.wait_closed(), "127.0.0.1", 0) as server:
        found = await probe_endpoint("localhost", PREFIX, TOKEN, ssl.create_default_context(), port_of(server.sockets))
    assert found.result in {Endpoint.CERTIFICATE, Endpoint.CONNECTION}
    assert "localhost" in found.message


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = await probe_endpoint("localhost", PREFIX, TOKEN, ssl.create_default_context(), unused.getsockname()[1])
    assert found.result is Endpoint.CONNECTION
    assert "cannot be reached" in found.message


async def test_a_name_without_an_address() -> None:
    found = await probe_endpoint("nothing.invalid", PREFIX, TOKEN, ssl.create_default_context())
    assert found.result is Endpoint.DNS
    assert "nothing.invalid has no address in DNS" in found.message
