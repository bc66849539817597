"""The connections under the client library, on both of the loops that use them: the operator's own and the Lease's, which is asyncio's."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from support.certificates import for_localhost
from voiceassist_operator.event_loop import EventLoop
from voiceassist_operator.kubernetes.transport import Transport

LOOPS = pytest.mark.parametrize("loop", [EventLoop, asyncio.new_event_loop])
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Closing:
    """A server that answers one request on each connection, and closes it when it is told to."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls, self._listener = tls, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._close, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close_the_kept_one(self) -> None:
        """Returns when it is closed; the caller's loop has not seen it."""
        self._close.set()
        assert self._closed.wait(5)

    def _run(self) -> None:
        for _ in range(2):
            connection, _ = self._listener.accept()
            self.connections += 1
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True, suppress_ragged_eofs=True)
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += connection.recv(4096)
            connection.sendall(ANSWER)
            self._close.wait(5)
            connection.close()
            self._closed.set()

    def end(self) -> None:
        self._thread.join(5)
        self._listener.close()


async def put_after_close(server: Closing, transport: Transport, scheme: str) -> int:
    async with httpx2.AsyncClient(transport=transport, base_url=f"{scheme}://localhost:{server.port}", timeout=5) as http:
        assert (await http.get("/")).text == "ok"
        await asyncio.sleep(0.1)  # the connection is back in the pool
        server.close_the_kept_one()
        return (await http.put("/", content=b"")).status_code


@LOOPS
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_transport_a_kept_connection_that_was_closed_is_not_written_to(
    loop: Callable[[], asyncio.AbstractEventLoop], scheme: str, tmp_path: Path
) -> None:
    tls = client = None
    if scheme == "https":
        certificate = for_localhost(tmp_path)
        tls, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=certificate)
        tls.load_cert_chain(certificate)
    server = Closing(tls)
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            assert runner.run(put_after_close(server, Transport(client or False), scheme)) == 200
        assert server.connections == 2
    finally:
        server.end()


async def test_transport_a_peer_that_reads_no_body_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # nobody accepts, so nobody reads
        transport = Transport(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        times = httpx2.Timeout(connect=5, read=0.1, write=0.1, pool=0.1)
        async with httpx2.AsyncClient(transport=transport, timeout=times) as http, asyncio.timeout(30):
            with pytest.raises(httpx2.ReadTimeout):
                await http.put(url, content=bytes(30_000_000))


async def test_transport_a_name_that_can_be_none_in_dns_is_no_connection() -> None:
    async with httpx2.AsyncClient(transport=Transport(False)) as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get(f"http://{'x' * 64}.example.com/")
