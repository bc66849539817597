"""One fault of a proxy each, with real proxies: the relay answers with the fault's own name, and counts it (issue 15, number 16)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from integration.media_rig import Rig, on_uvloop
from proxies.controllers import UPGRADED, haproxy, nginx
from proxies.proxies import Proxies, Proxy
from proxies.relay import answer, relay_and_proxies, through
from voiceassist_relay.server.limits import HttpRefusal

Before = Callable[[Proxies, int], Awaitable[Proxy]]


def of_nginx(*lines: str, **changes: Any) -> Before:
    return lambda proxies, relay: proxies.nginx(nginx(relay, *UPGRADED, *lines, **changes))


def of_haproxy(*lines: str, server: str = "") -> Before:
    return lambda proxies, relay: proxies.haproxy(haproxy(relay, *lines, server=server))


def of_traefik(*middlewares: dict[str, object]) -> Before:
    return lambda proxies, relay: proxies.traefik(relay, *middlewares)


FAULTS: dict[str, tuple[Before, int, str]] = {
    "nginx strips the prefix": (of_nginx(location="/voice/", to="http://relay/"), 404, "bad_path"),
    "nginx doubles a slash": (of_nginx(location="/voice/", to="http://relay//voice/"), 404, "bad_path"),
    "nginx adds a query": (of_nginx(to="http://relay$uri?from=proxy"), 403, "query"),
    "nginx drops the signature": (of_nginx('proxy_set_header X-Twilio-Signature "";'), 403, "no_signature"),
    "haproxy strips the prefix": (of_haproxy(r"http-request replace-path /voice(/.*) \1"), 404, "bad_path"),
    "haproxy doubles a slash": (of_haproxy("http-request set-path /%[path]"), 404, "bad_path"),
    "haproxy adds a query": (of_haproxy("http-request set-query from=proxy"), 403, "query"),
    "haproxy drops the signature": (of_haproxy("http-request del-header X-Twilio-Signature"), 403, "no_signature"),
    "haproxy doubles the signature": (
        of_haproxy("http-request add-header X-Twilio-Signature %[req.hdr(X-Twilio-Signature)]"),
        403,
        "bad_signature",
    ),
    "haproxy alters the path that is signed": (of_haproxy("http-request set-path %[path,regsub(CA1,CA2)]"), 403, "bad_signature"),
    "haproxy passes no upgrade": (of_haproxy("http-request del-header Upgrade", "http-request del-header Connection"), 426, "no_upgrade"),
    "traefik strips the prefix": (of_traefik({"stripPrefix": {"prefixes": ["/voice"]}}), 404, "bad_path"),
    "traefik adds a prefix": (of_traefik({"addPrefix": {"prefix": "/again"}}), 404, "bad_path"),
    "traefik drops the signature": (
        of_traefik({"headers": {"customRequestHeaders": {"X-Twilio-Signature": ""}}}),
        403,
        "no_signature",
    ),
}


async def _asked(rig: Rig, proxy: Proxy) -> tuple[int, list[str]]:
    return await answer(await through(rig, proxy).upgrade())


@pytest.mark.parametrize("fault", FAULTS)
@on_uvloop
async def test_each_fault_is_named_as_what_it_is(fault: str, tmp_path: Path) -> None:
    before, status, refusal = FAULTS[fault]
    async with relay_and_proxies(tmp_path) as (rig, proxies):
        answered, lines = await _asked(rig, await before(proxies, rig.port))
        assert (answered, lines[0]) == (status, refusal)
        assert rig.outcomes() == {refusal: 1}
        if fault.endswith("doubles the signature"):
            assert lines[1] == "X-Twilio-Signature was there 2 times"


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
@on_uvloop
async def test_the_proxy_protocol_is_told_from_a_broken_request(version: str, tmp_path: Path) -> None:
    async with relay_and_proxies(tmp_path) as (rig, proxies):
        answered, lines = await _asked(rig, await proxies.haproxy(haproxy(rig.port, server=version)))
        assert (answered, lines) == (400, ["proxy_protocol"])
        assert rig.turned_away == [HttpRefusal.PROXY_PROTOCOL]
