"""The way out to Twilio and the model: straight or through a proxy, and who is trusted. Other relays are reached straight."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import Mapping

from voiceassist_crds.config import Network
from voiceassist_crds.proxies import Proxies, Proxy

from .config.snapshot import CurrentSnapshot, Snapshot
from .errors import ConfigRefused

_MOST_ANSWER = 16_384


class Egress:
    """The way out as of the snapshot in force. What it is made of is kept until that changes."""

    def __init__(self, current: CurrentSnapshot, environment: Mapping[str, str]) -> None:
        """`environment`: HTTPS_PROXY and NO_PROXY hold where the configuration names no proxy."""
        self._current, self._environment = current, dict(environment)
        self._network: Network | None = None
        self._proxies = Proxies()
        self._authorities: str | None = None
        self._tls: ssl.SSLContext

    def proxies(self) -> Proxies:
        """Which connections go through which proxy."""
        network = self._current().config.network
        if network is not self._network:
            self._network, self._proxies = network, proxies_of(network, self._environment)
        return self._proxies

    def tls(self) -> ssl.SSLContext:
        """Who is trusted. Making it takes some 20 ms."""
        authorities = self._current().authorities
        if authorities != self._authorities:
            self._authorities, self._tls = authorities, _trusting(authorities)
        return self._tls


def check_egress(snapshot: Snapshot, environment: Mapping[str, str]) -> None:
    """Raises ConfigRefused for a proxy or authorities that cannot be used."""
    try:
        proxies_of(snapshot.config.network, environment)
    except ValueError as error:
        raise ConfigRefused(f"proxy: {error}") from None
    if snapshot.authorities:
        try:
            _trusting(snapshot.authorities)
        except (ssl.SSLError, ValueError):
            raise ConfigRefused("the CA bundle holds something else than certificates in PEM") from None


def proxies_of(network: Network, environment: Mapping[str, str]) -> Proxies:
    """Returns what the configuration says, else what the environment does. Raises ValueError."""
    return Proxies.read(network.proxy, network.no_proxy) if network.proxy else Proxies.of_environment(environment)


def _trusting(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context


class ProxyRefused(OSError):
    """The proxy makes no connection; `answer` is what it said instead, for the eyes of those who run it."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        super().__init__(answer)


def authorization(proxy: Proxy) -> dict[str, str]:
    """The header by which we sign in to a proxy, if it wants one."""
    if not proxy.username:
        return {}
    return {"Proxy-Authorization": "Basic " + base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()}


async def tunnel(proxy: Proxy, host: str, port: int) -> socket.socket:
    """Returns a connection to `host` through the proxy, by CONNECT. Raises OSError; the caller bounds the time."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *(f"{name}: {value}" for name, value in authorization(proxy).items())]
    connection = await _dial(proxy)
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:  # nothing else can follow: both TLS and HTTP leave the first word to us
            part = await loop.sock_recv(connection, 4096)
            answer += part
            if not part or len(answer) > _MOST_ANSWER:
                raise ProxyRefused("the proxy answers with something else than HTTP")
        status = answer[9:12].decode("ascii", "replace") if answer.startswith(b"HTTP/1.") else ""
        if not status.startswith("2"):
            raise ProxyRefused(f"the proxy answers {status}" if status.isdigit() else "the proxy answers with something else than HTTP")
    except BaseException:
        connection.close()
        raise
    return connection


async def _dial(proxy: Proxy) -> socket.socket:
    """A connection to the proxy, by the first of its addresses that takes one."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("the proxy has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            with contextlib.suppress(OSError):  # small frames go out at once
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure
