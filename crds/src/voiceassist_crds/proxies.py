"""Which connections go through a proxy (pure): HTTPS_PROXY and NO_PROXY as Kubernetes' own programs read them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

_DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy is, and who signs in to it."""

    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Its address, without the name and the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def url_with_login(self) -> str:
        """Its address as a client wants it that signs in by itself; not to be shown."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        return self.url.replace("http://", f"http://{login}", 1)


@dataclass(frozen=True, slots=True)
class Proxies:
    """A proxy and what is reached without it. Loopback always is."""

    proxy: Proxy | None = None
    exceptions: tuple[str, ...] = ()

    @classmethod
    def read(cls, url: str, exceptions: Sequence[str] = ()) -> Proxies:
        """Reads an address, with or without a scheme. Raises ValueError, without the address, for one that is not of an HTTP proxy."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise ValueError("not an address") from None
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("only http://host:port is a proxy's address here; the connection through it is encrypted all the same")
        proxy = Proxy(parts.hostname, port or _DEFAULT_PORT, unquote(parts.username or ""), unquote(parts.password or ""))
        return cls(proxy, tuple(one.strip() for one in exceptions if one.strip()))

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Proxies:
        """Reads HTTPS_PROXY and NO_PROXY, in capitals or not. Raises ValueError that names the variable."""
        for name in ("HTTPS_PROXY", "https_proxy"):
            if url := environment.get(name, ""):
                exceptions = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
                try:
                    return cls.read(url, exceptions.split(","))
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return cls()

    def of(self, host: str, port: int) -> Proxy | None:
        """Returns the proxy for connections to `host`; None: they are made straight."""
        if self.proxy is None or _is_local(host) or any(_matches(one, host.lower().rstrip("."), port) for one in self.exceptions):
            return None
        return self.proxy


STRAIGHT = Proxies()
"""No proxy."""


def _is_local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _matches(exception: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means this host: `*`, a network, an address, a domain and all below it; with a port, that one only."""
    if exception == "*":
        return True
    address = _address(host)
    try:
        network = ipaddress.ip_network(exception.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        return address is not None and address in network
    name, colon, wanted = exception.lower().rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        exception = name
        if address is not None:
            return _address(exception) == address
    domain = exception.lower().removeprefix("*").lstrip(".").rstrip(".")
    return bool(domain) and address is None and (host.endswith(f".{domain}") or (host == domain and not exception.startswith((".", "*"))))
