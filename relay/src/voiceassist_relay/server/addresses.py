"""Addresses of both families: where the ports listen, and how others are told."""

from __future__ import annotations

import errno
import ipaddress
import socket

BACKLOG = 1024
EVERYWHERE = "::"
"""Every address of this machine, IPv6 and IPv4."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; `port` 0 takes any. `::` takes IPv4 as well, and is IPv4 alone on a machine without IPv6.

    Raises OSError if the address cannot be had.
    """
    if host == EVERYWHERE:
        try:
            return _listening(host, port)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
            host = "0.0.0.0"
    return _listening(host, port)


_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == EVERYWHERE else 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def advertised(host: str, port: int) -> str:
    """How others reach a port: an IPv6 address stands in brackets."""
    try:
        bracketed = ipaddress.ip_address(host).version == 6
    except ValueError:
        bracketed = False
    return f"[{host}]:{port}" if bracketed else f"{host}:{port}"


def reached_at(listener: socket.socket) -> str:
    """The address by which this machine itself reaches a listening socket."""
    host = str(listener.getsockname()[0])
    return "127.0.0.1" if ipaddress.ip_address(host).is_unspecified else host
