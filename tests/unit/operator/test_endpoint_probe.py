"""The operator's dial of a public address, against real TLS servers on loopback: one for each thing that can be wrong."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from support.certificates import for_localhost
from unit.operator.making import well
from voiceassist_crds.names import PROBE_HEADER, PROBE_PATH
from voiceassist_crds.proof import probe_answer
from voiceassist_crds.proxies import Proxies
from voiceassist_operator.controller import endpoint_probe
from voiceassist_operator.controller.endpoint_probe import STALE_SECONDS, Dials, EndpointProbe, ProbeSettings, probe_endpoint
from voiceassist_operator.errors import Retryable
from voiceassist_operator.policy.endpoint_answers import Route
from voiceassist_operator.policy.observed import Endpoint, EndpointFact

TOKEN, PREFIX = "the-auth-token", "/assist"
ROUTE = Route("localhost", PREFIX, "support-relay")
Answer = Callable[[ServerConnection, Request], Response | None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return for_localhost(tmp_path_factory.mktemp("tls"))


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
        found = await probe_endpoint(ROUTE, TOKEN, tls, port_of(server.sockets))
    return found.result, found.message


def port_of(sockets: object) -> int:
    [one] = list(sockets)  # type: ignore[call-overload]  # asyncio's own type says only "iterable"
    return int(one.getsockname()[1])


@pytest.mark.parametrize(("answer", "words"), [(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "answers with 407"), (b"", "proxy")])
async def test_endpoint_probe_a_proxy_that_lets_nothing_through_is_named_without_its_login(answer: bytes, words: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxies = Proxies.read(f"http://user:planted-password@127.0.0.1:{port_of(server.sockets)}")
        route = Route("assist.example.com", PREFIX, "support-relay")
        found = await probe_endpoint(route, TOKEN, ssl.create_default_context(), 443, proxies)
    assert found.result is Endpoint.CONNECTION and words in found.message
    assert "planted" not in found.message


async def test_endpoint_probe_a_relay_of_ours_answers(certificate: Path) -> None:
    assert await dial(certificate, relay()) == (Endpoint.OK, "")


async def test_endpoint_probe_somebody_else_answers(certificate: Path) -> None:
    result, message = await dial(certificate, relay(), token="another-token")
    assert result is Endpoint.PATH
    assert "is not our relay" in message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "does not route it to the relays; check ingress.className and pathPrefix"),
        (503, "no relay takes it; see condition RelayAvailable"),
        (302, "Twilio follows no redirection"),
        (403, "past its log-in, firewall or list of addresses"),
        (426, "by something before the relays"),
        (200, "by something that is not our relay"),
    ],
)
async def test_endpoint_probe_no_websocket(certificate: Path, status: int, words: str) -> None:
    headers = Headers({"Location": "https://login.example/?secret=1"} if status == 302 else {})
    result, message = await dial(certificate, lambda *_: Response(status, "", headers, b"its own words"))
    assert result is Endpoint.PATH
    assert words in message
    assert str(status) in message
    assert "secret" not in message and "its own words" not in message


async def test_endpoint_probe_a_certificate_of_an_unknown_authority(certificate: Path) -> None:
    async with serve(lambda one: one.wait_closed(), "127.0.0.1", 0, ssl=server_side(certificate)) as server:
        found = await probe_endpoint(ROUTE, TOKEN, ssl.create_default_context(), port_of(server.sockets))
    assert found.result is Endpoint.CERTIFICATE
    assert "public authority" in found.message


async def test_endpoint_probe_no_tls_at_all(certificate: Path) -> None:
    async with serve(lambda one: one.wait_closed(), "127.0.0.1", 0) as server:
        found = await probe_endpoint(ROUTE, TOKEN, ssl.create_default_context(), port_of(server.sockets))
    assert found.result in {Endpoint.CERTIFICATE, Endpoint.CONNECTION}
    assert "localhost" in found.message


async def test_endpoint_probe_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = await probe_endpoint(ROUTE, TOKEN, ssl.create_default_context(), unused.getsockname()[1])
    assert found.result is Endpoint.CONNECTION
    assert "cannot be reached" in found.message


async def test_endpoint_probe_a_name_without_an_address() -> None:
    found = await probe_endpoint(replace(ROUTE, host="nothing.invalid"), TOKEN, ssl.create_default_context())
    assert found.result is Endpoint.DNS
    assert "nothing.invalid has no address in DNS" in found.message


async def test_endpoint_probe_a_name_that_can_be_none_in_dns() -> None:
    found = await probe_endpoint(replace(ROUTE, host=f"{'x' * 64}.example.com"), TOKEN, ssl.create_default_context())
    assert found.result is Endpoint.DNS


async def test_endpoint_probe_name_servers_that_say_nothing_are_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    monkeypatch.setattr(endpoint_probe, "TIMEOUT_SECONDS", 0.05)
    found = await probe_endpoint(ROUTE, TOKEN, ssl.create_default_context())
    assert found.result is Endpoint.DNS
    assert "no name server says" in found.message
    probe = EndpointProbe(Secrets(), ProbeSettings(ssl.create_default_context()), lambda: None)  # type: ignore[arg-type]
    probe.found = found
    assert await probe._dial(well(), set()) == replace(found, message=found.message.replace("localhost", well().owner.spec.host))


async def test_endpoint_probe_a_name_is_looked_up_once_and_all_its_addresses_are_tried(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[object] = []

    async def found(host: object, port: int, **_: object) -> list[object]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.77", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    async with serve(
        lambda one: one.wait_closed(),
        sock=socket.create_server(("127.0.0.1", 0)),
        ssl=server_side(certificate),
        process_request=relay(),
        process_response=proof(TOKEN),
    ) as server:
        tls = ssl.create_default_context(cafile=certificate)
        assert (await probe_endpoint(ROUTE, TOKEN, tls, port_of(server.sockets))).result is Endpoint.OK
    assert looked_up == ["localhost"]


class Secrets:
    """The cluster, as far as a dial needs it."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    async def credentials(self, *_: object) -> object:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def dialled(probe: EndpointProbe) -> EndpointFact | None:
    probe._dialled_at = float("-inf")
    probe.advance(well())
    assert probe._task is not None
    await asyncio.wait({probe._task})
    probe._dialled_at = time.monotonic()
    probe.advance(well())
    return probe.found


@pytest.mark.parametrize("secret", [{"data": {"authToken": "//4="}}, {"data": {"authToken": "no base64"}}, {"data": {}}, None])
async def test_endpoint_probe_a_token_that_is_no_text_is_told(secret: object) -> None:
    found = await dialled(EndpointProbe(Secrets(secret), ProbeSettings(ssl.create_default_context()), lambda: None))  # type: ignore[arg-type]
    assert found is not None
    assert found.result is Endpoint.UNTRIED
    assert "no auth token that is text" in found.message


async def test_endpoint_probe_a_result_does_not_outlast_dials_that_cannot_be_made() -> None:
    probe = EndpointProbe(
        Secrets(Retryable("x", 1), Retryable("x", 1), KeyError()), ProbeSettings(ssl.create_default_context()), lambda: None
    )  # type: ignore[arg-type]
    probe.found, probe._found_at = EndpointFact(Endpoint.OK), time.monotonic()
    assert await dialled(probe) == EndpointFact(Endpoint.OK), "a moment's trouble"
    probe._found_at -= STALE_SECONDS
    found = await dialled(probe)
    assert found is not None
    assert found.result is Endpoint.UNTRIED
    probe.found, probe._found_at = EndpointFact(Endpoint.OK), time.monotonic()
    defect = await dialled(probe)
    assert defect is not None
    assert defect.result is Endpoint.UNTRIED, "a defect is none that passes"


async def test_endpoint_probe_the_token_is_read_for_each_dial_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[str] = []

    async def probed(_: object, token: str, *__: object) -> EndpointFact:
        tokens.append(token)
        return EndpointFact(Endpoint.OK)

    monkeypatch.setattr(endpoint_probe, "probe_endpoint", probed)
    secrets = Secrets(*({"data": {"authToken": base64.b64encode(token).decode()}} for token in (b"first", b"second")))
    probe = EndpointProbe(secrets, ProbeSettings(ssl.create_default_context()), lambda: None)  # type: ignore[arg-type]
    for _ in range(2):
        await probe._dial(well(), set())
        assert not any(token in map(str, vars(probe).values()) for token in tokens)
    assert tokens == ["first", "second"]


async def test_endpoint_probe_a_name_that_still_has_no_address_reads_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {"data": {"authToken": base64.b64encode(TOKEN.encode()).decode()}}
    probe = EndpointProbe(Secrets(secret), ProbeSettings(ssl.create_default_context()), lambda: None)  # type: ignore[arg-type]

    async def refused(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refused)
    first, second = await dialled(probe), await dialled(probe)
    assert first is not None and first.result is Endpoint.DNS
    assert second == first, "there is one Secret to be read, and it was read by the first dial"


async def test_endpoint_probe_dials_take_turns_of_all_objects() -> None:
    dials, at_once, begun = Dials(at_once=3, apart=0.01), 0, [time.monotonic()]

    async def dial() -> None:
        nonlocal at_once
        async with dials.turn():
            begun.append(time.monotonic())
            at_once += 1
            assert at_once <= 3
            await asyncio.sleep(0.02)
            at_once -= 1

    await asyncio.gather(*(dial() for _ in range(20)))
    assert begun[-1] - begun[0] >= 0.19, "so far apart"


async def test_endpoint_probe_a_place_is_held_until_the_lookup_itself_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = asyncio.Event()

    async def silent(*_: object, **__: object) -> None:
        await ends.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    monkeypatch.setattr(endpoint_probe, "TIMEOUT_SECONDS", 0.02)
    secret = {"data": {"authToken": base64.b64encode(TOKEN.encode()).decode()}}
    settings = ProbeSettings(ssl.create_default_context(), dials=Dials(at_once=1, apart=0))
    probe = EndpointProbe(Secrets(secret), settings, lambda: None)  # type: ignore[arg-type]
    found = await dialled(probe)
    assert found is not None and found.result is Endpoint.DNS
    assert settings.dials._places.locked(), "its thread is still taken"
    ends.set()
    async with asyncio.timeout(30), settings.dials.turn():
        pass
    assert not settings.dials._places.locked()
