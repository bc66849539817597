"""Opens TCP connections for public names, playing the ingress: the name is looked up in a table and nowhere else."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from .codes import StreamCode, StreamFailed

SEND_BUFFER = 64 * 1024
"""Bytes that the kernel may hold for a stream, so that a slow reader is noticed soon (Linux doubles the number)."""


class TlsArguments(TypedDict, total=False):
    """Arguments for `asyncio.loop.create_connection`; empty for a plain connection."""

    ssl: ssl.SSLContext
    server_hostname: str


class Dialer:
    """Where public names lead on this machine, and how.

    ``connect_to`` maps ``host`` or ``host:port`` to an address and port; it is read at every dial, so it may change. With further
    addresses in ``beside``, by the same name, chance decides, the same each time, as a balancer does that knows who is well. Without
    an entry a dial fails like a refused connection: nothing leaves the machine. With ``ca`` (a PEM file) connections for ``wss`` and
    ``https`` use TLS, verified against that file alone for the public name; without it they are plain, as behind an ingress that ends
    TLS. Timeouts in seconds.
    """

    def __init__(
        self,
        connect_to: Mapping[str, tuple[str, int]],
        ca: Path | None,
        *,
        connect_timeout: float = 5.0,
        handshake_timeout: float = 10.0,
        callback_timeout: float = 10.0,
    ) -> None:
        self.connect_to = connect_to
        self.beside: dict[str, tuple[tuple[str, int], ...]] = {}
        self._chance = random.Random(0)
        self.connect_timeout = connect_timeout
        self.handshake_timeout = handshake_timeout
        self.callback_timeout = callback_timeout
        self._tls = ssl.create_default_context(cafile=str(ca)) if ca is not None else None

    def target(self, host: str, port: int) -> tuple[str, int] | None:
        """The address and port for a public name, ``None`` when there is no entry."""
        host = host.lower()
        for name in (f"{host}:{port}", host):
            if name in self.connect_to:
                targets = (self.connect_to[name], *self.beside.get(name, ()))
                return self._chance.choice(targets)
        return None

    def tls(self, host: str) -> TlsArguments:
        """How a connection to a secure address is wrapped: TLS with this server name, or not at all without a CA."""
        return {"ssl": self._tls, "server_hostname": host} if self._tls is not None else {}

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """A connected TCP socket for a public name.

        Raises:
            StreamFailed: 31902 without an entry or when the connection is refused, 31901 when it takes too long.
        """
        target = self.target(host, port)
        if target is None:
            raise StreamFailed(StreamCode.REFUSED, f"no connect-to entry for {host}:{port}, and nothing is dialled without one")
        sock = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self.connect_timeout):
                await asyncio.get_running_loop().sock_connect(sock, target)
        except TimeoutError:
            sock.close()
            raise StreamFailed(StreamCode.TIMEOUT, f"no TCP connection to {host}:{port} in {self.connect_timeout:g} s") from None
        except OSError as error:
            sock.close()
            raise StreamFailed(StreamCode.REFUSED, f"TCP connection to {host}:{port}: {error.strerror or error}") from error
        except BaseException:
            sock.close()
            raise
        return sock
