"""The operator's dial through a real proxy with one fault each: the condition names this fault, and the setting that mends it (issue 15,
number 16)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.media_rig import PRIMARY, on_uvloop
from proxies.controllers import UPGRADED, haproxy, nginx, nginx_of_f5, ours
from proxies.relay import relay_and_proxies
from proxies.test_faults import FAULTS, Before
from support.certificates import for_localhost
from voiceassist_operator.controller.endpoint_probe import probe_endpoint
from voiceassist_operator.policy.endpoint_answers import Route
from voiceassist_operator.policy.observed import Endpoint, EndpointFact

PATH, QUERY, DROPPED = "strips, adds or doubles a part", "with a query", "X-Twilio-Signature does not arrive"
DOUBLED, UPGRADE, PROXY = "arrives more than once", "passes no websockets on", "speaks the PROXY protocol"


def unnamed() -> Before:
    """F5's controller, which is not told that the Service takes websockets."""
    told = {name: value for name, value in ours().items() if name != "nginx.org/websocket-services"}
    return lambda proxies, relay: proxies.nginx(nginx_of_f5(relay, told))


ROWS: dict[str, tuple[Before, str, Endpoint, str, str]] = {
    # what stands before the relay, the IngressClass, what is found, and words of the fault and of the setting
    "nginx strips the prefix": (FAULTS["nginx strips the prefix"][0], "nginx", Endpoint.ALTERED, PATH, "rewrite-target"),
    "nginx doubles a slash": (FAULTS["nginx doubles a slash"][0], "", Endpoint.ALTERED, PATH, "proxy_pass without a path"),
    "nginx adds a query": (FAULTS["nginx adds a query"][0], "nginx", Endpoint.ALTERED, QUERY, "may have no ?"),
    "nginx drops the signature": (FAULTS["nginx drops the signature"][0], "", Endpoint.ALTERED, DROPPED, "may empty it"),
    "F5 passes no upgrade": (unnamed(), "nginx", Endpoint.UPGRADE, UPGRADE, "nginx.org/websocket-services: support-relay"),
    "haproxy strips the prefix": (FAULTS["haproxy strips the prefix"][0], "haproxy", Endpoint.ALTERED, PATH, "haproxy.org/path-rewrite"),
    "haproxy doubles a slash": (FAULTS["haproxy doubles a slash"][0], "haproxy", Endpoint.ALTERED, PATH, "haproxy.org/path-rewrite"),
    "haproxy adds a query": (FAULTS["haproxy adds a query"][0], "haproxy", Endpoint.ALTERED, QUERY, "http-request set-query"),
    "haproxy drops the signature": (FAULTS["haproxy drops the signature"][0], "haproxy", Endpoint.ALTERED, DROPPED, "del-header"),
    "haproxy doubles the signature": (FAULTS["haproxy doubles the signature"][0], "haproxy", Endpoint.ALTERED, DOUBLED, "set-header"),
    "haproxy passes no upgrade": (FAULTS["haproxy passes no upgrade"][0], "haproxy", Endpoint.UPGRADE, UPGRADE, "may delete the headers"),
    "haproxy speaks the PROXY protocol": (
        lambda proxies, relay: proxies.haproxy(haproxy(relay, server="send-proxy")),
        "haproxy",
        Endpoint.ALTERED,
        PROXY,
        "send-proxy-protocol",
    ),
    "traefik strips the prefix": (FAULTS["traefik strips the prefix"][0], "traefik", Endpoint.ALTERED, PATH, "stripPrefix"),
    "traefik adds a prefix": (FAULTS["traefik adds a prefix"][0], "traefik", Endpoint.ALTERED, PATH, "addPrefix"),
    "traefik drops the signature": (FAULTS["traefik drops the signature"][0], "traefik", Endpoint.ALTERED, DROPPED, "customRequestHeaders"),
    "nginx has another path": (
        lambda proxies, relay: proxies.nginx(nginx(relay, *UPGRADED, location="/other/")),
        "nginx",
        Endpoint.PATH,
        "answered with 404",
        "ingress.className",
    ),
    "nginx has no relay": (lambda proxies, _: proxies.nginx(nginx(1, *UPGRADED)), "nginx", Endpoint.PATH, "answered with 502", "no relay"),
    "nothing is wrong": (lambda proxies, relay: proxies.nginx(nginx(relay, *UPGRADED)), "nginx", Endpoint.OK, "", ""),
}


@contextlib.asynccontextmanager
async def tls_before(port: int, certificate: Path) -> AsyncIterator[int]:
    """Takes TLS off, as a balancer before the ingress controller does. Gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    target.write(data)
                    await target.drain()
                target.close()

        await asyncio.gather(copy(reader, back), copy(there, writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def found(before: Before, class_name: str, folder: Path) -> EndpointFact:
    certificate = for_localhost(folder)
    async with relay_and_proxies(folder, host="localhost") as (rig, proxies):
        proxy = await before(proxies, rig.port)
        async with tls_before(proxy.port, certificate) as port:
            route = Route("localhost", "/voice", "support-relay", class_name)
            return await probe_endpoint(route, PRIMARY, ssl.create_default_context(cafile=certificate), port)


@pytest.mark.parametrize("fault", ROWS)
@on_uvloop
async def test_the_condition_names_the_fault_and_what_mends_it(fault: str, tmp_path: Path) -> None:
    before, class_name, endpoint, what, setting = ROWS[fault]
    told = await found(before, class_name, tmp_path)
    assert told.result is endpoint, told.message
    assert what in told.message
    assert setting in told.message
    assert "who has the host" not in told.message
