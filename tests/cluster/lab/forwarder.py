"""Carries TCP connections between this machine's loopback and one cluster's network, both ways; a process of its own.

Run with the path of a network namespace as argument (standard library only). Reads one JSON request a line and answers each with one line:
  {"do": "forward", "listen": [ip, port], "to": [ip, port]}   listen on this machine, connect in the cluster's network
  {"do": "expose",  "listen": [ip, port], "to": [ip, port]}   listen in the cluster's network, connect on this machine
  {"do": "reach",   "to": [ip, port]}                         does something listen there, in the cluster's network?
Ends when its input does. A socket belongs to the network namespace in which it was made, wherever it is used later: so this thread enters
the other namespace for the moment of making a socket, and nothing else needs to know of namespaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

CLONE_NEWNET = 0x40000000
CHUNK = 64 * 1024
CONNECT_TIMEOUT = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns failed")


class Forwarder:
    """The listeners of one cluster."""

    def __init__(self, network: str) -> None:
        self._here = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._there = os.open(network, os.O_RDONLY)
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        _enter(self._there)
        try:
            yield
        finally:
            _enter(self._here)

    def _socket(self, inside: bool, ip: str) -> socket.socket:
        with self._inside() if inside else contextlib.nullcontext():
            made = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        made.setblocking(False)
        return made

    async def serve(self) -> None:
        """Answer requests until the input ends."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                answer = await self._answer(json.loads(line))
            except OSError as error:
                answer = {"error": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        to = (str(request["to"][0]), int(request["to"][1]))
        if request["do"] == "reach":
            return {"reached": await self._reaches(to)}
        inside = request["do"] == "expose"
        listener = self._socket(inside, request["listen"][0])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((request["listen"][0], request["listen"][1]))
        listener.listen(512)
        self._hold(self._accept(listener, to, not inside))
        return {"port": listener.getsockname()[1]}

    def _hold(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reaches(self, to: tuple[str, int]) -> bool:
        with self._socket(inside=True, ip=to[0]) as probe:
            try:
                await asyncio.wait_for(asyncio.get_running_loop().sock_connect(probe, to), 1.0)
            except (OSError, TimeoutError):
                return False
        return True

    async def _accept(self, listener: socket.socket, to: tuple[str, int], inside: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            self._hold(self._carry(client, to, inside))

    async def _carry(self, client: socket.socket, to: tuple[str, int], inside: bool) -> None:
        loop = asyncio.get_running_loop()
        server = self._socket(inside, to[0])
        with client, server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await asyncio.wait_for(loop.sock_connect(server, to), CONNECT_TIMEOUT)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._copy(client, server))
                    both.create_task(self._copy(server, client))
            except (OSError, TimeoutError, ExceptionGroup):
                # Nobody listens, or one end was reset: so is the other, which must not take it for an orderly end.
                for end in (client, server):
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, CHUNK):
            await loop.sock_sendall(sink, data)  # waits for the reader at the other end: at most one chunk is held
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    asyncio.run(Forwarder(sys.argv[1]).serve())
